import Holdfast
public import HoldfastScenario
import Interleaving

/// Explores the interleavings of a scenario's actors on the engine.
public enum ScenarioExplorer {
  /// Runs the scenario in every order that the search asks for.
  ///
  /// The machine is built once, and put back before each execution. Invariants are checked at the end of each one.
  ///
  /// - Throws: `RunFailure` if the scenario cannot be explored, or a schedule or checkpoint cannot be used.
  public static func explore(_ scenario: Scenario, _ options: ExploreOptions) throws(RunFailure)
    -> ExploreReport
  {
    var exploration = try ScenarioExploration(scenario, options)
    return try exploration.explore()
  }
}

/// One exploration: its passes, and what they found.
private struct ScenarioExploration {
  let scenario: Scenario
  let options: ExploreOptions
  /// The first one also minimises findings.
  let workers: [ScenarioWorker]
  var report: ExploreReport
  /// The first finding of each name.
  var findings: [Finding] = []
  var occurrences: [String: Int] = [:]
  /// Executions of this run, without those before a checkpoint.
  var spent = 0
  /// The state of the last search, if it is not complete.
  var place: Checkpoint?
  let start = ContinuousClock.now

  init(_ scenario: Scenario, _ options: ExploreOptions) throws(RunFailure) {
    self.scenario = scenario
    self.options = options
    var workers = [try ScenarioWorker(scenario, options)]
    if !options.isReplay {
      while workers.count < options.jobs { workers.append(try ScenarioWorker(scenario, options)) }
    }
    self.workers = workers
    let machine = workers[0].machine
    report = ExploreReport(scenario, policy: machine.policy, stateBytes: machine.machine.stateSize)
    report.faults = options.faults
  }

  mutating func explore() throws(RunFailure) -> ExploreReport {
    var searches = ArraySlice(try searches())
    var former: (pass: ExploreReport.Pass, place: Checkpoint)?
    let subject = ExploreCheckpoint.Subject(scenario, options)
    if let resume = options.resume {
      try resume.accept(subject)
      report.passes = Array(resume.passes.dropLast())
      searches = searches.dropFirst(report.passes.count)
      findings = resume.findings
      occurrences = resume.occurrences
      former = resume.passes.last.map { ($0, resume.place) }
    }
    for (strategy, name) in searches {
      guard try pass(strategy, name, after: former) else { break }
      former = nil
    }
    let ends = differentEnds()
    if let place {
      options.keep?(
        ExploreCheckpoint(
          subject, passes: report.passes, place: place, findings: findings, occurrences: occurrences,
          ends: ends))
    }
    report.summarise(scenario)
    report.ends = ends?.count
    for finding in findings where !report.noteWitness(finding.name, finding.schedule.description) {
      report.findings.append(try shown(finding))
    }
    return report
  }

  /// The hashes of the ends of executions, of all workers; nil if they were too many.
  private func differentEnds() -> [UInt64]? {
    var all: Set<UInt64> = []
    for ends in workers.map(\.run.ends) + [options.resume.map(\.ends) ?? []] {
      guard let ends else { return nil }
      all.formUnion(ends)
    }
    return all.sorted()
  }

  /// The searches to be made, in order.
  private func searches() throws(RunFailure) -> [(ExplorationStrategy, String)] {
    func bounded(_ bound: Int) -> [(ExplorationStrategy, String)] {
      (0...bound).map { (.preemptionBounded($0), "at most \($0) preemption\($0 == 1 ? "" : "s")") }
    }
    let exhaustive: [(ExplorationStrategy, String)] = [(.reduced, "one of each trace")]
    switch options.search {
    case .bounded(let bound): return bounded(bound)
    case .exhaustive: return exhaustive
    case .standard: return bounded(2) + exhaustive
    case .random(let seed): return [(.random(seed: seed), "random, seed \(seed)")]
    case .priorities(let depth, let seed):
      return [(.priorities(depth: depth, seed: seed), "random priorities of depth \(depth), seed \(seed)")]
    case .replay(let line):
      do throws(ExplorationError) {
        return [(.replay(try Schedule(line)), "the given schedule")]
      } catch {
        throw RunFailure.badInput("--replay: \(error)")
      }
    }
  }

  private var settings: ExplorationSettings {
    var settings = ExplorationSettings()
    settings.stopsAtFinding = options.stopsAtFinding
    settings.choiceBudget = options.faults
    settings.storeBuffers = options.storeBuffers
    return settings
  }

  /// Makes one search; false if it is the last.
  private mutating func pass(
    _ strategy: ExplorationStrategy, _ name: String,
    after former: (pass: ExploreReport.Pass, place: Checkpoint)?
  ) throws(RunFailure) -> Bool {
    var settings = settings
    settings.cancellation = options.stop?.flag
    let isBounded = if case .preemptionBounded = strategy { true } else { false }
    if isBounded { settings.mergesEqualTraces = options.merges }
    if let time = options.time { settings.time = max(.zero, time - (ContinuousClock.now - start)) }
    let before = former?.place.counts.executions ?? 0
    if let executions = options.executions { settings.executions = before + max(0, executions - spent) }
    let found: ExplorationReport
    do throws(ExplorationError) {
      found = try Exploration.run(
        workers.map(\.job), strategy: strategy, settings: settings, from: former?.place)
    } catch {
      if options.isReplay { throw RunFailure.badInput("--replay: \(error)") }
      if former != nil { throw RunFailure.badInput("--resume: \(error)") }
      throw RunFailure.internalError("\(error)")
    }
    spent += found.counts.executions - before
    place = found.checkpoint
    var states = StateHistogram()
    for row in (former?.pass.states ?? []) + workers.flatMap({ $0.run.takeStates().rows }) {
      states.add(row.state, count: row.count)
    }
    let elapsed = found.elapsed.components
    report.passes.append(
      ExploreReport.Pass(
        search: name, end: ExploreReport.End(found.end, isBounded: isBounded),
        executions: found.counts.executions,
        completed: found.counts.completed, redundant: found.counts.redundant, steps: found.counts.steps,
        deepest: found.counts.deepest, orders: found.counts.orders,
        merged: settings.mergesEqualTraces ? found.counts.states : nil,
        seconds: (former?.pass.seconds ?? 0) + Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18,
        states: states.rows))
    for finding in found.findings where !findings.contains(where: { $0.name == finding.name }) {
      findings.append(finding)
    }
    for (name, count) in found.occurrences { occurrences[name] = max(occurrences[name] ?? 0, count) }
    if options.showsExecution, options.isReplay, case .replay(let schedule) = strategy {
      report.execution = try workers[0].operations(of: schedule, settings)
    }
    return found.end == .boundReached
  }

  // MARK: Findings

  /// A finding, minimised, as the report shows it.
  private mutating func shown(_ finding: Finding) throws(RunFailure) -> ExploreReport.Finding {
    let worker = workers[0]
    let settings = settings
    var finding = finding
    if !options.isReplay {
      finding = try minimised(try repeated(finding))
    }
    let operations = try worker.operations(of: finding.schedule, settings)
    if options.showsExecution, report.execution == nil { report.execution = operations }
    let changes = try worker.changes(of: finding, settings)
    var shown = ExploreReport.Finding(
      kind: finding.kind.rawValue, name: finding.name, text: worker.named(finding.text),
      occurrences: occurrences[finding.name] ?? 1, preemptions: finding.preemptions,
      runs: runs(of: Array(operations.prefix(finding.steps.count))),
      replay: finding.schedule.description)
    // Runs before the execution began have no changes.
    let first = shown.runs.count - changes.count
    if first >= 0 {
      for (index, changes) in changes.enumerated() { shown.runs[first + index].changes = changes }
    }
    return shown
  }

  /// The finding as the first worker finds it again in this run, with this run's addresses.
  private func repeated(_ finding: Finding) throws(RunFailure) -> Finding {
    let worker = workers[0]
    let settings = settings
    let report = try worker.exploring { () throws(ExplorationError) in
      try Exploration.run(
        worker.program, strategy: .replay(finding.schedule), settings: settings, check: worker.run.violation)
    }
    var again = report.findings.first { $0.name == finding.name } ?? finding
    again.execution = finding.execution
    return again
  }

  private func minimised(_ finding: Finding) throws(RunFailure) -> Finding {
    let worker = workers[0]
    let most = options.minimising
    var settings = settings
    settings.cancellation = options.stop?.flag
    return try worker.exploring { () throws(ExplorationError) in
      try Exploration.minimise(
        finding, of: worker.program, settings: settings, executions: most, check: worker.run.violation)
    }
  }

  /// The steps of an execution, those of one actor in one step of the scenario taken together.
  private func runs(of operations: [ExploreReport.ExecutedOperation]) -> [ExploreReport.Finding.Run] {
    let run = workers[0].run
    var runs: [ExploreReport.Finding.Run] = []
    var before = 0
    for step in run.prologue {
      let place = workers[0].name(of: step.address)
      runs.append(
        ExploreReport.Finding.Run(
          actor: run.plan[step.step].actor, step: run.plan[step.step].name, first: before + 1,
          count: step.count, last: place.isEmpty ? "\(step.kind)" : "\(step.kind) \(place)", value: nil))
      before += step.count
    }
    for (index, operation) in operations.enumerated() {
      let last = operation.word.isEmpty ? operation.kind : "\(operation.kind) \(operation.word)"
      if let previous = runs.last, previous.actor == operation.actor, previous.step == operation.step {
        runs[runs.count - 1].count += 1
        runs[runs.count - 1].last = last
        runs[runs.count - 1].value = operation.value
      } else {
        runs.append(
          ExploreReport.Finding.Run(
            actor: operation.actor, step: operation.step, first: before + index + 1, count: 1, last: last,
            value: operation.value))
      }
    }
    return runs
  }
}

extension ExploreOptions {
  fileprivate var isReplay: Bool {
    if case .replay = search { true } else { false }
  }
}

extension ExploreReport.End {
  fileprivate init(_ end: ExplorationEnd, isBounded: Bool) {
    self =
      switch end {
      case .exhausted: .exhausted
      case .boundReached: isBounded ? .boundReached : .cut
      case .finding, .replayed: .replayed
      case .executions: .executions
      case .time: .time
      case .cancelled: .interrupted
      }
  }
}
