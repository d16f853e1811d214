import Interleaving

extension Machine {
  /// Machines of at most so many frames have all their metadata from the start.
  private static var smallMachine: Int { 4096 }

  /// Lays out zones, blocks, CMA areas and free lists in an arena of zeros.
  ///
  /// Free memory is counted at once, but its descriptors are made section by section when first needed; what
  /// this touches grows with blocks and sections, not with frames. Nobody else knows the machine yet, so
  /// no lock is taken.
  ///
  /// - Throws: `ConfigurationError` (EINVAL) if the host refuses the bytes of memory that boot needs.
  func boot(_ plan: ZonePlan) throws(ConfigurationError) {
    bootProcessors()
    bootLists()
    bootZones()
    bootBlocks()
    global.zeroPage = plan.zeroPage
    bootAreas(plan.cmaAreas)
    for section in 0..<(frameCount >> geometry.sectionOrder) { try bootSection(section) }
    guard materialise(FrameRange(start: plan.zeroPage, count: 1)) else { throw noBytes(plan.zeroPage) }
    zeroContents(plan.zeroPage)
    recomputeWatermarks()
  }

  private func bootProcessors() {
    var next = 0
    for (number, node) in configuration.nodes.enumerated() {
      for _ in 0..<node.processors {
        processor(next).node = number
        next += 1
      }
    }
  }

  private func bootLists() {
    for number in configuration.nodes.indices {
      for list in LRUList.allCases { node(number).list(list).reset() }
      hugetlbPool(number).freeList.reset()
    }
    for index in 0..<layout.zones.count {
      let zone = zone(ZoneID(rawValue: index))
      for order in 0...geometry.maxOrder {
        for type in MigrateType.allCases { zone.freeList(order: order, type).reset() }
      }
      for number in 0..<configuration.processors {
        let lists = perCPULists(number, ZoneID(rawValue: index))
        for list in 0..<PerCPULists.listCount { lists.list(list).reset() }
      }
      zone.start = .none
      zone.compactionMigrate = .none
      zone.compactionFree = .none
    }
  }

  private func bootZones() {
    for extent in extents {
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

  private func bootBlocks() {
    for extent in extents {
      let last = extent.frames.endIndex - 1
      for number in extent.frames.start.index >> geometry.blockOrder...last >> geometry.blockOrder {
        let id = BlockID(rawValue: number)
        let block = block(id)
        let whole = extent.frames.intersection(frames(of: id))?.count ?? 0
        if block.present == 0 { block.node = extent.zone.node }
        block.present += whole
        // Frames of another zone, or a hole, leave no single zone.
        block.zone = whole == geometry.blockFrames ? extent.zone : nil
        block.state = .online
      }
    }
  }

  private func bootAreas(_ ranges: [FrameRange]) {
    var word = 0
    for (index, range) in ranges.enumerated() {
      let area = cmaArea(index)
      let order = configuration.cmaAreas[index].orderPerBit
      area.orderPerBit = order
      area.base = range.start
      area.count = range.count
      area.bitmap = word
      word += (range.count >> order) / 64 + 1
      for part in stride(from: 0, to: range.count, by: geometry.pageblockFrames) {
        setPageblockType(of: range.start + part, .cma)
      }
      if let id = extent(of: range.start)?.zone {
        add(range.count, to: zone(id).cma)
        add(range.count, to: zone(id).freeCMA)
      }
    }
  }

  /// Counts the memory of a section, and makes its metadata unless that can wait.
  private func bootSection(_ section: Int) throws(ConfigurationError) {
    let range = frames(ofSection: section)
    let first = extent(of: range.start)
    var present = 0
    if let first, first.frames.intersection(range)?.count == range.count {
      present = range.count
      let managed = present - reservedRuns(in: range).reduce(0) { $0 + $1.count }
      count(managed, in: zone(first.zone))
      let small = frameCount <= Self.smallMachine
      if !small && managed > 0 {
        add(managed, to: zone(first.zone).deferred)
        setSectionState(section, .deferred)
        return
      }
    } else {
      for extent in extents {
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

  private func noBytes(_ frame: FrameNumber) -> ConfigurationError {
    ConfigurationError(
      field: "backing", found: "memfd, which the host refuses for \(block(of: frame))",
      expected: "a host with room and file descriptors for it")
  }
}
