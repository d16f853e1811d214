#if EXPLORER

/// Searches of the executions of a program.
public enum Exploration {
  /// Runs executions of a program, chosen by a strategy, until one is found wrong or nothing is left.
  ///
  /// - Parameters:
  ///   - checkpoint: where an earlier search of the same kind ended.
  ///   - check: called after every step that is not a repetition of the last execution's, and at the end of each
  ///     execution; what it reads are no steps.
  /// - Throws: `ExplorationError` if the program, the settings, the schedule or the checkpoint do not fit, or if the
  ///   program does not do the same when nothing else is decided.
  public static func run(
    _ program: ExploredProgram, strategy: ExplorationStrategy, settings: ExplorationSettings = .init(),
    from checkpoint: Checkpoint? = nil, check: ((Moment) -> Violation?)? = nil
  ) throws(ExplorationError) -> ExplorationReport {
    try Explorer(program, strategy, settings, check: check).run(from: checkpoint)
  }

  /// The traces of all executions that go to their ends; executions that differ only in the order of steps that
  /// have nothing to do with each other have the same.
  package static func traces(
    of program: ExploredProgram, strategy: ExplorationStrategy, settings: ExplorationSettings = .init(),
    onTrace: @escaping (UInt64) -> Void
  ) throws(ExplorationError) -> ExplorationReport {
    try Explorer(program, strategy, settings, check: nil, onTrace: onTrace).run()
  }
}
#endif
