import Holdfast

/// Lists and counts of zones, processors and nodes, when their locks are given back.
extension StepChecks {
  /// Free lists of a zone against its descriptors and counts.
  func freeLists(_ index: Int) -> InvariantViolation? {
    let zone = map.zones.lowerBound + index * map.zoneStride
    let spanned = Int(map.word(zone + 16))
    if spanned == 0 { return nil }
    if let found = areaBlocks() { return found }
    let first = Int(map.half(zone + 8))
    var free = 0
    var freeCMA = 0
    var blocks = 0
    var isolated: UInt64 = 0
    var frame = first
    while frame < first + spanned {
      let page = map.page(frame)
      let isBlockStart = frame & (1 &<< map.pageblockOrder &- 1) == 0
      if isBlockStart, map.pageblockType(frame) == MigrateType.isolate.number, isOf(frame, index) {
        isolated &+= 1
      }
      guard page.isOf(.buddy), isOf(frame, index) else {
        frame &+= 1
        continue
      }
      let frames = 1 &<< page.order
      blocks &+= 1
      if page.listType != MigrateType.isolate.number { free &+= frames }
      if page.listType == MigrateType.cma.number { freeCMA &+= frames }
      if page.references != 0 { return wrongLists(index, "\(FrameNumber(frame)) is free and has references") }
      let type = map.pageblockType(frame)
      if type != page.listType, !(Self.mayMix(type) && Self.mayMix(page.listType)) {
        return wrongLists(index, "\(FrameNumber(frame)) is on another type's list than its pageblock's")
      }
      // Later pageblocks of a large block count too.
      var next = frame &+ 1 &<< map.pageblockOrder
      while next < frame &+ frames {
        if map.pageblockType(next) == MigrateType.isolate.number { isolated &+= 1 }
        next &+= 1 &<< map.pageblockOrder
      }
      frame &+= frames
    }
    let deferred = Int(map.word(zone + 72))
    if map.word(zone + 48) != UInt64(free + deferred) {
      return wrongLists(
        index, "NR_FREE_PAGES is \(map.word(zone + 48)), \(free + deferred) are")
    }
    // Deferred frames may be of an area too.
    if deferred == 0, map.word(zone + 56) != UInt64(freeCMA) {
      return wrongLists(index, "NR_FREE_CMA_PAGES is \(map.word(zone + 56)), \(freeCMA) are")
    }
    if map.word(zone + 64) != isolated {
      return wrongLists(
        index, "\(map.word(zone + 64)) pageblocks count as ISOLATE, \(isolated) are")
    }
    return chains(index, zone, blocks)
  }

  /// The chains of a zone's lists, which hold as many blocks as there are.
  private func chains(_ index: Int, _ zone: Int, _ blocks: Int) -> InvariantViolation? {
    var listed = 0
    for order in 0...map.maxOrder {
      for type in 0..<MigrateType.allCases.count {
        let state = UInt32(order) | UInt32(PageType.buddy.rawValue) << 8 | UInt32(type) << 16
        let list = zone &+ 256 &+ (order &* 6 &+ type) &* 16
        guard let length = length(list, { $0.state & 0xff_ffff == state }) else {
          return wrongLists(
            index, "the list of order \(order) and type \(MigrateType.allCases[type]) is broken")
        }
        listed &+= length
      }
    }
    return listed == blocks ? nil : wrongLists(index, "\(listed) blocks are on lists, \(blocks) are free")
  }

  /// The length of a list, if it is whole, counted, and all that is on it fits.
  @inline(__always)
  private func length(_ list: Int, _ fits: (RawPage) -> Bool) -> Int? {
    var previous = FrameNumber.none
    var next = FrameNumber(rawValue: map.half(list))
    var count = 0
    while next != .none {
      let page = map.page(next.index)
      guard fits(page), page.previous == previous, count <= map.frames.count &>> 6 else { return nil }
      count &+= 1
      (previous, next) = (next, page.next)
    }
    guard map.half(list &+ 4) == previous.rawValue,
      Int(map.word(list &+ 8)) == count
    else { return nil }
    return count
  }

  @inline(__always)
  private func isOf(_ frame: Int, _ zone: Int) -> Bool {
    let page = map.page(frame)
    if page.isOf(.absent) { return false }
    let word = page.flagWord
    return PageFlags.node(of: word) &* 5 &+ PageFlags.zoneKind(of: word) == zone
  }

  /// Whether blocks of a type may be on the lists of another such type, or came from a reserve.
  private static func mayMix(_ type: UInt8) -> Bool { type <= MigrateType.highAtomic.number }

  private func areaBlocks() -> InvariantViolation? {
    for area in areas {
      for frame in stride(from: area.start.index, to: area.endIndex, by: 1 << map.pageblockOrder) {
        let type = map.pageblockType(frame)
        if type != MigrateType.cma.number, type != MigrateType.isolate.number {
          return StepInvariant.areaBlocksStay.broken(
            "the pageblock of \(FrameNumber(frame)) in a CMA area is \(MigrateType(stored: type))")
        }
      }
    }
    return nil
  }

  // MARK: - Processors and nodes

  /// One processor's lists in one zone.
  func perCPULists(_ index: Int) -> InvariantViolation? {
    let lists = map.perCPULists.lowerBound + index * 256
    let counted = Int(map.half(lists + 4))
    var frames = 0
    for place in 0..<14 {
      let list = lists + 8 + place * 16
      var held = 0
      guard
        length(
          list,
          {
            held &+= 1 &<< $0.order
            return $0.isOf(.perCPU) && $0.references == 0
          }) != nil
      else {
        return StepInvariant.perCPUListsWhole.broken("list \(place) of per-CPU lists \(index) is broken")
      }
      frames += held
    }
    return frames == counted
      ? nil
      : StepInvariant.perCPUListsWhole.broken(
        "per-CPU lists \(index) hold \(frames) frames, and \(counted) are counted")
  }

  /// The LRU lists of a node.
  func lruLists(_ index: Int) -> InvariantViolation? {
    let node = map.nodes.lowerBound + index * 128
    var listed = 0
    for list in LRUList.allCases {
      // A page that is being isolated has lost its flag, and is on the list until the lock is got.
      var flagged = 0
      guard
        length(
          node + 8 + list.rawValue * 16,
          {
            if $0.flags.contains(.lru) { flagged &+= 1 }
            return $0.isOf(.none)
          }) != nil
      else { return StepInvariant.lruListsWhole.broken("the list \(list) of node \(index) is broken") }
      listed += flagged
    }
    var flagged = 0
    for frame in 0..<(map.frames.count &>> 6) {
      let word = map.page(frame).flagWord
      if word & PageFlags.lru.rawValue != 0, PageFlags.node(of: word) == index { flagged &+= 1 }
    }
    return listed == flagged
      ? nil
      : StepInvariant.lruListsWhole.broken(
        "\(flagged) pages of node \(index) have PG_lru, \(listed) of them are on lists")
  }

  // MARK: - Zones

  /// Counts of all zones, unless blocks come or go at the moment.
  func zoneCounts() -> InvariantViolation? {
    // The first word of the state is the hotplug lock.
    if map.half(0) != 0 { return nil }
    var zone = map.zones.lowerBound
    while zone < map.zones.upperBound {
      let spanned = map.word(zone + 16)
      let present = map.word(zone + 24)
      let managed = map.word(zone + 32)
      let cma = map.word(zone + 40)
      let (low, high) = (map.word(zone + 104), map.word(zone + 112))
      if managed > present || present > spanned || cma > managed || map.word(zone + 96) > low
        || low > high
      {
        let id = ZoneID(rawValue: (zone - map.zones.lowerBound) / map.zoneStride)
        return StepInvariant.zoneCountsOrdered.broken(
          "\(id): spanned \(spanned), present \(present), managed \(managed), CMA \(cma), watermarks "
            + "\(map.word(zone + 96)), \(low), \(high)")
      }
      zone += map.zoneStride
    }
    return nil
  }

  @inline(never)
  private func wrongLists(_ zone: Int, _ what: String) -> InvariantViolation {
    StepInvariant.freeListsWhole.broken("\(ZoneID(rawValue: zone)): \(what)")
  }
}
