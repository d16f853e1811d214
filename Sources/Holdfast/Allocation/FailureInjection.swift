import Interleaving

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

  /// Whether this attempt fails: because a failure was injected, or because an explorer chose so.
  @inline(__always)
  func shouldFail(_ point: FailurePoint) -> Bool { shouldFail(point, "\(point) fails") }

  /// `shouldFail` with a name of its own for what the explorer chooses.
  @inline(__always)
  private func shouldFail(_ point: FailurePoint, _ words: @autoclosure () -> String) -> Bool {
    if global.failures(point).load(.relaxed) != 0, consumeFailure(point) { return true }
    return choose(named: words(), among: 2) != 0
  }

  /// Where a folio's references are about to be compared with those that can be explained.
  enum BystanderPlace: String {
    /// By the migration of the folio.
    case migration
    /// By a scan for movable folios: contiguous allocation and compaction.
    case rangeScan = "a range's scan"
    /// By a pass of an offline over its block, in all its attempts.
    case offlinePass = "an offline's pass"
  }

  /// Lets a bystander take a reference on a folio, if a failure was injected or an explorer chooses so.
  ///
  /// - Returns: whether the bystander has a reference now, which the caller drops at the end of its attempt.
  @inline(__always)
  func bystanderRefers(to head: FrameNumber, before place: BystanderPlace, on processor: Int) -> Bool {
    guard shouldFail(.reference, "a bystander's reference before \(place.rawValue)") else { return false }
    return tryGetFolio(head, processor: processor) != nil
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
