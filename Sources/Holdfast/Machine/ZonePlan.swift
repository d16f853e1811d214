/// What a configuration comes to: zones, CMA areas, the zero page, and the size of the tables.
///
/// Made before the machine is, so that whatever is absurd is refused before memory is asked for.
struct ZonePlan: Sendable {
  /// Zones of boot memory, ascending; neighbours of one zone are one extent.
  let extents: [ZoneExtent]
  /// Every zone of every node, in the order in which a node's allocations try them (rule 2.5), by node.
  let zonelists: [[ZoneID]]
  /// One past the highest frame there can be: boot memory and room for hot-add, whole memory blocks.
  let frameCount: Int
  /// The frames of the configured CMA areas, in their order.
  let cmaAreas: [FrameRange]
  /// Where the zero page is.
  let zeroPage: FrameNumber

  /// The most frames that a machine can have: the highest number means "no frame".
  static let frameLimit = Int(UInt32.max)

  /// Plans the zones of a machine.
  ///
  /// - Throws: `ConfigurationError` (EINVAL) naming the first field that is wrong.
  init(_ configuration: MachineConfiguration) throws(ConfigurationError) {
    try configuration.checkSizes()
    let memory = try configuration.checkedMemory()
    frameCount = try configuration.plannedFrames(memory)
    extents = try configuration.plannedZones(memory)
    try configuration.checkReserved(memory)
    try configuration.checkPageblocks(extents)
    if let zeroPage = configuration.zeroPage {
      guard memory.contains(where: { $0.range.contains(zeroPage) }) else {
        throw ConfigurationError(
          field: "zeroPage", found: "\(zeroPage)", expected: "a frame of a node's memory")
      }
    }
    cmaAreas = try configuration.plannedAreas(extents)
    zeroPage = try configuration.plannedZeroPage(extents, cmaAreas)
    zonelists = configuration.plannedZonelists()
  }
}

/// A range of a node's memory.
struct NodeMemory: Sendable {
  var node: Int
  var range: FrameRange
}

extension FrameRange {
  /// What both ranges hold, or nil if they are apart.
  func intersection(_ other: FrameRange) -> FrameRange? {
    let first = max(start.index, other.start.index)
    let end = min(endIndex, other.endIndex)
    return first < end ? FrameRange(start: FrameNumber(first), count: end - first) : nil
  }
}

extension MachineConfiguration {
  /// The memory rounded up to whole blocks, with room for hot-add.
  fileprivate func plannedFrames(_ memory: [NodeMemory]) throws(ConfigurationError) -> Int {
    let end = memory.map(\.range.endIndex).max() ?? 0
    let mask = geometry.blockFrames - 1
    guard (0...ZonePlan.frameLimit).contains(hotplugFrames) else {
      throw ConfigurationError(
        field: "hotplugFrames", found: "\(hotplugFrames)", expected: "0 to \(ZonePlan.frameLimit) frames")
    }
    let frames = ((end + mask) & ~mask) + ((hotplugFrames + mask) & ~mask)
    guard frames <= ZonePlan.frameLimit else {
      throw ConfigurationError(
        field: hotplugFrames > 0 ? "hotplugFrames" : "nodes.memory",
        found: "\(frames) frames in whole memory blocks", expected: "at most \(ZonePlan.frameLimit)")
    }
    return frames
  }

  /// Zones as given, or memory cut at the limits and at the start of each node's ZONE_MOVABLE.
  fileprivate func plannedZones(_ memory: [NodeMemory]) throws(ConfigurationError) -> [ZoneExtent] {
    if let explicitZones { return try checkedZones(explicitZones, memory) }
    let movableStarts = try plannedMovableStarts(memory)
    var extents: [ZoneExtent] = []
    for part in memory {
      let end = part.range.endIndex
      var start = part.range.start.index
      while start < end {
        var kind = ZoneKind.normal
        var limit = end
        if start < dmaLimit.index {
          (kind, limit) = (.dma, min(end, dmaLimit.index))
        } else if start < dma32Limit.index {
          (kind, limit) = (.dma32, min(end, dma32Limit.index))
        }
        if let movable = movableStarts[part.node] {
          if start >= movable {
            (kind, limit) = (.movable, end)
          } else {
            limit = min(limit, movable)
          }
        }
        let zone = ZoneID(node: part.node, kind: kind)
        if let last = extents.last, last.zone == zone, last.frames.endIndex == start {
          extents[extents.count - 1].frames.count += limit - start
        } else {
          extents.append(
            ZoneExtent(zone: zone, frames: FrameRange(start: FrameNumber(start), count: limit - start)))
        }
        start = limit
      }
    }
    return extents
  }

  /// The configured zero page, or the lowest frame that nothing else holds, in a zone that is not movable if
  /// there is one: as in Linux it is part of the kernel's image, not an allocation.
  fileprivate func plannedZeroPage(
    _ extents: [ZoneExtent], _ areas: [FrameRange]
  ) throws(ConfigurationError) -> FrameNumber {
    if let zeroPage {
      if let index = areas.firstIndex(where: { $0.contains(zeroPage) }) {
        throw ConfigurationError(
          field: "zeroPage", found: "\(zeroPage) in CMA area \(cmaAreas[index].name)",
          expected: "a frame outside the CMA areas")
      }
      return zeroPage
    }
    let kernel = extents.filter { $0.zone.kind != .movable }
    for extent in kernel + extents {
      var next = extent.frames.start
      while extent.frames.contains(next) {
        guard let taken = (reserved + areas).first(where: { $0.contains(next) }) else { return next }
        next = FrameNumber(taken.endIndex)
      }
    }
    throw ConfigurationError(
      field: "reserved", found: "all memory reserved or in CMA areas", expected: "a frame for the zero page")
  }

  /// Node orders by distance, which is one and the same between any two nodes: the local node, then higher
  /// numbers, then lower ones, the less often chosen first.
  ///
  /// - Kernel: mm/page_alloc.c:build_zonelists (6.1)
  /// - Kernel: mm/page_alloc.c:find_next_best_node (6.1); without distances.
  fileprivate func plannedZonelists() -> [[ZoneID]] {
    let kinds: [ZoneKind] = [.movable, .normal, .dma32, .dma]
    var load = Array(repeating: 0, count: nodes.count)
    return nodes.indices.map { local in
      var order = [local]
      var left = nodes.indices.filter { $0 != local && !nodes[$0].memory.isEmpty }
      while !left.isEmpty {
        func cost(_ node: Int) -> (Int, Int, Int) {
          ((node < local ? 1 : 0) + (nodes[node].processors > 0 ? 1 : 0), load[node], node)
        }
        let best = left.min { cost($0) < cost($1) } ?? left[0]
        // Only the first node of a distance is made less attractive to the next local node.
        if order.count == 1 { load[best] += 1 }
        order.append(best)
        left.removeAll { $0 == best }
      }
      return order.flatMap { node in kinds.map { ZoneID(node: node, kind: $0) } }
    }
  }
}
