import Dispatch
import Holdfast
public import HoldfastScenario

/// Runs scenarios on the engine.
public enum ScenarioRunner {
  /// Runs a scenario to its end.
  ///
  /// - Throws: `RunFailure` if it cannot begin, or if the actors wait for each other without end.
  public static func run(_ scenario: Scenario, _ options: RunOptions) throws(RunFailure) -> RunReport {
    let started = DispatchTime.now().uptimeNanoseconds
    let missing = EngineLimits.missing(in: scenario)
    guard missing.isEmpty else {
      throw RunFailure.cannotRun(
        "\(scenario.name): the engine does not model \(missing.joined(separator: ", "))")
    }
    let policyName = options.policy ?? scenario.policy
    guard let policy = PlacementPolicy(name: policyName.rawValue) else {
      throw RunFailure.internalError("the engine does not know the policy \(policyName)")
    }
    for name in options.precedence where scenario.actor(named: name) == nil {
      throw RunFailure.badInput("\(scenario.file): \"\(name)\" is given precedence, and is not an actor")
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
/// Only the thread that has the scheduler's turn uses it.
final class ScenarioRun {
  private let stage: Stage
  private let built: BuiltMachine
  private let options: RunOptions
  private let log: TraceLog?
  private let scheduler = TurnScheduler()
  /// In the order of precedence; the scheduler identifies an actor by its index here.
  private let actors: [Scenario.Actor]
  private var report: RunReport
  private var observations: Observations<Stage>
  private var records: [StepRecord] = []
  private var turns: StepTurns
  private var ended = false
  private var mandatory: [Verdict] = []
  private var violations: [InvariantViolation] = []
  private let progress: ProgressMeter
  private let countersBefore: [String: UInt64]

  init(
    _ scenario: Scenario, _ policy: PolicyName, _ built: BuiltMachine, _ options: RunOptions, _ log: TraceLog?
  ) {
    self.built = built
    self.options = options
    self.log = log
    let first = options.precedence.compactMap(scenario.actor(named:))
    actors = first + scenario.actors.filter { !options.precedence.contains($0.name) }
    let last = built.machine.configuration.processors - 1
    let processors = Dictionary(uniqueKeysWithValues: scenario.actors.map { ($0.name, min($0.cpu, last)) })
    stage = Stage(
      machine: built.machine, scenario: scenario, policy: policy, processors: processors, hasThreads: false)
    let blocks = built.machine.blockRecords()
    report = RunReport(
      scenario: ScenarioIdentity(scenario), policy: policy, ground: options.ground, machine: built.summary,
      zones: built.machine.zoneRecords(), blocks: blocks)
    turns = StepTurns(StepSchedule(actors))
    observations = Observations(scenario, policy: policy, blocksBefore: blocks)
    progress = ProgressMeter(
      total: scenario.actors.reduce(0) { $0 + $1.steps.count }, report: options.progress)
    countersBefore = built.machine.counters
    observations.begin(on: stage)
  }

  func run() throws(RunFailure) -> RunReport {
    try createProcesses()
    for (index, actor) in actors.enumerated() {
      var next = 0
      scheduler.add(name: actor.name) { [unowned self] in
        ended || turns.mayBegin(next, of: index, isWaiting: scheduler.isWaiting)
      } body: { [unowned self] in
        for step in actor.steps.indices {
          next = step
          guard perform(step, of: actor, number: index) else { return }
        }
      }
    }
    scheduler.giveUp = { [unowned self] index in
      let actor = actors[index]
      stage.processes[actor.process]?.raise(fatal: true)
      report.warnings.append(
        "\(actor.name) was killed: it could only try again, and no other actor could continue")
    }
    scheduler.run()
    if case .deadlock(let names) = scheduler.stop {
      throw RunFailure.internalError(
        "\(names.joined(separator: ", ")) wait for each other's locks, and no actor can continue")
    }
    finish()
    return report
  }

  private func createProcesses() throws(RunFailure) {
    for actor in stage.scenario.actors where actor.sharing == nil && actor.forkOf == nil {
      do {
        stage.processes[actor.name] = try stage.machine.createProcess(
          name: actor.name, processor: stage.processors[actor.name] ?? 0,
          memlockLimit: actor.memlock.engineBytes, capabilities: actor.mayLockMemory ? .ipcLock : [])
      } catch {
        throw RunFailure.badInput("\(actor.location): \(error)")
      }
    }
  }

  /// Does one step, once its turn has come; false ends the actor.
  private func perform(_ index: Int, of actor: Scenario.Actor, number: Int) -> Bool {
    let step = actor.steps[index]
    guard scheduler.waitUntilReady(givingWay: options.givesWay), !ended else {
      skip(step, of: actor, ended ? StepRecord.runEnded : StepRecord.neverReady)
      return true
    }
    if options.leftOut.contains(StepPlace(step.location)) {
      return leaveOut(index, of: actor, number: number)
    }
    turns.begin(index, of: number)
    let machine = stage.machine
    let record = records.count
    records.append(StepRecord(sequence: record + 1, actor: actor.name, step: step, begin: machine.now))
    log?.beginStep(actor.name)
    progress.note(records[record].detail)
    let meter = CostMeter(machine, actor: stage.processes[actor.process])
    let started = DispatchTime.now().uptimeNanoseconds
    var result = stage.perform(step, by: actor)
    records[record].wallNanoseconds = DispatchTime.now().uptimeNanoseconds - started
    records[record].end = machine.now
    result.shortfall += stage.newIncoherence()
    records[record].fill(step, result, meter.spent)
    log?.endStep(records[record])
    if options.checkInvariants { checkInvariants(after: records[record]) }
    turns.end(index, of: number)
    observations.stepEnded(step.label, on: stage, records: records)
    progress.stepDone()
    if let verdict = Verdict(mandatory: step, records[record]) {
      mandatory.append(verdict)
      ended = true
    }
    if case .exit = step.verb { return false }
    return true
  }

  /// Skips a step, which counts as done for the actors that wait for it; false ends the actor.
  private func leaveOut(_ index: Int, of actor: Scenario.Actor, number: Int) -> Bool {
    let step = actor.steps[index]
    skip(step, of: actor, StepRecord.leftOut)
    turns.end(index, of: number)
    observations.stepEnded(step.label, on: stage, records: records)
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
    report.counters = [String: Int64](growthFrom: countersBefore, to: machine.counters)
    report.costs = RunCosts(records, grown: report.counters)
    report.costs.isolationFailures = Int64(machine.total(.isolationFailures))
    report.costs.retries = Int64(machine.total(.longtermRetries) + machine.total(.offlinePasses))
    report.costs.drains = Int64(machine.total(.lruDrainAll))
    report.traceEvents = log?.events
    report.verdicts = observations.verdicts(on: stage, records: records) + mandatory
  }
}

extension Machine {
  /// The counters of /proc/vmstat.
  fileprivate var counters: [String: UInt64] {
    Dictionary(vmstat.map { ($0.name, $0.value) }) { first, _ in first }
  }
}
