/// Searches of the executions of a program.
///
/// An execution is a sequence of steps. A step is one operation on an atomic cell or a lock, and everything that
/// its actor does after it until its next one; memory is sequentially consistent, unless stores are buffered. Plain
/// accesses are no steps: without a data race, which is a finding, nothing depends on when they happen. Two
/// executions that differ only in the order of steps which have nothing to do with each other are one trace.
///
/// An actor that waits for a lock cannot go on until it is free. One that tries again (`giveWay`, `wait`) goes on
/// when something it has read was written by another, and in turn with its like when nobody else can go on.
///
/// A search runs on the thread that calls it; several threads may each run one.
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
    from checkpoint: Checkpoint? = nil, check: @escaping (Moment) -> Violation? = { _ in nil }
  ) throws(ExplorationError) -> ExplorationReport {
    try run([ExplorationJob(program, check: check)], strategy: strategy, settings: settings, from: checkpoint)
  }

  /// The traces of all executions that go to their ends; executions that differ only in the order of steps that
  /// have nothing to do with each other have the same.
  package static func traces(
    of program: ExploredProgram, strategy: ExplorationStrategy, settings: ExplorationSettings = .init(),
    onTrace: @escaping (UInt64) -> Void
  ) throws(ExplorationError) -> ExplorationReport {
    try run([ExplorationJob(program)], strategy, settings, nil, onTrace: onTrace)
  }

  /// The traces of all executions that several workers run.
  ///
  /// - Parameter onTrace: called on the workers' threads.
  package static func traces(
    ofCopies programs: [ExploredProgram], strategy: ExplorationStrategy,
    settings: ExplorationSettings = .init(), from checkpoint: Checkpoint? = nil,
    onTrace: @escaping @Sendable (UInt64) -> Void
  ) throws(ExplorationError) -> ExplorationReport {
    try run(programs.map { ExplorationJob($0) }, strategy, settings, checkpoint, onTrace: onTrace)
  }
}
