import HoldfastLab
import Synchronization

/// A line on a terminal that says how far a long run has got.
///
/// Nothing is drawn in the first half second, so that short runs leave no flicker behind.
final class ProgressBar: Sendable {
  private struct State {
    /// Counted from here for each run.
    var title: String
    var isDrawn = false
  }

  private static let patience = Duration.milliseconds(500)

  private let start = ContinuousClock.now
  private let state: Mutex<State>

  /// A bar, or nil if standard error is not a terminal.
  init?(title: String) {
    guard Console.canRedraw else { return nil }
    state = Mutex(State(title: title))
  }

  /// Goes on to another run.
  func begin(_ title: String) {
    state.withLock { $0.title = title }
  }

  /// Draws where the run is now.
  func show(_ progress: RunProgress) {
    guard ContinuousClock.now - start >= Self.patience else { return }
    state.withLock { state in
      let line = Self.line(title: state.title, progress, width: Console.width)
      // Control characters cannot come from a scenario, whose names are words.
      Console.draw("\r\(line)\u{1B}[K")
      state.isDrawn = true
    }
  }

  /// Takes the bar away; what comes next starts on an empty line.
  func clear() {
    state.withLock { state in
      if state.isDrawn { Console.draw("\r\u{1B}[K") }
      state.isDrawn = false
    }
  }

  /// `linux-6.1 [######....] 12/20 host: offline ...`, no wider than the terminal.
  static func line(title: String, _ progress: RunProgress, width: Int) -> String {
    let cells = 20
    let done = progress.steps > 0 ? min(progress.stepsDone, progress.steps) * cells / progress.steps : 0
    let bar = String(repeating: "#", count: done) + String(repeating: ".", count: cells - done)
    let text = "\(title) [\(bar)] \(progress.stepsDone)/\(progress.steps) \(progress.current)"
    return String(text.prefix(max(width - 1, 0)))
  }
}
