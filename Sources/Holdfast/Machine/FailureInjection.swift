import Interleaving

/// Failures that are asked for, to see that nothing leaks: by count, or by the explorer's choice.
package struct Failures: Room {
  package let machine: Machine
}

extension Room {
  /// Injected failures.
  @inline(__always)
  package var failures: Failures { Failures(machine: machine) }
}

extension Machine {
  /// Makes the next attempts at something fail, to test that nothing leaks.
  ///
  /// Replaces an earlier injection at that point; a count of 0 ends it.
  ///
  /// - Parameters:
  ///   - point: what fails.
  ///   - count: number of attempts that fail.
  ///   - after: number of attempts that still succeed before.
  public func injectFailures(_ point: FailurePoint, count: Int, after: Int = 0) {
    global.failures(point).store(0)
    global.failureDelay(point).store(UInt32(clamping: after))
    global.failures(point).store(UInt32(clamping: count))
  }
}

extension Failures {
  /// Whether this attempt fails: because a failure was injected, or because an explorer chose so.
  @inline(__always)
  package func shouldFail(_ point: FailurePoint) -> Bool { shouldFail(point, "\(point) fails") }

  /// `shouldFail` with a name of its own for what the explorer chooses.
  @inline(__always)
  package func shouldFail(_ point: FailurePoint, _ words: @autoclosure () -> String) -> Bool {
    if global.failures(point).load(.relaxed) != 0, consumeFailure(point) { return true }
    return choose(named: words(), among: 2) != 0
  }

  @inline(never)
  private func consumeFailure(_ point: FailurePoint) -> Bool {
    if Self.decrement(global.failureDelay(point)) { return false }
    return Self.decrement(global.failures(point))
  }

  /// Subtracts one from a count that is not zero.
  private static func decrement(_ cell: AtomicUInt32) -> Bool {
    var seen = cell.load(.relaxed)
    while seen != 0 {
      let (exchanged, original) = cell.compareExchange(seen, seen - 1)
      if exchanged { return true }
      seen = original
    }
    return false
  }
}
