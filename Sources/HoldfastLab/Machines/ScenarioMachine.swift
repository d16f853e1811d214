public import Holdfast
public import HoldfastScenario

/// Machines as a scenario describes them.
extension MachineConfiguration {
  /// The configuration of a scenario's `machine:`.
  ///
  /// - Throws: `ConfigurationError` where a size does not fit the tables.
  public init(_ spec: MachineSpec, policy: PlacementPolicy, backing: FrameBacking) throws(ConfigurationError)
  {
    var next = 0
    var nodes: [NodeConfiguration] = []
    for node in spec.nodes {
      let frames = try Self.frames(node.memory, "machine memory")
      let (end, overflow) = next.addingReportingOverflow(frames)
      guard !overflow else {
        throw ConfigurationError(
          field: "machine memory", found: "\(spec.nodes.count) nodes that overflow", expected: "less memory")
      }
      nodes.append(
        NodeConfiguration(
          memory: [FrameRange(start: FrameNumber(next), count: frames)], processors: node.cpus))
      next = end
    }
    self.init(nodes: nodes)
    self.policy = policy
    self.backing = backing
    pinBias = Int32(spec.pinBias)
    geometry.tableBits = spec.tableBits
    geometry.pageblockOrder = try Self.order(spec.pageblock, "pageblock")
    geometry.sectionOrder = try Self.order(spec.section, "section")
    geometry.blockOrder = try Self.order(spec.block, "block")
    geometry.maxOrder = max(geometry.pageblockOrder + 1, min(10, geometry.sectionOrder))
    if geometry.sectionOrder < geometry.maxOrder { geometry.maxOrder = geometry.sectionOrder }
    dmaLimit =
      try spec.dmaLimit.map { limit throws(ConfigurationError) in
        FrameNumber(try Self.frames(limit, "dma limit"))
      } ?? FrameNumber(0)
    dma32Limit =
      try spec.dma32Limit.map { limit throws(ConfigurationError) in
        FrameNumber(try Self.frames(limit, "dma32 limit"))
      } ?? dmaLimit
    if let core = spec.movableCore { movable = .movablecore(frames: try Self.frames(core, of: next)) }
    if let core = spec.kernelCore { movable = .kernelcore(frames: try Self.frames(core, of: next)) }
    zeroPage = spec.zeroPage.map(FrameNumber.init)
    cmaAreas = try spec.contiguousAreas.map { area throws(ConfigurationError) in
      try Self.area(area)
    }
    // Room to add memory again after it was removed comes from the blocks themselves.
    hotplugFrames = geometry.blockFrames * 8
  }

  static func area(_ area: MachineSpec.ContiguousArea) throws(ConfigurationError) -> CMAConfiguration {
    var base: FrameNumber?
    if let given = area.base { base = FrameNumber(try frames(given, "cma \(area.name)")) }
    return CMAConfiguration(
      name: area.name, frames: try frames(area.size, "cma \(area.name)"), base: base,
      zone: area.zone, alignment: try frames(area.align, "cma \(area.name)"))
  }

  private static func frames(_ size: MemorySize, _ field: String) throws(ConfigurationError) -> Int {
    guard size.pages < UInt64(UInt32.max) else {
      throw ConfigurationError(
        field: field, found: "\(size)", expected: "less than 16 TiB, the most that frame numbers count")
    }
    return Int(size.pages)
  }

  private static func frames(
    _ amount: MachineSpec.Amount, of total: Int
  ) throws(ConfigurationError) -> Int {
    switch amount {
    case .size(let size): try frames(size, "machine memory")
    case .percent(let percent): total / 100 * percent + total % 100 * percent / 100
    }
  }

  private static func order(_ size: MemorySize, _ field: String) throws(ConfigurationError) -> Int {
    let pages = try frames(size, field)
    guard pages.nonzeroBitCount == 1 else {
      throw ConfigurationError(field: field, found: "\(size)", expected: "a power of two of pages")
    }
    return pages.trailingZeroBitCount
  }
}
