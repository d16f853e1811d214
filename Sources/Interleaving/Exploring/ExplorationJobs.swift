import Glibc

/// What one worker of a search runs: a program with memory of its own.
public struct ExplorationJob {
  /// The program.
  public var program: ExploredProgram
  /// Called after every step that is not a repetition of the last execution's, and at the end of each execution.
  public var check: (Moment) -> Violation?
  /// Called on the worker's thread around everything that it does.
  public var surround: (() -> Void) -> Void

  /// A job.
  public init(
    _ program: ExploredProgram, check: @escaping (Moment) -> Violation? = { _ in nil },
    surround: @escaping (() -> Void) -> Void = { $0() }
  ) {
    self.program = program
    self.check = check
    self.surround = surround
  }
}

extension Exploration {
  /// Runs executions of a program by several workers at once, each on a thread and with a copy of the program.
  ///
  /// Random executions are dealt out, and the same whoever runs them. A depth-first search is divided at its first
  /// decisions; as many executions go to their ends as with one worker, though more may be given up as redundant.
  ///
  /// - Parameters:
  ///   - jobs: copies of one program.
  ///   - checkpoint: where an earlier search of the same kind ended, by however many workers.
  /// - Throws: `ExplorationError` as the search by one worker does.
  public static func run(
    _ jobs: [ExplorationJob], strategy: ExplorationStrategy, settings: ExplorationSettings = .init(),
    from checkpoint: Checkpoint? = nil
  ) throws(ExplorationError) -> ExplorationReport {
    try run(jobs, strategy, settings, checkpoint, onTrace: nil)
  }

  static func run(
    _ jobs: [ExplorationJob], _ strategy: ExplorationStrategy, _ settings: ExplorationSettings,
    _ checkpoint: Checkpoint?, onTrace: ((UInt64) -> Void)?
  ) throws(ExplorationError) -> ExplorationReport {
    guard let first = jobs.first else { throw ExplorationError("jobs: found none, expected 1 or more") }
    if jobs.count == 1, checkpoint?.isShared != true {
      var result: Result<ExplorationReport, ExplorationError>?
      first.surround {
        result = Result { () throws(ExplorationError) in
          try Explorer(first.program, strategy, settings, check: first.check, onTrace: onTrace)
            .run(from: checkpoint)
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
      explorers.append(
        try Explorer(job.program, strategy, settings, check: job.check, onTrace: onTrace))
    }
    return try SharedRun(jobs, explorers, settings, from: checkpoint).run(from: checkpoint)
  }
}

/// The workers of one search.
private struct SharedRun {
  /// One worker with what it has come to.
  private final class Worker: @unchecked Sendable {
    // Sendable: one thread works, and who asks for the result has joined it.
    let explorer: Explorer
    let job: ExplorationJob
    let shared: SharedSearch
    var result: Result<ExplorationReport, ExplorationError>?

    init(_ explorer: Explorer, _ job: ExplorationJob, _ shared: SharedSearch) {
      self.explorer = explorer
      self.job = job
      self.shared = shared
    }

    func work() {
      job.surround {
        result = Result { () throws(ExplorationError) in try explorer.run(sharing: shared) }
      }
      // Others would wait for it.
      if case .success = result { return }
      shared.stop(nil)
    }
  }

  private let workers: [Worker]
  private let shared: SharedSearch

  init(
    _ jobs: [ExplorationJob], _ explorers: [Explorer], _ settings: ExplorationSettings,
    from checkpoint: Checkpoint?
  ) throws(ExplorationError) {
    if let checkpoint {
      for explorer in explorers { try explorer.accept(checkpoint) }
      explorers[0].resumeCounts(checkpoint)
    }
    let shared = SharedSearch(workers: jobs.count, executions: settings.executions, from: checkpoint)
    self.shared = shared
    workers = zip(explorers, jobs).map { Worker($0, $1, shared) }
  }

  func run(from checkpoint: Checkpoint?) throws(ExplorationError) -> ExplorationReport {
    let clock = ContinuousClock()
    let start = clock.now
    var threads: [pthread_t] = []
    for worker in workers.dropFirst() {
      var thread = pthread_t()
      let context = Unmanaged.passRetained(worker)
      let result = pthread_create(
        &thread, nil,
        { context in
          if let context { Unmanaged<Worker>.fromOpaque(context).takeRetainedValue().work() }
          return nil
        }, context.toOpaque())
      guard result == 0 else {
        context.release()
        shared.stop(nil)
        for thread in threads { pthread_join(thread, nil) }
        throw ExplorationError("threads: errno \(result), expected one for each of \(workers.count) jobs")
      }
      threads.append(thread)
    }
    workers.first?.work()
    for thread in threads { pthread_join(thread, nil) }
    var reports: [ExplorationReport] = []
    for worker in workers {
      guard let result = worker.result else {
        throw ExplorationError("jobs: the surroundings did not run the job")
      }
      reports.append(try result.get())
    }
    return sum(reports, elapsed: clock.now - start)
  }

  private func sum(_ reports: [ExplorationReport], elapsed: Duration) -> ExplorationReport {
    var total = reports[0]
    for report in reports.dropFirst() {
      total.counts.add(report.counts)
      total.stepsTaken += report.stepsTaken
      for (name, count) in report.occurrences { total.occurrences[name, default: 0] += count }
      for finding in report.findings {
        if let place = total.findings.firstIndex(where: { $0.name == finding.name }) {
          if finding.execution < total.findings[place].execution { total.findings[place] = finding }
        } else {
          total.findings.append(finding)
        }
      }
    }
    total.findings.sort { $0.execution < $1.execution }
    total.elapsed = elapsed
    let explorers = workers.map(\.explorer)
    let isCut = explorers.contains(where: \.isCut)
    total.end = shared.reason ?? (isCut ? .boundReached : .exhausted)
    total.checkpoint = nil
    if shared.reason != nil {
      var checkpoint = explorers[0].checkpoint()
      checkpoint.counts = total.counts
      checkpoint.findings = total.findings
      checkpoint.occurrences = total.occurrences
      checkpoint.isCut = isCut
      checkpoint.longest = explorers.compactMap(\.longest).first
      checkpoint.isShared = true
      checkpoint.paths = explorers.filter(\.isLeft).map { shared.saved($0) } + shared.remaining
      total.checkpoint = checkpoint
    }
    return total
  }
}

extension ExplorationReport.Counts {
  /// Adds what another worker has counted.
  mutating func add(_ other: Self) {
    executions += other.executions
    completed += other.completed
    redundant += other.redundant
    steps += other.steps
    states += other.states
    if (other.deepest, other.orders) > (deepest, orders) { (deepest, orders) = (other.deepest, other.orders) }
  }
}
