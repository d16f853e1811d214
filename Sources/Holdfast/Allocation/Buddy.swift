import Interleaving

/// What an attempt to allocate may do, with the kernel's ALLOC_* values.
struct AllocationFlags: OptionSet {
  let rawValue: UInt32

  @inline(__always)
  init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The watermark that applies: none of these bits is min.
  static var low: AllocationFlags { AllocationFlags(rawValue: 0x01) }
  static var noWatermarks: AllocationFlags { AllocationFlags(rawValue: 0x04) }
  static var oom: AllocationFlags { AllocationFlags(rawValue: 0x08) }
  static var nonBlock: AllocationFlags { AllocationFlags(rawValue: 0x10) }
  static var minReserve: AllocationFlags { AllocationFlags(rawValue: 0x20) }
  static var cma: AllocationFlags { AllocationFlags(rawValue: 0x80) }
  static var noFragment: AllocationFlags { AllocationFlags(rawValue: 0x100) }
  static var highAtomic: AllocationFlags { AllocationFlags(rawValue: 0x200) }

  /// Rights to part of what the min watermark keeps (ALLOC_RESERVES).
  static var reserves: AllocationFlags { [.oom, .nonBlock, .minReserve, .highAtomic] }
}

/// The buddy allocator: zones and their free lists, watermarks, the types of pageblocks, deferred sections.
package struct Buddy: Room {
  package let machine: Machine

  /// The whole pageblocks that a range touches.
  package func pageblockSpan(of range: FrameRange) -> FrameRange {
    let order = geometry.pageblockOrder
    let start = (range.start.index >> order) << order
    let end = ((range.endIndex + geometry.pageblockFrames - 1) >> order) << order
    return FrameRange(start: FrameNumber(start), count: end - start)
  }

  @inline(__always)
  package func zone(_ id: ZoneID) -> Zone { zone(at: id.rawValue &* machine.layout.zones.stride) }

  /// The zone whose row begins at an offset in the table of zones.
  @inline(__always)
  func zone(at offset: Int) -> Zone { Zone(Row(machine.zoneTable + offset)) }

  /// The type of the pageblock that holds a frame.
  ///
  /// Written under the zone's lock; read freely, as Linux does.
  ///
  /// - Kernel: mm/page_alloc.c:get_pfnblock_migratetype (6.1)
  @inline(__always)
  package func pageblockType(of frame: FrameNumber) -> MigrateType {
    MigrateType(stored: pageblockTypeNumber(of: frame))
  }

  /// The raw value of `pageblockType(of:)`, for a test against a mask of types.
  @inline(__always)
  package func pageblockTypeNumber(of frame: FrameNumber) -> UInt8 {
    machine.pageblockTypes.load(frame.index &>> geometry.pageblockOrder) ^ Self.zeroedType
  }

  /// Sets the type of the pageblock that holds a frame.
  ///
  /// - Locks: the caller holds the zone's lock.
  /// - Kernel: mm/page_alloc.c:set_pageblock_migratetype (6.1); without page_group_by_mobility_disabled.
  package func setPageblockType(of frame: FrameNumber, _ type: MigrateType) {
    machine.pageblockTypes.store(frame.index &>> geometry.pageblockOrder, type.number ^ Self.zeroedType)
  }

  /// Types are stored so that zeroed memory means movable, the type of every new pageblock.
  private static var zeroedType: UInt8 { MigrateType.movable.number }
}

extension Room {
  /// The buddy allocator.
  @inline(__always)
  package var buddy: Buddy { Buddy(machine: machine) }
}

extension Buddy {
  /// Takes a chunk.
  ///
  /// Reduces the count of free CMA frames if it came from there; the caller reduces the count of free frames.
  ///
  /// - Locks: the caller holds the zone lock.
  /// - Kernel: mm/page_alloc.c:__rmqueue (6.1)
  /// - Kernel: mm/page_alloc.c:__rmqueue_cma_fallback (6.1)
  func allocateChunk(
    _ order: Int, _ type: MigrateType, _ flags: AllocationFlags, _ id: ZoneID, _ zone: Zone
  ) -> FrameNumber {
    if flags.contains(.cma) {
      // Balance movable allocations between CMA and ordinary memory while more than half of the free memory
      // is CMA.
      if zone.freeCMA.load(.relaxed) > zone.free.load(.relaxed) / 2 {
        let frame = allocateFromCMA(order, id, zone)
        if frame != .none { return frame }
      }
    }
    while true {
      let frame = allocateSmallestGrowing(order, type, id, zone)
      if frame != .none { return frame }
      if flags.contains(.cma) {
        let frame = allocateFromCMA(order, id, zone)
        if frame != .none { return frame }
      }
      if !steal(order, type, flags, id, zone) { return .none }
    }
  }

  /// Takes a chunk from the lists of CMA, which it counts.
  @inline(__always)
  private func allocateFromCMA(_ order: Int, _ id: ZoneID, _ zone: Zone) -> FrameNumber {
    let frame = allocateSmallestGrowing(order, .cma, id, zone)
    if frame != .none { add(-(1 &<< order), to: zone.freeCMA) }
    return frame
  }

  /// `allocateSmallest`, which makes deferred sections until a chunk is found or no deferred section is left.
  @inline(__always)
  private func allocateSmallestGrowing(
    _ order: Int, _ type: MigrateType, _ id: ZoneID, _ zone: Zone
  ) -> FrameNumber {
    let frame = allocateSmallest(order, type, in: zone)
    if frame != .none || zone.deferred.load(.relaxed) == 0 { return frame }
    return growAndAllocate(order, type, id, zone)
  }

  /// Makes deferred sections of the zone until one of them has a chunk of the order and type.
  @inline(never)
  private func growAndAllocate(
    _ order: Int, _ type: MigrateType, _ id: ZoneID, _ zone: Zone
  ) -> FrameNumber {
    // Deferred pageblocks are MOVABLE or CMA; requests of other types reach them by stealing.
    guard type == .movable || type == .cma else { return .none }
    while growZone(id, zone, forCMA: type == .cma) {
      let frame = allocateSmallest(order, type, in: zone)
      if frame != .none { return frame }
    }
    return .none
  }

  /// Takes a chunk from the buddy lists, past the per-CPU lists.
  ///
  /// - Kernel: mm/page_alloc.c:rmqueue_buddy (6.1); without the HIGHATOMIC list as the last resort of
  ///   requests with ALLOC_NON_BLOCK, NUMA statistics.
  func allocate(
    _ order: Int, _ type: MigrateType, _ flags: AllocationFlags, _ id: ZoneID, _ zone: Zone
  ) -> FrameNumber {
    zone.lock.lock()
    defer { zone.lock.unlock() }
    var frame = FrameNumber.none
    if flags.contains(.highAtomic) { frame = allocateSmallest(order, .highAtomic, in: zone) }
    if frame == .none {
      frame = allocateChunk(order, type, flags, id, zone)
      if frame == .none && flags.contains(.oom) { frame = allocateSmallest(order, .highAtomic, in: zone) }
      if frame == .none { return .none }
    }
    add(-(1 &<< order), to: zone.free)
    return frame
  }

  /// Frees a chunk to the buddy lists.
  ///
  /// - Kernel: mm/page_alloc.c:free_one_page (6.1)
  /// - Kernel: mm/page_alloc.c:__free_pages_ok (6.1)
  func free(_ frame: FrameNumber, order: Int, _ zone: Zone) {
    zone.lock.lock()
    let type = pageblockType(of: frame)
    countFree(1 &<< order, type, in: zone)
    insertFree(frame, order: order, type, in: zone)
    zone.lock.unlock()
  }

  // MARK: - Watermarks

  /// Free frames that a request cannot use: the rest of a split chunk, reserves, and CMA.
  ///
  /// - Kernel: mm/page_alloc.c:__zone_watermark_unusable_free (6.1)
  @inline(__always)
  private func unusable(_ zone: Zone, _ order: Int, _ flags: AllocationFlags) -> Int {
    var frames = (1 &<< order) &- 1
    if flags.isDisjoint(with: .reserves) {
      frames = frames &+ Int(truncatingIfNeeded: zone.highAtomic.load(.relaxed))
    }
    if !flags.contains(.cma) { frames = frames &+ Int(truncatingIfNeeded: zone.freeCMA.load(.relaxed)) }
    return frames
  }

  /// Frames that must stay free for other requests.
  @inline(__always)
  private func kept(_ zone: Zone, protectionFrom highest: Int, _ flags: AllocationFlags) -> Int {
    var mark = Int(truncatingIfNeeded: zone.watermark(Int(flags.rawValue & 3)).load(.relaxed))
    if !flags.isDisjoint(with: [.minReserve, .oom]) {
      if flags.contains(.minReserve) {
        mark &-= mark / 2
        if flags.contains(.nonBlock) { mark &-= mark / 4 }
      }
      if flags.contains(.oom) { mark &-= mark / 2 }
    }
    return mark &+ Int(truncatingIfNeeded: zone.protection(fromNumber: highest).load(.relaxed))
  }

  /// Whether a zone may serve a request: enough stays free, and there is a chunk of the order.
  ///
  /// - Kernel: mm/page_alloc.c:zone_watermark_ok (6.1)
  /// - Kernel: mm/page_alloc.c:__zone_watermark_ok (6.1)
  /// - Kernel: mm/page_alloc.c:zone_watermark_fast (6.1); without the boost of a watermark.
  @inline(__always)
  func watermarkPasses(
    _ id: ZoneID, _ zone: Zone, _ order: Int, _ highest: ZoneKind, _ flags: AllocationFlags
  ) -> Bool {
    if flags.contains(.noWatermarks) { return true }
    guard enoughStaysFree(zone, order, protectionFrom: highest.number, flags) else { return false }
    return order == 0 || hasChunk(id, zone, order, flags)
  }

  /// The first half of the test: the watermark itself.
  @inline(__always)
  func enoughStaysFree(
    _ zone: Zone, _ order: Int, protectionFrom highest: Int, _ flags: AllocationFlags
  ) -> Bool {
    let free = Int(truncatingIfNeeded: zone.free.load(.relaxed))
    return free &- unusable(zone, order, flags) > kept(zone, protectionFrom: highest, flags)
  }

  /// Whether there is a free chunk of at least the order of a type that the request may use.
  @inline(never)
  private func hasChunk(_ id: ZoneID, _ zone: Zone, _ order: Int, _ flags: AllocationFlags) -> Bool {
    guard order <= geometry.maxOrder else { return false }
    while true {
      var current = order
      while current <= geometry.maxOrder {
        if zone.freeList(order: current, .unmovable).first != .none
          || zone.freeList(order: current, .movable).first != .none
          || zone.freeList(order: current, .reclaimable).first != .none
          || flags.contains(.cma) && zone.freeList(order: current, .cma).first != .none
          || !flags.isDisjoint(with: [.highAtomic, .oom])
            && zone.freeList(order: current, .highAtomic).first != .none
        {
          return true
        }
        current &+= 1
      }
      if zone.deferred.load(.relaxed) == 0 { return false }
      let grown = zone.lock.withLock { growZone(id, zone, forCMA: false) }
      if !grown { return false }
    }
  }

  /// Why a zone cannot serve a request that the watermark test, or the search after it, refused.
  func refusal(
    _ id: ZoneID, _ order: Int, _ highest: ZoneKind, _ flags: AllocationFlags
  ) -> ZoneRefusal.Reason {
    let zone = zone(id)
    let free = Int(zone.free.load(.relaxed))
    let unusable = unusable(zone, order, flags)
    let kept = flags.contains(.noWatermarks) ? 0 : kept(zone, protectionFrom: highest.number, flags)
    return free - unusable > kept
      ? .fragmented(free: free) : .watermark(free: free, unusable: unusable, kept: kept)
  }
}
