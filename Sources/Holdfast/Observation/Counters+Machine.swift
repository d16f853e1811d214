import Interleaving

/// Counting: each processor has its own cells, which only the thread on it writes.
extension Machine {
  /// Counts events.
  @inline(__always)
  func bump(_ event: EventCounter, by number: UInt64 = 1, on process: Process) {
    processor(process.processor).event(event).addAsOwner(number)
  }

  /// Changes a node's count.
  @inline(__always)
  func count(_ counter: NodeCounter, node: Int, by delta: Int, on processor: Int) {
    self.processor(processor).count(counter, node: node)
      .addAsOwner(UInt64(bitPattern: Int64(delta)))
  }

  /// How often something happened, over all processors; calls under way may be missing.
  public func total(_ event: EventCounter) -> UInt64 {
    (0..<configuration.processors).reduce(0) { $0 &+ processor($1).event(event).load(.relaxed) }
  }

  /// A count of a node, or of the machine; calls under way may be counted in part.
  public func total(_ counter: NodeCounter, node: Int? = nil) -> Int64 {
    let nodes = node.map { $0..<$0 + 1 } ?? 0..<configuration.nodes.count
    var sum: UInt64 = 0
    for number in 0..<configuration.processors {
      for node in nodes { sum &+= processor(number).count(counter, node: node).load(.relaxed) }
    }
    return Int64(bitPattern: sum)
  }
}
