/// Searches of the executions of a program.
///
/// An execution is a sequence of steps. A step is one operation on an atomic cell or a lock, and everything that
/// its actor does after it until its next one; memory is sequentially consistent, unless stores are buffered. Plain
/// accesses are not steps: without a data race, which is a finding, nothing depends on when they happen. Two
/// executions that differ only in the order of independent steps are one trace.
///
/// An actor that waits for a lock cannot run until the lock is free. An actor that tries again (`giveWay`, `wait`)
/// runs when another actor has written something that it has read; when no other actor can run, the actors that try
/// again do so in turn.
///
/// A search runs on the thread that calls it. Several threads may each run one.
public enum Exploration {
  /// Runs executions of a program, chosen by a strategy, until a finding ends the search or nothing is left.
  ///
  /// - Parameters:
  ///   - checkpoint: where an earlier search of the same kind ended.
  ///   - check: called after every step that does not repeat the execution before, and at the end of each execution;
  ///     what it reads are not steps.
  /// - Throws: `ExplorationError` if the program, the settings, the schedule or the checkpoint do not fit, or if the
  ///   program does not do the same when the same is decided.
  public static func run(
    _ program: ExploredProgram, strategy: ExplorationStrategy, settings: ExplorationSettings = .init(),
    from checkpoint: Checkpoint? = nil, check: @escaping (Moment) -> Violation? = { _ in nil }
  ) throws(ExplorationError) -> ExplorationReport {
    try run([ExplorationJob(program, check: check)], strategy: strategy, settings: settings, from: checkpoint)
  }

  /// Runs executions of a program by several workers at once, each on its own thread and with its own copy.
  ///
  /// Random executions are dealt out, and are the same for any number of workers. A depth-first search is divided at
  /// its first decisions; as many executions go to their ends as with one worker, but more may be given up as
  /// redundant.
  ///
  /// - Parameters:
  ///   - jobs: copies of one program.
  ///   - checkpoint: where an earlier search of the same kind ended, by any number of workers.
  /// - Throws: `ExplorationError` as the search by one worker does.
  public static func run(
    _ jobs: [ExplorationJob], strategy: ExplorationStrategy, settings: ExplorationSettings = .init(),
    from checkpoint: Checkpoint? = nil
  ) throws(ExplorationError) -> ExplorationReport {
    guard let first = jobs.first else { throw ExplorationError("jobs: found none, expected 1 or more") }
    if jobs.count == 1, checkpoint?.isShared != true {
      var result: Result<ExplorationReport, ExplorationError>?
      first.surround {
        result = Result { () throws(ExplorationError) in
          try Explorer(first, strategy, settings).run(from: checkpoint)
        }
      }
      guard let result else { throw ExplorationError("jobs: the surroundings did not run the job") }
      return try result.get()
    }
    var explorers: [Explorer] = []
    for job in jobs {
      guard job.program.hash == first.program.hash else {
        throw ExplorationError("jobs: found different programs, expected copies of one")
      }
      explorers.append(try Explorer(job, strategy, settings))
    }
    return try SharedRun(jobs, explorers, settings, from: checkpoint).run()
  }
}
