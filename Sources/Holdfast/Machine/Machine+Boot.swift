import Interleaving

extension Machine {
  /// Lays out zones, blocks, CMA areas and free lists in an arena of zeros.
  ///
  /// Free memory is counted at once, but its descriptors are made section by section when first needed; what
  /// this touches grows with blocks and sections, not with frames. No other thread knows the machine yet, so
  /// no lock is taken.
  ///
  /// - Throws: `ConfigurationError` (EINVAL) if the host refuses the bytes of memory that boot needs.
  func boot(_ plan: ZonePlan) throws(ConfigurationError) {
    bootProcessors()
    buddy.bootLists()
    buddy.bootZones()
    blocks.bootBlocks()
    global.zeroPage = plan.zeroPage
    cma.bootAreas(plan.cmaAreas)
    for section in 0..<(frameCount >> geometry.sectionOrder) { try buddy.bootSection(section) }
    guard buddy.materialise(FrameRange(start: plan.zeroPage, count: 1)) else {
      throw buddy.noBytes(plan.zeroPage)
    }
    folios.zero(plan.zeroPage)
    buddy.recomputeWatermarks()
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
}
