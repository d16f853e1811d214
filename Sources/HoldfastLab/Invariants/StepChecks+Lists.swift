import Holdfast
import Interleaving

/// Lists and counts of zones, processors and nodes, when their locks are released.
extension StepChecks {
  /// Free lists of a zone against its descriptors and counts.
  func freeLists(_ index: Int) -> InvariantViolation? {
    let zone = map.row(map.layout.zones, index)
    let spanned = Int(zone[ZoneRow.spanned])
    if spanned == 0 { return nil }
    if let found = areaBlocks() { return found }
    let first = zone[ZoneRow.start].index
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
      // Later pageblocks of a large chunk count too.
      var next = frame &+ 1 &<< map.pageblockOrder
      while next < frame &+ frames {
        if map.pageblockType(next) == MigrateType.isolate.number { isolated &+= 1 }
        next &+= 1 &<< map.pageblockOrder
      }
      frame &+= frames
    }
    let deferred = Int(zone[ZoneRow.deferred])
    if zone[ZoneRow.free] != UInt64(free + deferred) {
      return wrongLists(
        index, "NR_FREE_PAGES is \(zone[ZoneRow.free]), \(free + deferred) are")
    }
    // Deferred frames may be of an area too.
    if deferred == 0, zone[ZoneRow.freeCMA] != UInt64(freeCMA) {
      return wrongLists(index, "NR_FREE_CMA_PAGES is \(zone[ZoneRow.freeCMA]), \(freeCMA) are")
    }
    if zone[ZoneRow.isolatedPageblocks] != isolated {
      return wrongLists(
        index, "\(zone[ZoneRow.isolatedPageblocks]) pageblocks count as ISOLATE, \(isolated) are")
    }
    return chains(index, zone, blocks)
  }

  /// The chains of a zone's lists, which hold as many chunks as they count.
  private func chains(_ index: Int, _ zone: RawRow, _ blocks: Int) -> InvariantViolation? {
    var listed = 0
    for order in 0...map.maxOrder {
      let lists = zone.row(ZoneRow.freeLists, order)
      for type in 0..<MigrateType.count {
        let state = UInt32(order) | UInt32(PageType.buddy.rawValue) << 8 | UInt32(type) << 16
        guard let length = length(lists.row(FreeListsRow.lists, type), { $0.state & 0xff_ffff == state })
        else {
          return wrongLists(
            index, "the list of order \(order) and type \(MigrateType.allCases[type]) is broken")
        }
        listed &+= length
      }
    }
    return listed == blocks ? nil : wrongLists(index, "\(listed) chunks are on lists, \(blocks) are free")
  }

  /// The length of a list, if it is whole, counted, and all that is on it fits.
  @inline(__always)
  private func length(_ list: RawRow, _ fits: (RawPage) -> Bool) -> Int? {
    var previous = FrameNumber.none
    var next = list[FrameListRow.first]
    var count = 0
    while next != .none {
      let page = map.page(next.index)
      guard fits(page), page.previous == previous, count <= map.layout.frames.count else { return nil }
      count &+= 1
      (previous, next) = (next, page.next)
    }
    guard list[FrameListRow.last] == previous, list[FrameListRow.count] == count else { return nil }
    return count
  }

  @inline(__always)
  private func isOf(_ frame: Int, _ zone: Int) -> Bool {
    let page = map.page(frame)
    if page.isOf(.absent) { return false }
    return PageFlags.zone(of: page.flagWord).rawValue == zone
  }

  /// Whether chunks of a type may be on the lists of another such type, or came from a reserve.
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
    let lists = map.row(map.layout.perCPULists, index)
    let counted = Int(lists[PerCPUListsRow.count])
    var frames = 0
    for place in 0..<PerCPULists.listCount {
      let list = lists.row(PerCPUListsRow.lists, place)
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
    let node = map.row(map.layout.nodes, index)
    var listed = 0
    for list in LRUList.allCases {
      // A page that is being isolated has lost its flag, and is on the list until the lock is got.
      var flagged = 0
      guard
        length(
          node.row(NodeRow.lists, list.rawValue),
          {
            if $0.flags.contains(.lru) { flagged &+= 1 }
            return $0.isOf(.none)
          }) != nil
      else { return StepInvariant.lruListsWhole.broken("the list \(list) of node \(index) is broken") }
      listed += flagged
    }
    var flagged = 0
    for frame in 0..<map.layout.frames.count {
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
    if map.row(map.layout.global, 0)[GlobalRow.hotplugLock].isHeld { return nil }
    for index in 0..<map.layout.zones.count {
      let zone = map.row(map.layout.zones, index)
      let spanned = zone[ZoneRow.spanned]
      let present = zone[ZoneRow.present]
      let managed = zone[ZoneRow.managed]
      let cma = zone[ZoneRow.cma]
      let (least, low, high) = (
        zone[ZoneRow.watermarks, 0], zone[ZoneRow.watermarks, 1], zone[ZoneRow.watermarks, 2]
      )
      if managed > present || present > spanned || cma > managed || least > low || low > high {
        return StepInvariant.zoneCountsOrdered.broken(
          "\(ZoneID(rawValue: index)): spanned \(spanned), present \(present), managed \(managed), "
            + "CMA \(cma), watermarks \(least), \(low), \(high)")
      }
    }
    return nil
  }

  @inline(never)
  private func wrongLists(_ zone: Int, _ what: String) -> InvariantViolation {
    StepInvariant.freeListsWhole.broken("\(ZoneID(rawValue: zone)): \(what)")
  }
}
