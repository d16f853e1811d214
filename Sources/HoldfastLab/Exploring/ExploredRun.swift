import CLinux
import Holdfast
import HoldfastScenario
import Interleaving

/// The program of a scenario: what its actors do on their fibers, and how an execution begins and ends.
///
/// Labels are words that actors write and wait for, so that the explorer sees them like all other shared state.
final class ExploredRun {
  let scenario: Scenario
  let machine: ExploredMachine
  /// Every step, by its number: those of an actor one after the other, in file order.
  let plan: [PlannedStep]
  /// The number of each actor's first step, and one past that of the last actor's last.
  let firstStep: [Int]
  /// The number of a label.
  let labels: [String: Int]
  let hasMandatory: Bool
  /// What is checked after every step.
  private let checks: StepChecks
  private let checksSteps: Bool
  private let findsFailures: Bool
  private let blocksBefore: [BlockRecord]
  /// Whether an expectation looks at the end of a step that is not part of the prologue.
  private var looksMeanwhile = false

  /// How an execution begins.
  var start: ExecutionStart
  var image: MachineImage
  /// The steps that were performed before all executions, since every order begins with them; may be empty.
  var prologue: [PrologueStep] = []

  // The execution under way.
  private(set) var stage: Stage
  private(set) var observations: Observations<Stage>
  /// By step.
  private(set) var done: [StepOutcome]
  /// By label: whether its step will never be done.
  private var isNever: [Bool]
  /// The next step of each actor, as a number.
  private(set) var next: [Int]
  /// The label of the step that each actor is in, or -1.
  private var labelOfActor: [Int]
  /// Per label a word that is 0 once its step has ended or will never begin, and one that is 0 once its step has
  /// waited, ended or will never begin; then one that is 1 once the run has ended.
  private let words: UnsafeMutablePointer<UInt32>
  private let wordCount: Int

  private let conditions: ExploredConditions

  private var outcomes = ExploredOutcomes()

  /// The program of a scenario.
  ///
  /// - Parameters:
  ///   - findsFailures: whether an expectation that does not hold is a finding. It is not where failures are part
  ///     of the space; then nothing is done beforehand, since a failure may come in any step.
  ///   - checksSteps: whether invariants are checked after each step, and not only at the end.
  init(_ scenario: Scenario, _ machine: ExploredMachine, findsFailures: Bool, checksSteps: Bool = true) {
    self.checksSteps = checksSteps
    self.findsFailures = findsFailures
    self.scenario = scenario
    self.machine = machine
    conditions = ExploredConditions(scenario, machine.policy)
    image = MachineImage(of: machine.machine)
    blocksBefore = machine.machine.blockRecords()
    let schedule = StepSchedule(scenario.actors)
    labels = schedule.labels
    var firstStep: [Int] = []
    var plan: [PlannedStep] = []
    for (number, actor) in scenario.actors.enumerated() {
      firstStep.append(plan.count)
      for (step, place) in zip(actor.steps, schedule.places[number]) {
        plan.append(
          PlannedStep(step, of: actor, in: scenario, actor: number, number: plan.count, place: place))
      }
    }
    firstStep.append(plan.count)
    self.plan = plan
    self.firstStep = firstStep
    hasMandatory = scenario.actors.contains { $0.steps.contains(where: \.mustSucceed) }
    checks = StepChecks(machine.machine)
    checks.processes = scenario.actors.map { machine.threads[$0.name] ?? machine.processes[$0.process] }
    checks.isDiscarding = plan.contains { $0.step.verb.discards }
    wordCount = labels.count * 2 + 1
    words = .allocate(capacity: wordCount)
    words.initialize(repeating: 1, count: wordCount)
    words[wordCount - 1] = 0

    stage = Stage(
      machine: machine.machine, scenario: scenario, policy: machine.policy, processors: machine.processors,
      hasThreads: true)
    stage.processes = machine.processes
    stage.threads = machine.threads
    stage.isVerbose = false
    observations = Observations(scenario, policy: machine.policy, blocksBefore: blocksBefore)
    observations.begin(on: stage)
    done = plan.map { _ in StepOutcome(skipped: StepRecord.runEnded) }
    isNever = labels.map { _ in false }
    next = Array(firstStep.dropLast())
    labelOfActor = scenario.actors.map { _ in -1 }
    start = ExecutionStart(
      stage: stage, observations: observations, done: done, isNever: isNever, next: next,
      words: Array(UnsafeBufferPointer(start: words, count: wordCount)))
    if findsFailures { doPrologue() }
    let settled = Set(prologue.compactMap { plan[$0.step].step.label })
    looksMeanwhile = scenario.looks.contains { expectation in
      [expectation.at, expectation.since].compactMap(\.self).contains { !settled.contains($0) }
    }
  }

  deinit { words.deallocate() }

  /// The names of all steps, in file order.
  var stepNames: [String] { plan.map(\.name) }

  /// What a word is that an operation named, where it is one of ours.
  func name(of address: UInt) -> String? {
    let offset = Int(bitPattern: address) - Int(bitPattern: words)
    guard offset >= 0, offset < wordCount * 4 else { return nil }
    if offset / 4 == wordCount - 1 { return "end of the run" }
    let label = labels.first { $0.value == offset / 8 }?.key ?? ""
    return offset % 8 == 0 ? "\(label) done" : "\(label) waits"
  }

  // MARK: Before and after

  /// Puts everything back to the beginning of an execution.
  func restore() {
    // Holds of the last execution are forgotten.
    stage.forgetHolds()
    image.restore()
    checks.releasing = 0
    stage = Stage(again: start.stage)
    observations.restart(as: start.observations)
    for actor in next.indices {
      next[actor] = start.next[actor]
      labelOfActor[actor] = -1
      for number in start.next[actor]..<firstStep[actor + 1] { done[number] = start.done[number] }
    }
    for label in isNever.indices { isNever[label] = start.isNever[label] }
    for index in 0..<wordCount { words[index] = start.words[index] }
  }

  /// Makes the present state the beginning of every execution.
  func beginHere() {
    image = MachineImage(of: machine.machine)
    start = ExecutionStart(
      stage: stage, observations: observations, done: done, isNever: isNever, next: next,
      words: Array(UnsafeBufferPointer(start: words, count: wordCount)))
    // The stage belongs to the beginning now; an execution has its own.
    stage = Stage(again: start.stage)
  }

  /// Checks the state in which an execution has ended.
  ///
  /// Many executions end in the same state, which is checked once. A state is identified by the difference of the
  /// machine from the beginning, by what the steps did, and by what was seen meanwhile.
  func ended() -> Violation? {
    var hash = Hash64()
    hash.combine(image.difference(isLast: true))
    for place in plan where place.number >= start.next[place.actor] { done[place.number].add(to: &hash) }
    if !stage.isolations.isEmpty || !stage.keptIsolations.isEmpty {
      for frame in stage.isolatedFrames.map(\.rawValue).sorted() { hash.combine(UInt64(frame)) }
    }
    if !stage.frames.isEmpty || !stage.keptFrames.isEmpty {
      for frame in stage.kernelFrames.map(\.rawValue).sorted() { hash.combine(UInt64(frame) | 1 << 32) }
    }
    if looksMeanwhile { hash.combine(observations.hash(of: scenario)) }
    return conditions.once(outcomes.count(hash.value) { lookAtEnd() })
  }

  /// What is wrong after a step, or at the end.
  @inline(__always)
  func violation(at moment: Moment) -> Violation? {
    guard let actor = moment.actor else { return ended() }
    return checksSteps ? violation(of: moment, by: actor) : nil
  }

  /// The first invariant that a step of an actor has broken.
  @inline(__always)
  func violation(of moment: Moment, by actor: Int) -> Violation? {
    guard let found = checks.check(moment.kind, moment.address, by: actor) else { return nil }
    return Violation(name: found.invariant, text: found.what)
  }

  /// The outcome of an execution, and what is wrong with its end.
  private func lookAtEnd() -> (key: [UInt8], state: RunState, violation: Violation?) {
    let all = records()
    let verdicts = observations.states(on: stage, records: all)
    var key = all.flatMap { record in
      [record.status.code, UInt8(truncatingIfNeeded: record.error?.errno.number ?? 0)]
    }
    key += verdicts.map(\.code)
    return (
      key, RunState(exploring: scenario, all, verdicts),
      brokenInvariant() ?? conditions.broken(verdicts) ?? (findsFailures ? broken(verdicts, all) : nil)
        ?? conditions.witness(verdicts)
    )
  }

  /// The first invariant that does not hold in the state that an execution has ended in.
  private func brokenInvariant() -> Violation? {
    Invariant.violations(
      of: machine.machine, isolated: stage.isolatedFrames, kernelFrames: stage.kernelFrames
    ).first.map { Violation(name: $0.invariant, text: $0.what) }
  }

  /// The first expectation that does not hold.
  private func broken(_ verdicts: [Verdict.State], _ all: [StepRecord]) -> Violation? {
    if let index = verdicts.prefix(scenario.expectations.count).firstIndex(of: .fails) {
      let verdict = observations.verdicts(on: stage, records: all)[index]
      return Violation(
        name: "expectation in line \(verdict.location.line)",
        text: "\(verdict.expectation); found \(verdict.found ?? "nothing")")
    }
    guard hasMandatory else { return nil }
    for place in plan where place.step.mustSucceed {
      guard case .failed(let error) = done[place.number].result.ending else { continue }
      return Violation(
        name: "step in line \(place.step.location.line)",
        text: "\(place.name) must succeed; found \(error.errno.rawValue)")
    }
    return nil
  }

  /// The records of all steps, as far as they were done.
  private func records() -> [StepRecord] { plan.map { done[$0.number].record($0) } }

  /// The hashes of the different ends of executions so far; nil if they were too many.
  var ends: [UInt64]? { outcomes.hashes }

  /// The outcomes since the last call.
  func takeStates() -> StateHistogram { outcomes.take() }

  // MARK: Actors

  /// What an actor does.
  func act(_ number: Int) {
    while next[number] < firstStep[number + 1] {
      if !perform(plan[next[number]]) { return end(number) }
      passed(number)
    }
  }

  /// Notes that an actor's next step is done, so that the one after it is due.
  func passed(_ number: Int) { next[number] += 1 }

  /// The rest of an actor's steps will never be done.
  func end(_ number: Int) {
    for rest in plan[(next[number] + 1)..<firstStep[number + 1]] { settle(rest, never: true) }
    next[number] = firstStep[number + 1]
  }

  /// Whether a label's step has ended, or will never be done.
  func isSettled(_ label: Int) -> Bool { words[label * 2] == 0 }

  /// Does one step, once its turn has come; false ends the actor.
  func perform(_ place: PlannedStep) -> Bool {
    let (step, number) = (place.step, place.number)
    markStep(number)
    var isPossible = true
    for label in place.after {
      if start.words[label * 2] != 0 { word(label * 2).waitUntilZero(.retry) }
      if isNever[label] { isPossible = false }
    }
    for label in place.during {
      if start.words[label * 2 + 1] != 0 { word(label * 2 + 1).waitUntilZero(.retry) }
      if isNever[label] { isPossible = false }
    }
    let isOver = hasMandatory && word(wordCount - 1).load() != 0
    guard isPossible, !isOver else {
      done[number] = StepOutcome(skipped: isOver ? StepRecord.runEnded : StepRecord.neverReady)
      settle(place, never: true)
      return true
    }
    labelOfActor[place.actor] = place.isJoined ? place.label : -1
    let meter = place.measures ? CostMeter(machine.machine, actor: try? stage.process(of: place.owner)) : nil
    if place.isOfChild { checks.processes[place.actor] = try? stage.process(of: place.owner) }
    if place.releases { checks.releasing += 1 }
    let result = stage.perform(step, by: place.owner)
    if place.releases { checks.releasing -= 1 }
    done[number] = StepOutcome(result, meter?.spent)
    labelOfActor[place.actor] = -1
    if place.isLookedAt { observations.stepEnded(step.label, on: stage, records: records()) }
    if step.mustSucceed, result.ending != .ok { word(wordCount - 1).store(1) }
    settle(place, never: false)
    return step.verb != .exit
  }

  /// A step has ended, or will never be done.
  private func settle(_ place: PlannedStep, never: Bool) {
    let label = place.label
    guard label >= 0 else { return }
    isNever[label] = never
    if place.isJoined, words[label * 2 + 1] != 0 { word(label * 2 + 1).store(0) }
    if place.isAwaited { word(label * 2).store(0) } else { words[label * 2] = 0 }
  }

  /// The running actor can only try again: actors that act while it waits may begin.
  private func actorWaits() {
    guard let actor = currentActor, labelOfActor[actor] >= 0 else { return }
    let place = labelOfActor[actor] * 2 + 1
    if words[place] != 0 { word(place).store(0) }
  }

  /// Runs something while the engine tells this run where its actors can only try again.
  func listening<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    hf_set_wait_handler(
      { context, _ in
        guard let context else { return }
        Unmanaged<ExploredRun>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.actorWaits() }
      }, Unmanaged.passUnretained(self).toOpaque())
    defer { hf_set_wait_handler(nil, nil) }
    return try body()
  }

  private func word(_ index: Int) -> AtomicUInt32 { AtomicUInt32(UnsafeMutableRawPointer(words + index)) }
}
