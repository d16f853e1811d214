import Interleaving

/// Taking over memory of another type when the lists of a type are empty, and the HIGHATOMIC reserve.
extension Buddy {
  /// The types to steal from for a type, in order (the table `fallbacks` of mm/page_alloc.c).
  @inline(__always)
  private func fallbacks(of type: MigrateType) -> (MigrateType, MigrateType) {
    switch type {
    case .unmovable: (.reclaimable, .movable)
    case .movable: (.reclaimable, .unmovable)
    default: (.unmovable, .movable)
    }
  }

  /// The type whose list of that order would be stolen from, or nil.
  ///
  /// - Kernel: mm/page_alloc.c:find_suitable_fallback (6.1); without the search for stealable chunks only,
  ///   which compaction makes in the kernel.
  private func fallback(_ order: Int, for type: MigrateType, _ zone: Zone) -> MigrateType? {
    let (first, second) = fallbacks(of: type)
    if zone.freeList(order: order, first).first != .none { return first }
    if zone.freeList(order: order, second).first != .none { return second }
    return nil
  }

  /// Moves free memory of another type to the lists of `type`; false if there is none.
  ///
  /// - Locks: the caller holds the zone lock.
  /// - Kernel: mm/page_alloc.c:__rmqueue_fallback (6.1)
  /// - Kernel: mm/page_alloc.c:can_steal_fallback (6.1); without page_group_by_mobility_disabled.
  @inline(never)
  func steal(
    _ order: Int, _ type: MigrateType, _ flags: AllocationFlags, _ id: ZoneID, _ zone: Zone
  ) -> Bool {
    // Deferred memory counts as MOVABLE chunks of the largest order, which stealing looks at first.
    if type != .movable && zone.freeList(order: geometry.maxOrder, .movable).first == .none {
      while zone.deferred.load(.relaxed) > 0 && growZone(id, zone, forCMA: false) {
        if zone.freeList(order: geometry.maxOrder, .movable).first != .none { break }
      }
    }
    let smallest =
      order < geometry.pageblockOrder && flags.contains(.noFragment) ? geometry.pageblockOrder : order
    var current = geometry.maxOrder
    while current >= smallest {
      guard let victim = fallback(current, for: type, zone) else {
        current -= 1
        continue
      }
      let whole =
        current >= geometry.pageblockOrder || current >= geometry.pageblockOrder / 2 || type != .movable
      if !whole && current > order {
        // A movable page stays in a pageblock for a short time only, so the smallest chunk is broken up.
        for upward in order...current {
          if let victim = fallback(upward, for: type, zone) {
            stealChunk(upward, victim, for: type, whole: upward >= geometry.pageblockOrder / 2, zone)
            return true
          }
        }
      }
      stealChunk(current, victim, for: type, whole: whole, zone)
      return true
    }
    return false
  }

  /// Moves the first chunk of a list, or all that is free in its pageblock, to the lists of `type`.
  ///
  /// - Kernel: mm/page_alloc.c:steal_suitable_fallback (6.1); without boosting the watermark; chunks go to
  ///   the head of their list, in the kernel to its tail.
  /// - Kernel: mm/page_alloc.c:change_pageblock_range (6.1)
  private func stealChunk(
    _ order: Int, _ victim: MigrateType, for type: MigrateType, whole: Bool, _ zone: Zone
  ) {
    let frame = zone.freeList(order: order, victim).first
    let old = pageblockType(of: frame)
    if old != .highAtomic {
      if order >= geometry.pageblockOrder {
        for part in stride(from: 0, to: 1 << order, by: geometry.pageblockFrames) {
          setPageblockType(of: frame + part, type)
        }
      } else if whole {
        var movable = 0
        let free = moveFreePages(inPageblockOf: frame, to: type, movable: &movable)
        if free > 0 {
          let alike =
            type == .movable ? movable : old == .movable ? geometry.pageblockFrames - free - movable : 0
          if free + alike >= geometry.pageblockFrames / 2 { setPageblockType(of: frame, type) }
          return
        }
      }
    }
    removeFromFreeList(frame, order: order, in: zone)
    addToFreeList(frame, order: order, type, in: zone)
  }

  // MARK: - HIGHATOMIC

  /// Reserves the pageblock of a chunk just given to an atomic request of high order for other such requests.
  ///
  /// The reserve is at most one pageblock more than a hundredth of the zone.
  ///
  /// - Kernel: mm/page_alloc.c:reserve_highatomic_pageblock (6.1)
  func reserveHighAtomic(_ frame: FrameNumber, _ zone: Zone) {
    let most = zone.managed.load(.relaxed) / 100 + UInt64(geometry.pageblockFrames)
    if zone.highAtomic.load(.relaxed) >= most { return }
    zone.lock.withLock {
      let old = pageblockType(of: frame)
      guard zone.highAtomic.load(.relaxed) < most, old.isMergeable else { return }
      add(geometry.pageblockFrames, to: zone.highAtomic)
      setPageblockType(of: frame, .highAtomic)
      moveFreePages(inPageblockOf: frame, from: old, to: .highAtomic)
    }
  }

  /// Makes one HIGHATOMIC pageblock with free memory an ordinary one of type `type`.
  ///
  /// Unless forced, the last pageblock of a zone stays.
  ///
  /// - Kernel: mm/page_alloc.c:unreserve_highatomic_pageblock (6.1)
  func unreserveHighAtomic(_ zones: [ZoneID], type: MigrateType, force: Bool) -> Bool {
    for id in zones {
      let zone = zone(id)
      let reserved = zone.highAtomic.load(.relaxed)
      if reserved == 0 || !force && reserved <= UInt64(geometry.pageblockFrames) { continue }
      let moved = zone.lock.withLock {
        for order in 0...geometry.maxOrder {
          let frame = zone.freeList(order: order, .highAtomic).first
          if frame == .none { continue }
          if pageblockType(of: frame) == .highAtomic {
            let frames = min(UInt64(geometry.pageblockFrames), zone.highAtomic.load(.relaxed))
            add(-Int(frames), to: zone.highAtomic)
          }
          setPageblockType(of: frame, type)
          if moveFreePages(inPageblockOf: frame, from: .highAtomic, to: type) > 0 { return true }
        }
        return false
      }
      if moved { return true }
    }
    return false
  }
}
