extension MachineConfiguration {
  /// Where each node's ZONE_MOVABLE begins, nil for a node without one (rule 3.9).
  ///
  /// - Kernel: mm/page_alloc.c:find_zone_movable_pfns_for_nodes (6.1); without kernelcore=mirror.
  func plannedMovableStarts(_ memory: [NodeMemory]) throws(ConfigurationError) -> [Int?] {
    let total = memory.reduce(0) { $0 + $1.range.count }
    let kernelFrames: Int
    switch movable {
    case .none: return Array(repeating: nil, count: nodes.count)
    case .movableNodes(let chosen): return try wholeNodes(chosen, memory)
    case .kernelcore(let frames):
      guard frames >= 0 else { throw wrongShare("kernelcore", frames, total) }
      kernelFrames = frames
    case .movablecore(let frames):
      guard (0...total).contains(frames) else { throw wrongShare("movablecore", frames, total) }
      let unit = 1 << geometry.maxOrder
      kernelFrames = total - min(total, (frames + unit - 1) / unit * unit)
    }
    if kernelFrames == 0 || kernelFrames >= total { return Array(repeating: nil, count: nodes.count) }
    return spread(kernelFrames, memory)
  }

  private func wrongShare(_ word: String, _ frames: Int, _ total: Int) -> ConfigurationError {
    ConfigurationError(
      field: "movable", found: "\(word) of \(frames) frames", expected: "0 to the machine's \(total) frames")
  }

  /// `movable_node`: all memory of those nodes.
  private func wholeNodes(
    _ chosen: Set<Int>, _ memory: [NodeMemory]
  ) throws(ConfigurationError) -> [Int?] {
    for node in chosen.sorted() where !nodes.indices.contains(node) {
      throw ConfigurationError(
        field: "movable", found: "node \(node)", expected: "nodes 0 to \(nodes.count - 1)")
    }
    guard memory.contains(where: { !chosen.contains($0.node) }) else {
      throw ConfigurationError(
        field: "movable", found: "all memory in movable nodes",
        expected: "a node whose memory the kernel can use")
    }
    var starts: [Int?] = Array(repeating: nil, count: nodes.count)
    for part in memory where chosen.contains(part.node) {
      starts[part.node] = min(starts[part.node] ?? .max, part.range.start.index)
    }
    return rounded(starts, memory)
  }

  /// Shares the kernel's frames out evenly among nodes, each node's lowest memory first.
  private func spread(_ frames: Int, _ memory: [NodeMemory]) -> [Int?] {
    let end = memory.map(\.range.endIndex).max() ?? 0
    // The lowest frame of the highest zone that is not movable.
    let usable = end > dma32Limit.index ? dma32Limit.index : end > dmaLimit.index ? dmaLimit.index : 0
    let holders = nodes.indices.filter { node in memory.contains { $0.node == node } }
    var starts = Array(repeating: 0, count: nodes.count)
    var required = frames
    var nodesLeft = holders.count
    while true {
      var share = required / nodesLeft
      for node in holders {
        if required < share { share = required / nodesLeft }
        var remaining = share
        for part in memory where part.node == node {
          var start = max(part.range.start.index, starts[node])
          let partEnd = part.range.endIndex
          if start >= partEnd { continue }
          if start < usable {
            // The kernel has it in any case; it counts against the share.
            let kernel = min(partEnd, usable) - start
            remaining -= min(kernel, remaining)
            required -= min(kernel, required)
            if partEnd <= usable {
              starts[node] = partEnd
              continue
            }
            start = usable
          }
          let size = min(partEnd - start, remaining)
          starts[node] = start + size
          required -= min(required, size)
          remaining -= size
          if remaining == 0 { break }
        }
      }
      nodesLeft -= 1
      if nodesLeft == 0 || required <= nodesLeft { break }
    }
    return rounded(starts.map { Optional($0) }, memory)
  }

  /// Rounds up to the largest chunk; a node that has nothing left gets no ZONE_MOVABLE.
  private func rounded(_ starts: [Int?], _ memory: [NodeMemory]) -> [Int?] {
    let unit = 1 << geometry.maxOrder
    return starts.enumerated().map { node, start in
      guard let start, let last = memory.last(where: { $0.node == node }) else { return nil }
      let up = (start + unit - 1) / unit * unit
      return up < last.range.endIndex ? up : nil
    }
  }
}
