import Interleaving

/// The per-CPU lists of free chunks, one set for each processor in each zone.
extension Allocator {
  /// The list for chunks of an order and type; negative if such chunks are not kept on per-CPU lists.
  ///
  /// - Kernel: mm/page_alloc.c:order_to_pindex (6.1)
  /// - Kernel: mm/page_alloc.c:pcp_allowed_order (6.1)
  @inline(__always)
  func perCPUIndex(_ order: Int, _ type: MigrateType) -> Int { perCPUIndex(order, number: type.number) }

  /// The same for the number of the type.
  @inline(__always)
  func perCPUIndex(_ order: Int, number: UInt8) -> Int {
    if order == 0 { return Int(number) }
    // Orders without a list: above pageblock order, where a chunk has no type of its own, and those between.
    if order &>> 2 == 0 && order <= geometry.pageblockOrder {
      return order &* MigrateType.perCPUCount &+ Int(number)
    }
    if order == machine.perCPUHugeOrder { return number == MigrateType.movable.number ? 13 : 12 }
    return -1
  }

  /// The order of the chunks on a list.
  ///
  /// - Kernel: mm/page_alloc.c:pindex_to_order (6.1)
  @inline(__always)
  private func perCPUOrder(_ index: Int) -> Int { index < 12 ? index / 3 : geometry.hugeOrder }

  /// Takes a chunk from a processor's list, filling it from the buddy lists if it is empty.
  ///
  /// - Locks: takes the per-CPU lock, and the zone lock to fill the list.
  /// - Kernel: mm/page_alloc.c:rmqueue_pcplist (6.1); without pcp->free_factor, the fallback to the buddy
  ///   lists if the per-CPU lock is taken: this waits for the lock.
  /// - Kernel: mm/page_alloc.c:__rmqueue_pcplist (6.1)
  @inline(__always)
  func allocatePerCPU(_ index: Int, _ request: AllocationRequest, _ id: ZoneID, _ zone: Zone) -> FrameNumber {
    let lists = perCPULists(request.processor, id)
    let list = lists.list(index)
    lists.lock.lock()
    if list.isEmpty { refill(lists, list, request, id, zone) }
    let frame = popFirst(of: list, in: lists, request.order)
    lists.lock.unlock()
    return frame
  }

  /// Takes the first chunk of a list; `.none` if it is empty.
  ///
  /// - Locks: the caller holds the per-CPU lock.
  @inline(__always)
  func popFirst(of list: FrameList, in lists: PerCPULists, _ order: Int) -> FrameNumber {
    var list = list
    guard let frame = list.popFirst(in: memmap) else { return .none }
    lists.count = lists.count &- 1 &<< order
    return frame
  }

  /// Brings a batch of chunks onto an empty list.
  ///
  /// They keep the order in which they came off the buddy lists, so that neighbours are handed out one after
  /// the other.
  ///
  /// - Kernel: mm/page_alloc.c:rmqueue_bulk (6.1)
  @inline(never)
  private func refill(
    _ lists: PerCPULists, _ list: FrameList, _ request: AllocationRequest, _ id: ZoneID, _ zone: Zone
  ) {
    let order = request.order
    // While the lists are disabled, no more chunks are taken than the request needs.
    var batch = zone.perCPUDisabled.load(.relaxed) != 0 ? 1 : Int(zone.perCPUBatch.load(.relaxed))
    if batch > 1 { batch = max(batch >> order, 2) }
    zone.lock.lock()
    var list = list
    var taken = 0
    while taken < batch {
      let frame = buddy.allocateChunk(order, request.type, request.flags, id, zone)
      if frame == .none { break }
      memmap.page(frame).type = .perCPU
      list.pushLast(frame, in: memmap)
      taken += 1
    }
    buddy.add(-(taken << order), to: zone.free)
    zone.lock.unlock()
    lists.count = lists.count &+ taken << order
  }

  /// Puts a free chunk on its processor's list; false if it must go to the buddy lists.
  ///
  /// It must if its pageblock is isolated, the order has no list, or the lists are disabled.
  ///
  /// - Kernel: mm/page_alloc.c:free_unref_page (6.1); without the fallback to the buddy lists if the per-CPU
  ///   lock is taken: this waits for the lock.
  /// - Kernel: mm/page_alloc.c:free_unref_page_prepare (6.1)
  /// - Kernel: mm/page_alloc.c:free_unref_page_commit (6.1); without pcp->free_factor (nr_pcp_free), the
  ///   lower limit during reclaim (nr_pcp_high).
  @inline(__always)
  func freePerCPU(_ frame: FrameNumber, _ order: Int, _ id: ZoneID, _ zone: Zone, _ processor: Int) -> Bool {
    if order > geometry.pageblockOrder || order > 3 && order != geometry.hugeOrder { return false }
    let lists = perCPULists(processor, id)
    lists.lock.lock()
    // Both are read under the lock: a path that isolates a pageblock or disables the lists drains them under
    // it.
    let type = buddy.pageblockTypeNumber(of: frame)
    if type == MigrateType.isolate.number || lists.limit == 0 {
      lists.lock.unlock()
      return false
    }
    memmap.page(frame).state = PageState(order: order, type: .perCPU, listTypeNumber: type)
    let index = perCPUIndex(order, number: MigrateType.listed(type))
    var list = lists.list(index)
    list.pushFirst(frame, in: memmap)
    let count = lists.count &+ 1 &<< order
    lists.count = count
    if count >= lists.limit {
      spill(lists, id, zone, Int(zone.perCPUBatch.load(.relaxed)), from: index)
    }
    lists.lock.unlock()
    return true
  }

  /// Moves at least `frames` frames back to the buddy lists, from each list the longest unused first.
  ///
  /// Begins with list `first` and continues with the others.
  ///
  /// - Locks: the caller holds the per-CPU lock; takes the zone lock.
  /// - Kernel: mm/page_alloc.c:free_pcppages_bulk (6.1); without the type that a chunk had when it was
  ///   listed: it goes to the list of its pageblock's type of now, which the kernel asks only in a zone with
  ///   isolated pageblocks.
  @inline(never)
  private func spill(_ lists: PerCPULists, _ id: ZoneID, _ zone: Zone, _ frames: Int, from first: Int) {
    zone.lock.lock()
    var left = min(frames, lists.count)
    var index = first
    while left > 0 {
      var list = lists.list(index)
      let order = perCPUOrder(index)
      while left > 0, list.last != .none {
        let frame = list.last
        list.remove(frame, in: memmap)
        let type = buddy.pageblockType(of: frame)
        buddy.countFree(1 &<< order, type, in: zone)
        buddy.insertFree(frame, order: order, type, in: zone)
        lists.count = lists.count &- 1 &<< order
        left &-= 1 &<< order
      }
      index = index == PerCPULists.listCount &- 1 ? 0 : index &+ 1
    }
    zone.lock.unlock()
  }

  /// Moves everything on all processors' lists of a zone back to the buddy lists.
  ///
  /// - Kernel: mm/page_alloc.c:drain_all_pages (6.1)
  /// - Kernel: mm/page_alloc.c:drain_pages_zone (6.1); without dropping the lock between batches.
  package func drainPerCPULists(_ id: ZoneID) {
    let zone = buddy.zone(id)
    for processor in 0..<configuration.processors {
      let lists = perCPULists(processor, id)
      lists.lock.withLock {
        if lists.count > 0 { spill(lists, id, zone, lists.count, from: 0) }
      }
    }
  }

  /// Keeps free memory of a zone off the per-CPU lists until `enablePerCPULists`, and drains them.
  ///
  /// Calls nest; in the kernel a mutex lets one caller at a time disable them.
  ///
  /// - Kernel: mm/page_alloc.c:zone_pcp_disable (6.1)
  package func disablePerCPULists(_ id: ZoneID) {
    buddy.zone(id).perCPUDisabled.fetchAdd(1)
    for processor in 0..<configuration.processors { limitLists(processor, id) }
    drainPerCPULists(id)
  }

  /// Ends one `disablePerCPULists`.
  ///
  /// - Kernel: mm/page_alloc.c:zone_pcp_enable (6.1)
  package func enablePerCPULists(_ id: ZoneID) {
    buddy.zone(id).perCPUDisabled.fetchAdd(UInt32.max)
    for processor in 0..<configuration.processors { limitLists(processor, id) }
  }

  /// Sets the number of frames that a processor's lists may hold now.
  ///
  /// - Kernel: mm/page_alloc.c:pageset_update (6.1)
  func limitLists(_ processor: Int, _ id: ZoneID) {
    let zone = buddy.zone(id)
    let lists = perCPULists(processor, id)
    lists.lock.withLock {
      lists.limit = zone.perCPUDisabled.load() != 0 ? 0 : max(1, Int(zone.perCPUHigh.load(.relaxed)))
    }
  }
}
