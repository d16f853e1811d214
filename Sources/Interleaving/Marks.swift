#if EXPLORER
import CLinux
#endif

/// Tells an explorer which step of the program the current actor begins: a place in `ExploredProgram.stepNames`.
@inline(__always)
public func markStep(_ name: Int) {
  #if EXPLORER
  _ = Explorer.withCurrent { $0.beginStep(name) }
  #endif
}

/// A point at which the world may answer in one of several ways; 0 is the ordinary one.
///
/// An explorer tries every answer, within its budget of answers other than 0. Elsewhere the answer is 0.
@inline(__always)
public func choose(named name: @autoclosure () -> String, among count: Int) -> Int {
  #if EXPLORER
  // The name is made up only where it is wanted.
  Explorer.withCurrent { $0.settings.choiceBudget > 0 ? $0.choose(name(), among: count) : 0 } ?? 0
  #else
  0
  #endif
}

/// Whether an explorer tries other answers of the world in this execution.
@inline(__always)
public var hasChoices: Bool {
  #if EXPLORER
  Explorer.withCurrent { $0.settings.choiceBudget > 0 } ?? false
  #else
  false
  #endif
}

#if EXPLORER
/// The actor of an explorer that runs on this thread: its place in `ExploredProgram.actors`.
public var currentActor: Int? {
  Explorer.withCurrent { $0.current == Explorer.nobody ? nil : $0.current } ?? nil
}
#endif
