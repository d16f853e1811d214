import Interleaving

/// Counting: each processor has its own cells, which only the thread on it writes.
package struct Counters: Room {
  package let machine: Machine
}

extension Room {
  /// The counters of /proc/vmstat.
  @inline(__always)
  package var counters: Counters { Counters(machine: machine) }
}

extension Machine {
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

extension Counters {
  /// Counts events.
  @inline(__always)
  package func bump(_ event: EventCounter, by number: UInt64 = 1, on process: Process) {
    machine.processor(process.processor).event(event).addAsOwner(number)
  }

  /// Changes a node's count.
  @inline(__always)
  package func count(_ counter: NodeCounter, node: Int, by delta: Int, on processor: Int) {
    machine.processor(processor).count(counter, node: node)
      .addAsOwner(UInt64(bitPattern: Int64(delta)))
  }
}
