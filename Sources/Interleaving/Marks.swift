#if EXPLORER
import CLinux
#endif

/// Tells the explorer which step of the program the current actor begins, by its place in
/// `ExploredProgram.stepNames`.
@inline(__always)
public func markStep(_ name: Int) {
  #if EXPLORER
  _ = Explorer.withCurrent { $0.beginStep(name) }
  #endif
}

/// A point at which the world outside the program may answer in one of several ways; 0 is the ordinary answer.
///
/// An explorer tries every answer, within its budget of answers other than 0. Without an explorer the answer is 0.
@inline(__always)
public func choose(named name: @autoclosure () -> String, among count: Int) -> Int {
  #if EXPLORER
  // The name is composed only if it is needed.
  Explorer.withCurrent { $0.settings.choiceBudget > 0 ? $0.choose(name(), among: count) : 0 } ?? 0
  #else
  0
  #endif
}

/// Whether an explorer tries answers other than 0 in this execution.
@inline(__always)
public var hasChoices: Bool {
  #if EXPLORER
  Explorer.withCurrent { $0.settings.choiceBudget > 0 } ?? false
  #else
  false
  #endif
}

#if EXPLORER
/// The actor of an explorer that runs on this thread, by its place in `ExploredProgram.actors`.
public var currentActor: Int? {
  Explorer.withCurrent { explorer in
    let current = explorer.execution.current
    return current == Execution.nobody ? nil : current
  } ?? nil
}
#endif
