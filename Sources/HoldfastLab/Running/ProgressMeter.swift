import Dispatch

/// Tells how far a run is, at most every 50 ms.
final class ProgressMeter {
  private let total: Int
  private let report: (@Sendable (RunProgress) -> Void)?
  private var done = 0
  private var current = ""
  private var last: UInt64 = 0

  init(total: Int, report: (@Sendable (RunProgress) -> Void)?) {
    self.total = total
    self.report = report
  }

  func note(_ what: String) {
    current = what
    tell()
  }

  func stepDone() {
    done += 1
    tell()
  }

  private func tell() {
    guard let report else { return }
    let now = DispatchTime.now().uptimeNanoseconds
    guard now - last > 50_000_000 || done == total else { return }
    last = now
    report(RunProgress(stepsDone: done, steps: total, current: current))
  }
}
