import Interleaving

/// The start of zones, free lists and sections, and of the CMA areas.
extension Buddy {
  /// Machines with at most this number of frames have all their metadata from the start.
  private static var smallMachine: Int { 4096 }

  package func bootLists() {
    for number in configuration.nodes.indices {
      for list in LRUList.allCases { machine.node(number).list(list).reset() }
      hugetlb.pool(number).freeList.reset()
    }
    for index in 0..<machine.layout.zones.count {
      let zone = zone(ZoneID(rawValue: index))
      for order in 0...geometry.maxOrder {
        for type in MigrateType.allCases { zone.freeList(order: order, type).reset() }
      }
      for number in 0..<configuration.processors {
        let lists = allocator.perCPULists(number, ZoneID(rawValue: index))
        for list in 0..<PerCPULists.listCount { lists.list(list).reset() }
      }
      zone.start = .none
      zone.compactionMigrate = .none
      zone.compactionFree = .none
    }
  }

  package func bootZones() {
    for extent in machine.extents {
      let zone = zone(extent.zone)
      let end = zone.spanned == 0 ? 0 : zone.start.index + zone.spanned
      if zone.spanned == 0 { zone.start = extent.frames.start }
      zone.spanned = max(end, extent.frames.endIndex) - zone.start.index
      add(extent.frames.count, to: zone.present)
      zone.deferredCursor = zone.start.index >> geometry.sectionOrder
      zone.compactionMigrate = zone.start
      zone.compactionFree = FrameNumber(
        (zone.start.index + zone.spanned - 1) & ~(geometry.pageblockFrames - 1))
    }
  }

  /// Counts the memory of a section, and makes its metadata unless that can wait.
  package func bootSection(_ section: Int) throws(ConfigurationError) {
    let range = frames(ofSection: section)
    let first = machine.extent(of: range.start)
    var present = 0
    if let first, first.frames.intersection(range)?.count == range.count {
      present = range.count
      let managed = present - reservedRuns(in: range).reduce(0) { $0 + $1.count }
      count(managed, in: zone(first.zone))
      let small = machine.frameCount <= Self.smallMachine
      if !small && managed > 0 {
        add(managed, to: zone(first.zone).deferred)
        setSectionState(section, .deferred)
        return
      }
    } else {
      for extent in machine.extents {
        guard let part = extent.frames.intersection(range) else { continue }
        present += part.count
        count(part.count - reservedRuns(in: part).reduce(0) { $0 + $1.count }, in: zone(extent.zone))
      }
    }
    if present == 0 { return }
    guard populate(section) else { throw noBytes(range.start) }
    _ = makeSection(section)
  }

  private func count(_ managed: Int, in zone: Zone) {
    add(managed, to: zone.managed)
    add(managed, to: zone.free)
  }

  package func noBytes(_ frame: FrameNumber) -> ConfigurationError {
    ConfigurationError(
      field: "backing", found: "memfd, which the host refuses for \(machine.block(of: frame))",
      expected: "a host with room and file descriptors for it")
  }
}

extension CMA {
  package func bootAreas(_ ranges: [FrameRange]) {
    var word = 0
    for (index, range) in ranges.enumerated() {
      let area = area(index)
      let order = configuration.cmaAreas[index].orderPerBit
      area.orderPerBit = order
      area.base = range.start
      area.count = range.count
      area.bitmap = word
      word += (range.count >> order) / 64 + 1
      for part in stride(from: 0, to: range.count, by: geometry.pageblockFrames) {
        buddy.setPageblockType(of: range.start + part, .cma)
      }
      if let id = machine.extent(of: range.start)?.zone {
        buddy.add(range.count, to: buddy.zone(id).cma)
        buddy.add(range.count, to: buddy.zone(id).freeCMA)
      }
    }
  }
}
