import Dispatch
import Holdfast
public import HoldfastScenario

/// Runs scenarios on the engine.
public enum ScenarioRunner {
  /// Runs a scenario to its end.
  ///
  /// - Throws: `RunFailure` if it cannot begin, or if the actors wait for each other for ever.
  public static func run(_ scenario: Scenario, _ options: RunOptions) throws(RunFailure) -> RunReport {
    let started = DispatchTime.now().uptimeNanoseconds
    let missing = EngineLimits.missing(in: scenario)
    guard missing.isEmpty else {
      throw RunFailure.cannotRun(
        "\(scenario.name): the engine cannot yet \(missing.joined(separator: ", "))")
    }
    let policyName = options.policy ?? scenario.policy
    guard let policy = PlacementPolicy(name: policyName.rawValue) else {
      throw RunFailure.internalError("the engine does not know the policy \(policyName)")
    }
    for name in options.precedence where scenario.actor(named: name) == nil {
      throw RunFailure.badInput("\(scenario.file): \"\(name)\" is to take precedence and is no actor")
    }
    let log = options.collectTrace ? TraceLog() : nil
    let built = try BuiltMachine(scenario, options, policy, log)
    let run = ScenarioRun(scenario, policyName, built, options, log)
    var report = try run.run()
    report.wallNanoseconds = DispatchTime.now().uptimeNanoseconds - started
    return report
  }
}

/// One run: actors on their threads, and what is noted about each step.
///
/// Touched by the holder of the scheduler's baton only.
final class ScenarioRun {
  private let stage: Stage
  private let built: BuiltMachine
  private let options: RunOptions
  private let log: TraceLog?
  private let scheduler = TurnScheduler()
  /// By precedence; the scheduler knows them by their index here.
  private let actors: [Scenario.Actor]
  private var report: RunReport
  private var looks: Looks
  private var records: [StepRecord] = []
  private var labelsDone: Set<String> = []
  /// Labels whose steps have begun, and which actor is inside.
  private var labelsBegun: [String: Int] = [:]
  private var ended = false
  private var mandatory: [Verdict] = []
  private var violations: [InvariantViolation] = []
  private let progress: ProgressMeter
  private let countersBefore: [(name: String, value: UInt64)]

  init(
    _ scenario: Scenario, _ policy: PolicyName, _ built: BuiltMachine, _ options: RunOptions, _ log: TraceLog?
  ) {
    self.built = built
    self.options = options
    self.log = log
    let first = options.precedence.compactMap(scenario.actor(named:))
    actors = first + scenario.actors.filter { !options.precedence.contains($0.name) }
    stage = Stage(machine: built.machine, scenario: scenario, policy: policy)
    let blocks = built.machine.blockRecords()
    report = RunReport(
      scenario: ScenarioIdentity(scenario), policy: policy, ground: options.ground, machine: built.summary,
      zones: built.machine.zoneRecords(), blocks: blocks)
    looks = Looks(stage, blocksBefore: blocks)
    progress = ProgressMeter(
      total: scenario.actors.reduce(0) { $0 + $1.steps.count }, report: options.progress)
    countersBefore = built.machine.vmstat
  }

  func run() throws(RunFailure) -> RunReport {
    try createProcesses()
    for (index, actor) in actors.enumerated() {
      var next = 0
      scheduler.add(name: actor.name) { [unowned self] in
        ended || isReady(actor, next)
      } body: { [unowned self] in
        for step in actor.steps.indices {
          next = step
          guard perform(actor.steps[step], of: actor, number: index) else { return }
        }
      }
    }
    scheduler.giveUp = { [unowned self] index in
      let actor = actors[index]
      stage.processes[actor.process]?.raise(fatal: true)
      report.warnings.append(
        "\(actor.name) was killed: it could only try again, and nobody else could do anything")
    }
    scheduler.run()
    if case .deadlock(let names) = scheduler.stop {
      throw RunFailure.internalError(
        "\(names.joined(separator: ", ")) wait for each other's locks and nobody can go on")
    }
    finish()
    return report
  }

  private func createProcesses() throws(RunFailure) {
    for actor in stage.scenario.actors where actor.sharing == nil {
      do {
        stage.processes[actor.name] = try stage.machine.createProcess(
          name: actor.name, processor: min(actor.cpu, stage.machine.configuration.processors - 1),
          memlockLimit: actor.memlock.engineBytes, capabilities: actor.mayLockMemory ? .ipcLock : [])
      } catch {
        throw RunFailure.badInput("\(actor.location): \(error)")
      }
    }
  }

  private func isReady(_ actor: Scenario.Actor, _ next: Int) -> Bool {
    guard next < actor.steps.count else { return true }
    let waits = actor.steps[next].after + (next == 0 ? actor.after : [])
    return waits.allSatisfy(labelsDone.contains) && actor.steps[next].during.allSatisfy(isUnderWay)
  }

  /// Whether a labelled step has ended, or has begun and waits inside.
  private func isUnderWay(_ label: String) -> Bool {
    if labelsDone.contains(label) { return true }
    guard let actor = labelsBegun[label] else { return false }
    return scheduler.isWaiting(actor)
  }

  /// Does one step, once its turn has come; false ends the actor.
  private func perform(_ step: Step, of actor: Scenario.Actor, number: Int) -> Bool {
    guard scheduler.waitUntilReady(givingWay: options.givesWay), !ended else {
      skip(step, of: actor, ended ? StepRecord.runEnded : StepRecord.neverReady)
      return true
    }
    if options.leftOut.contains(StepPlace(step.location)) { return leaveOut(step, of: actor) }
    if let label = step.label { labelsBegun[label] = number }
    let machine = stage.machine
    let record = records.count
    records.append(StepRecord(sequence: record + 1, actor: actor.name, step: step, begin: machine.now))
    log?.beginStep(actor.name)
    progress.note(records[record].detail)
    let before = Costs(machine, actor: stage.processes[actor.process])
    let started = DispatchTime.now().uptimeNanoseconds
    let result = stage.performAll(step, by: actor)
    records[record].wallNanoseconds = DispatchTime.now().uptimeNanoseconds - started
    records[record].end = machine.now
    records[record].fill(step, result, before.spent(machine), stage)
    log?.endStep(records[record])
    if options.checkInvariants { checkInvariants(after: records[record]) }
    if let label = step.label { labelsDone.insert(label) }
    looks.stepEnded(step.label, records: records)
    progress.stepDone()
    if step.mustSucceed, records[record].status != .ok {
      mandatory.append(
        Verdict(mandatory: step, failedWith: records[record].error?.errno.rawValue ?? "failed"))
      ended = true
    }
    if case .exit = step.verb { return false }
    return true
  }

  /// Skips a step as if it were done for those who wait for it; false ends the actor.
  private func leaveOut(_ step: Step, of actor: Scenario.Actor) -> Bool {
    skip(step, of: actor, StepRecord.leftOut)
    if let label = step.label { labelsDone.insert(label) }
    looks.stepEnded(step.label, records: records)
    return step.verb != .exit
  }

  private func skip(_ step: Step, of actor: Scenario.Actor, _ why: String) {
    var record = StepRecord(
      sequence: records.count + 1, actor: actor.name, step: step, begin: stage.machine.now)
    record.status = .skipped
    record.skipped = why
    records.append(record)
    progress.stepDone()
  }

  private func checkInvariants(after record: StepRecord) {
    // A full count looks at every page, so a big machine is counted at the end only.
    guard violations.isEmpty, stage.machine.frameCount <= 1 << 12 else { return }
    note(Invariant.violations(of: stage.machine, quiesced: isQuiet, isolated: stage.isolatedFrames), record)
  }

  /// Whether no actor is inside a step.
  private var isQuiet: Bool { !actors.indices.contains { scheduler.isWaiting($0) } }

  private func note(_ found: [InvariantViolation], _ record: StepRecord?) {
    violations += found
    for violation in found.prefix(4) {
      mandatory.append(
        Verdict(
          expectation: "the invariant \(violation.invariant) holds",
          location: record?.location ?? SourceLocation(file: stage.scenario.file, line: 1, column: 1),
          state: .fails,
          reason: record.map { "after step \($0.sequence), \($0.detail)" } ?? "at the end",
          expected: "no violation", found: violation.what))
    }
  }

  private func finish() {
    let machine = stage.machine
    if options.checkInvariants, violations.isEmpty {
      note(Invariant.violations(of: machine, isolated: stage.isolatedFrames), nil)
    }
    report.steps = records
    report.zonesAfter = machine.zoneRecords()
    report.blocksAfter = machine.blockRecords()
    var counters: [String: Int64] = [:]
    for (before, after) in zip(countersBefore, machine.vmstat) where before.value != after.value {
      counters[after.name] = Int64(clamping: after.value) - Int64(clamping: before.value)
    }
    report.counters = counters
    report.costs = costs(counters)
    report.traceEvents = log?.events
    report.verdicts = looks.verdicts(records: records) + mandatory
  }

  private func costs(_ counters: [String: Int64]) -> RunCosts {
    var costs = RunCosts()
    costs.migrated = counters["pgmigrate_success"] ?? 0
    costs.migrationFailures = counters["pgmigrate_fail"] ?? 0
    costs.isolationFailures = Int64(stage.machine.total(.isolationFailures))
    costs.retries = Int64(stage.machine.total(.longtermRetries) + stage.machine.total(.offlinePasses))
    costs.drains = Int64(stage.machine.total(.lruDrainAll))
    for record in records where record.status != .skipped {
      switch record.verb {
      case .offline: costs.blocksOfflined += record.blocks ?? 0
      case .remove: costs.blocksRemoved += record.blocks ?? 0
      default: break
      }
    }
    costs.bytesCopied = costs.migrated * Int64(pageSize)
    return costs
  }
}
