import Interleaving

extension Machine {
  /// Makes the next attempts at something fail, to see that nothing leaks.
  ///
  /// Replaces what was asked for at that point before; a count of 0 takes it back.
  ///
  /// - Parameters:
  ///   - point: what fails.
  ///   - count: how many attempts fail.
  ///   - after: how many attempts still succeed before.
  public func injectFailures(_ point: FailurePoint, count: Int, after: Int = 0) {
    global.failures(point).store(0)
    global.failureDelay(point).store(UInt32(clamping: after))
    global.failures(point).store(UInt32(clamping: count))
  }

  /// Whether this attempt is one that was asked to fail, or that an explorer lets fail.
  @inline(__always)
  func shouldFail(_ point: FailurePoint) -> Bool {
    if global.failures(point).load(.relaxed) != 0, consumeFailure(point) { return true }
    return choose(named: "\(point) fails", among: 2) != 0
  }

  @inline(never)
  private func consumeFailure(_ point: FailurePoint) -> Bool {
    if Self.decrement(global.failureDelay(point)) { return false }
    return Self.decrement(global.failures(point))
  }

  /// Takes one off a count that is not zero.
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
