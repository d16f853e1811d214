import Glibc

/// What one worker of a search runs: a program with memory of its own.
public struct ExplorationJob {
  /// The program.
  public var program: ExploredProgram
  /// Called after every step that does not repeat the execution before, and at the end of each execution.
  public var check: (Moment) -> Violation?
  /// Called on the worker's thread around everything that it does.
  public var surround: (() -> Void) -> Void
  /// Called on the worker's thread with the trace of each execution that went to its end: executions that differ
  /// only in the order of independent steps have the same.
  package var onTrace: ((UInt64) -> Void)?

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

/// The workers of one search.
struct SharedRun {
  /// One worker and its result.
  private final class Worker: @unchecked Sendable {
    // Sendable: one thread works, and the result is read after that thread was joined.
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
      // The other workers would wait for this one.
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
      explorers[0].search.resumeCounts(checkpoint)
    }
    let shared = SharedSearch(workers: jobs.count, executions: settings.executions, from: checkpoint)
    self.shared = shared
    workers = zip(explorers, jobs).map { Worker($0, $1, shared) }
  }

  func run() throws(ExplorationError) -> ExplorationReport {
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
    let isCut = explorers.contains { $0.search.isCut }
    total.end = shared.reason ?? (isCut ? .boundReached : .exhausted)
    total.checkpoint = nil
    if shared.reason != nil {
      var checkpoint = explorers[0].checkpoint()
      checkpoint.counts = total.counts
      checkpoint.findings = total.findings
      checkpoint.occurrences = total.occurrences
      checkpoint.isCut = isCut
      checkpoint.longest = explorers.compactMap { $0.search.longest }.first
      checkpoint.isShared = true
      checkpoint.paths =
        explorers.filter { $0.search.isLeft }.map { shared.saved($0.search) } + shared.remaining
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
