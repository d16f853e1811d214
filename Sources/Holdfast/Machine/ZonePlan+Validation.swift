extension MachineConfiguration {
  /// Refuses sizes that no table can be made for.
  func checkSizes() throws(ConfigurationError) {
    try check("geometry.maxOrder", geometry.maxOrder, 1...20)
    try check("geometry.pageblockOrder", geometry.pageblockOrder, 1...geometry.maxOrder)
    try check("geometry.sectionOrder", geometry.sectionOrder, geometry.maxOrder...30)
    try check("geometry.blockOrder", geometry.blockOrder, geometry.sectionOrder...30)
    try check("geometry.tableBits", geometry.tableBits, 1...12)
    try check("pinBias", Int(pinBias), 2...1 << 30)
    try check("nodes", nodes.count, 1...1023)
    for (index, node) in nodes.enumerated() {
      try check("nodes[\(index)].processors", node.processors, 0...8192)
    }
    try check("processors", processors, 1...8192)
    try check("limits.processes", limits.processes, 2...1 << 20)
    try check("limits.areas", limits.areas, 2...(1 << 30) - 1)
    try check("limits.objects", limits.objects, 2...(1 << 30) - 1)
    try check("limits.containers", limits.containers, 0...1 << 20)
    try check("limits.deviceGroups", limits.deviceGroups, 0...1 << 20)
    try check("limits.mappings", limits.mappings, 0...1 << 30)
    try check("limits.pinRecords", limits.pinRecords, 2...1 << 31)
    if let tablePages = limits.tablePages { try check("limits.tablePages", tablePages, 2...1 << 31) }
    if let pinSlots = limits.pinSlots { try check("limits.pinSlots", pinSlots, 1...1 << 36) }
    guard dmaLimit <= dma32Limit else {
      throw ConfigurationError(
        field: "dmaLimit", found: "\(dmaLimit)", expected: "at most dma32Limit (\(dma32Limit))")
    }
  }

  private func check(
    _ field: String, _ value: Int, _ range: ClosedRange<Int>
  ) throws(ConfigurationError) {
    guard range.contains(value) else {
      throw ConfigurationError(
        field: field, found: "\(value)", expected: "\(range.lowerBound) to \(range.upperBound)")
    }
  }

  /// Refuses a range that is empty or leaves what a frame number can say.
  private func check(_ field: String, _ range: FrameRange) throws(ConfigurationError) {
    guard range.count > 0 else {
      throw ConfigurationError(field: field, found: "\(range.count) frames", expected: "at least one")
    }
    guard range.count <= ZonePlan.frameLimit - min(range.start.index, ZonePlan.frameLimit) else {
      throw ConfigurationError(
        field: field, found: "\(range.count) frames from \(range.start) on",
        expected: "frames below \(FrameNumber.none.rawValue)")
    }
  }

  /// The memory of all nodes, ascending, after checks of each range and of any two.
  func checkedMemory() throws(ConfigurationError) -> [NodeMemory] {
    var memory: [NodeMemory] = []
    for (number, node) in nodes.enumerated() {
      var end = 0
      for (index, range) in node.memory.enumerated() {
        let field = "nodes[\(number)].memory[\(index)]"
        try check(field, range)
        guard range.start.index >= end else {
          throw ConfigurationError(
            field: field, found: "\(range)",
            expected: "ranges that ascend: a start at or above "
              + "\(FrameNumber(end))")
        }
        end = range.endIndex
        memory.append(NodeMemory(node: number, range: range))
      }
    }
    guard !memory.isEmpty else {
      throw ConfigurationError(field: "nodes", found: "no memory", expected: "a node with memory")
    }
    memory.sort { $0.range.start < $1.range.start }
    for (one, other) in zip(memory, memory.dropFirst()) where one.range.endIndex > other.range.start.index {
      throw ConfigurationError(
        field: "nodes[\(other.node)].memory",
        found: "\(other.range), which overlaps \(one.range) of node \(one.node)",
        expected: "memory of its own")
    }
    let total = memory.reduce(0) { $0 + $1.range.count }
    if let minFreeKiB, minFreeKiB < 0 || minFreeKiB / 4 >= total {
      throw ConfigurationError(
        field: "minFreeKiB", found: "\(minFreeKiB)", expected: "0 or more, and less than the memory")
    }
    return memory
  }

  /// Refuses reserved frames that are not memory or are named twice.
  func checkReserved(_ memory: [NodeMemory]) throws(ConfigurationError) {
    for (index, range) in reserved.enumerated() {
      let field = "reserved[\(index)]"
      try check(field, range)
      let inside = memory.reduce(0) { $0 + ($1.range.intersection(range)?.count ?? 0) }
      guard inside == range.count else {
        throw ConfigurationError(field: field, found: "\(range)", expected: "frames of the nodes' memory")
      }
    }
    let sorted = reserved.sorted { $0.start < $1.start }
    for (one, other) in zip(sorted, sorted.dropFirst()) where one.endIndex > other.start.index {
      throw ConfigurationError(
        field: "reserved", found: "\(one) and \(other)", expected: "ranges that do not overlap")
    }
  }

  /// The given zones, ascending, if they are an exact cover of the memory.
  func checkedZones(
    _ zones: [ZoneExtent], _ memory: [NodeMemory]
  ) throws(ConfigurationError) -> [ZoneExtent] {
    for (index, extent) in zones.enumerated() {
      let field = "explicitZones[\(index)]"
      try check(field, extent.frames)
      guard nodes.indices.contains(extent.zone.node), extent.zone.kind != .device else {
        throw ConfigurationError(
          field: field, found: "\(extent.zone)",
          expected: "zone DMA, DMA32, Normal or Movable of node 0 to \(nodes.count - 1)")
      }
      let inside = memory.reduce(0) {
        $0 + ($1.node == extent.zone.node ? $1.range.intersection(extent.frames)?.count ?? 0 : 0)
      }
      guard inside == extent.frames.count else {
        throw ConfigurationError(
          field: field, found: "\(extent.frames)", expected: "frames of node \(extent.zone.node)'s memory")
      }
    }
    var result: [ZoneExtent] = []
    for extent in zones.sorted(by: { $0.frames.start < $1.frames.start }) {
      if let last = result.last {
        guard last.frames.endIndex <= extent.frames.start.index else {
          throw ConfigurationError(
            field: "explicitZones",
            found: "\(extent.zone) \(extent.frames), which overlaps \(last.zone) \(last.frames)",
            expected: "zones that do not overlap")
        }
        if last.zone == extent.zone && last.frames.endIndex == extent.frames.start.index {
          result[result.count - 1].frames.count += extent.frames.count
          continue
        }
      }
      result.append(extent)
    }
    let covered = result.reduce(0) { $0 + $1.frames.count }
    let total = memory.reduce(0) { $0 + $1.range.count }
    guard covered == total else {
      throw ConfigurationError(
        field: "explicitZones", found: "\(covered) frames", expected: "all \(total) frames of the nodes")
    }
    return result
  }

  /// Refuses two zones in one pageblock: a pageblock's type has one lock.
  func checkPageblocks(_ extents: [ZoneExtent]) throws(ConfigurationError) {
    for (one, other) in zip(extents, extents.dropFirst())
    where (one.frames.endIndex - 1) >> geometry.pageblockOrder
      == other.frames.start.index >> geometry.pageblockOrder && one.zone != other.zone
    {
      throw ConfigurationError(
        field: explicitZones != nil ? "explicitZones" : "zone limits",
        found: "\(one.zone) and \(other.zone) in the pageblock of \(other.frames.start)",
        expected: "a boundary at a multiple of \(geometry.pageblockFrames) frames")
    }
  }
}
