import Interleaving

/// The short way to allocate and free: a chunk on the processor's list is taken, or put there.
///
/// Most calls end here. Nothing rare is done here, not even waiting for a lock, so that no registers have to
/// be saved for it. The short way refuses before it changes anything, and the caller then takes the long way.
///
/// `allocateQuickly` and `popQuickly` are transparent: with `@inline(__always)` the optimiser calls the former.
extension Allocator {
  /// `allocate` for plain flags, if the list has a chunk; otherwise `.none`, and nothing has changed.
  ///
  /// The caller is in no allocation scope, and `gfp` asks neither for zeros nor for a folio.
  @_transparent
  func allocateQuickly(_ order: Int, _ gfp: GFPFlags, _ cpu: Processor, on processor: Int) -> FrameNumber {
    let frame = popQuickly(order, gfp, cpu, on: processor)
    if frame == .none { return frame }
    let page = memmap.page(frame)
    page.state = PageState(order: order, type: .none, listType: .unmovable)
    page.refcount.store(1)
    return frame
  }

  /// Takes a chunk from the processor's list in the first zone of its node that a request may use.
  ///
  /// Counts the chunk; `search` would take the same one. Whether types may be mixed in a pageblock makes no
  /// difference for a chunk that is on the list already. The caller is in no allocation scope.
  @_transparent
  func popQuickly(_ order: Int, _ gfp: GFPFlags, _ cpu: Processor, on processor: Int) -> FrameNumber {
    let route = self.route(processor, gfp)
    let index = perCPUIndex(order, number: route.type)
    if !route.isOpen || index < 0 || machine.allocationFailures.load(.relaxed) != 0 || hasChoices {
      return .none
    }
    let zone = buddy.zone(at: route.zoneOffset)
    let flags: AllocationFlags = route.type == MigrateType.movable.number ? [.low, .cma] : .low
    guard buddy.enoughStaysFree(zone, order, protectionFrom: route.highest, flags) else { return .none }
    // As `hasChunk`, where one look suffices.
    if order > 0, zone.freeList(order: geometry.maxOrder, .movable).first == .none { return .none }
    let lists = perCPULists(at: route.listsOffset)
    guard lists.lock.tryLock() else { return .none }
    let frame = popFirst(of: lists.list(index), in: lists, order)
    lists.lock.unlock()
    if frame != .none {
      cpu.allocations(fromKind: route.kind).addAsOwner(1 &<< UInt64(truncatingIfNeeded: order))
    }
    return frame
  }

  /// Drops the one reference on a chunk from `allocate` and puts it on its processor's list, as `free` would.
  ///
  /// Returns false if the chunk needs more than that; nothing has changed then. Returns true with `refused`
  /// set if the list did not take the chunk, which then has no references and no flags.
  @inline(__always)
  func freeQuickly(
    _ frame: FrameNumber, _ order: Int, _ cpu: Processor, on processor: Int, refused: inout Bool
  ) -> Bool {
    let page = memmap.page(frame)
    // The guard below finds the page allocated with that order, so the order is valid.
    let word = page.flagWord.load(.relaxed)
    guard page.state.isAllocated(order: order),
      word & (PageFlags.reserved.rawValue | PageFlags.slab.rawValue) == 0
    else { return false }
    let lists = perCPULists(processor, zoneOf: word)
    guard page.refcount.compareExchange(1, 0).exchanged else { return false }
    cpu.event(.pgfree).addAsOwner(1 &<< UInt64(truncatingIfNeeded: order))
    refused = !listQuickly(frame, page, order, lists)
    return true
  }

  /// A processor's lists in the zone of a page, given its flag word.
  @inline(__always)
  func perCPULists(_ processor: Int, zoneOf word: UInt64) -> PerCPULists {
    perCPULists(processor, PageFlags.zone(of: word))
  }

  /// Puts a chunk without references on its processor's list; false if the list does not take it as it is.
  @inline(__always)
  func listQuickly(_ frame: FrameNumber, _ page: Page, _ order: Int, _ lists: PerCPULists) -> Bool {
    let word = page.flagWord.load(.relaxed)
    if word & PageFlags.clearedAtFree.rawValue != 0 || order > 0 && memmap.page(frame + 1).isTail {
      return false
    }
    guard lists.lock.tryLock() else { return false }
    let type = buddy.pageblockTypeNumber(of: frame)
    let index = perCPUIndex(order, number: MigrateType.listed(type))
    let count = lists.count &+ 1 &<< order
    if type == MigrateType.isolate.number || index < 0 || count >= lists.limit {
      lists.lock.unlock()
      return false
    }
    page.state = PageState(order: order, type: .perCPU, listTypeNumber: type)
    var list = lists.list(index)
    list.pushFirst(frame, in: memmap)
    lists.count = count
    lists.lock.unlock()
    return true
  }
}

extension MigrateType {
  /// The type on whose per-CPU list chunks of a pageblock wait: MOVABLE for types without such a list.
  @inline(__always)
  static func listed(_ number: UInt8) -> UInt8 { number <= reclaimable.number ? number : movable.number }
}
