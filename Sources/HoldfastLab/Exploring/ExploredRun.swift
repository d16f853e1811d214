import CLinux
import Holdfast
import HoldfastScenario
import Interleaving

/// The program of a scenario: what its actors do on their fibers, and how an execution begins and ends.
///
/// Labels are words that actors write and wait for, so that the explorer knows of them as of everything else.
final class ExploredRun {
  private let scenario: Scenario
  private let machine: ExploredMachine
  private let image: MachineImage
  private let blocksBefore: [BlockRecord]
  /// The records of all steps before they are done, by actor.
  private let blank: [[StepRecord]]
  /// The number of each actor's first step among all.
  private let firstStep: [Int]
  /// The number of a label.
  private let labels: [String: Int]
  /// Per label a word that is 0 once its step has ended or will never begin, and one that is 0 once its step has
  /// waited, ended or will never begin; then one that is 1 once the run has ended.
  private let words: UnsafeMutablePointer<UInt32>
  private let wordCount: Int
  private let hasMandatory: Bool
  private let findsFailures: Bool

  private let conditions: ExploredConditions

  // The execution under way.
  private var stage: Stage
  private var looks: Looks
  private var records: [[StepRecord]] = []
  private var isNever: [Bool] = []
  /// The label of the step that each actor is in, or -1.
  private var labelOfActor: [Int] = []

  /// What each outcome is, by its short form.
  private var states: [[UInt8]: RunState] = [:]
  /// End states whose invariants were checked, by hash, with what was found.
  private var checked: [UInt64: Violation?] = [:]
  private static let mostChecked = 1 << 20
  /// How often each outcome was met since the pass began.
  private var counts: [[UInt8]: Int] = [:]

  /// The program of a scenario.
  ///
  /// - Parameter findsFailures: whether an expectation that does not hold is a finding.
  init(_ scenario: Scenario, _ machine: ExploredMachine, findsFailures: Bool) {
    self.findsFailures = findsFailures
    self.scenario = scenario
    self.machine = machine
    conditions = ExploredConditions(scenario, machine.policy)
    image = MachineImage(of: machine.machine)
    blocksBefore = machine.machine.blockRecords()
    var labels: [String: Int] = [:]
    var firstStep: [Int] = []
    var steps = 0
    for actor in scenario.actors {
      firstStep.append(steps)
      steps += actor.steps.count
      for label in actor.steps.compactMap(\.label) { labels[label] = labels.count }
    }
    self.labels = labels
    self.firstStep = firstStep
    blank = zip(scenario.actors, firstStep).map { actor, first in
      actor.steps.enumerated().map { index, step in
        var record = StepRecord(sequence: first + index + 1, actor: actor.name, step: step, begin: 0)
        record.status = .skipped
        record.skipped = StepRecord.runEnded
        return record
      }
    }
    hasMandatory = scenario.actors.contains { $0.steps.contains(where: \.mustSucceed) }
    wordCount = labels.count * 2 + 1
    words = .allocate(capacity: wordCount)
    words.initialize(repeating: 1, count: wordCount)
    stage = Stage(machine: machine.machine, scenario: scenario, policy: machine.policy)
    looks = Looks(stage, blocksBefore: blocksBefore)
  }

  deinit { words.deallocate() }

  /// The names of all steps, in file order.
  var stepNames: [String] {
    scenario.actors.flatMap { actor in actor.steps.map { $0.label ?? $0.verb.summary } }
  }

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
    // First, so that what the last execution still holds is nothing any more when it is dropped.
    image.restore()
    let next = Stage(machine: machine.machine, scenario: scenario, policy: machine.policy)
    next.processes = machine.processes
    next.threads = machine.threads
    stage = next
    looks = Looks(next, blocksBefore: blocksBefore)
    records = blank
    isNever = Array(repeating: false, count: labels.count)
    labelOfActor = Array(repeating: -1, count: scenario.actors.count)
    words.update(repeating: 1, count: wordCount)
    word(wordCount - 1).store(0)
  }

  /// Looks at the state that an execution has ended in.
  func ended() -> Violation? {
    let all = records.flatMap(\.self)
    let verdicts = looks.states(records: all)
    var key = all.flatMap { record in
      [record.status.code, UInt8(truncatingIfNeeded: record.error?.errno.number ?? 0)]
    }
    key += verdicts.map(\.code)
    if states[key] == nil { states[key] = RunState(exploring: scenario, all, verdicts) }
    counts[key, default: 0] += 1
    return conditions.once(
      brokenInvariant() ?? conditions.broken(verdicts) ?? (findsFailures ? broken(verdicts, all) : nil)
        ?? conditions.witness(verdicts))
  }

  /// The first invariant that does not hold in the state that an execution has ended in.
  ///
  /// Many executions end in the same state, and a state is looked at once.
  private func brokenInvariant() -> Violation? {
    let (isolated, allocated) = (stage.isolatedFrames, stage.kernelFrames)
    var hash = Hash64()
    hash.combine(memory: machine.machine.state)
    for frame in isolated.map(\.rawValue).sorted() { hash.combine(UInt64(frame)) }
    hash.combine(UInt64(isolated.count))
    for frame in allocated.map(\.rawValue).sorted() { hash.combine(UInt64(frame)) }
    if let known = checked[hash.value] { return known }
    let found = Invariant.violations(of: machine.machine, isolated: isolated, kernelFrames: allocated).first
    let violation = found.map { Violation(name: $0.invariant, text: $0.what) }
    if checked.count == Self.mostChecked { checked = [:] }
    checked[hash.value] = .some(violation)
    return violation
  }

  /// The first expectation that does not hold.
  private func broken(_ verdicts: [Verdict.State], _ all: [StepRecord]) -> Violation? {
    if let index = verdicts.prefix(scenario.expectations.count).firstIndex(of: .fails) {
      let verdict = looks.verdicts(records: all)[index]
      return Violation(
        name: "expectation in line \(verdict.location.line)",
        text: "\(verdict.expectation); found \(verdict.found ?? "nothing")")
    }
    guard hasMandatory else { return nil }
    for (actor, done) in zip(scenario.actors, records) {
      for (step, record) in zip(actor.steps, done) where step.mustSucceed && record.status == .failed {
        return Violation(
          name: "step in line \(step.location.line)",
          text: "\(step.label ?? step.verb.summary) must succeed; found "
            + "\(record.error?.errno.rawValue ?? "a failure")")
      }
    }
    return nil
  }

  /// The outcomes since the last call.
  func takeStates() -> StateHistogram {
    var histogram = StateHistogram()
    for (key, count) in counts {
      if let state = states[key] { histogram.add(state, count: count) }
    }
    counts = [:]
    return histogram
  }

  // MARK: Actors

  /// What an actor does.
  func act(_ number: Int) {
    let actor = scenario.actors[number]
    for index in actor.steps.indices {
      guard perform(actor, number, index) else {
        for rest in actor.steps[(index + 1)...] { settle(rest, never: true) }
        return
      }
    }
  }

  /// Does one step, once its turn has come; false ends the actor.
  private func perform(_ actor: Scenario.Actor, _ number: Int, _ index: Int) -> Bool {
    let step = actor.steps[index]
    markStep(firstStep[number] + index)
    var isPossible = true
    for label in step.after + (index == 0 ? actor.after : []) {
      guard let place = labels[label] else { continue }
      word(place * 2).waitUntilZero(.retry)
      if isNever[place] { isPossible = false }
    }
    for label in step.during {
      guard let place = labels[label] else { continue }
      word(place * 2 + 1).waitUntilZero(.retry)
      if isNever[place] { isPossible = false }
    }
    let isOver = hasMandatory && word(wordCount - 1).load() != 0
    guard isPossible, !isOver else {
      records[number][index].skipped = isOver ? StepRecord.runEnded : StepRecord.neverReady
      settle(step, never: true)
      return true
    }
    labelOfActor[number] = step.label.flatMap { labels[$0] } ?? -1
    let before = Costs(machine.machine, actor: try? stage.process(of: actor))
    let result = stage.performAll(step, by: actor)
    records[number][index].skipped = nil
    records[number][index].status = .ok
    records[number][index].fill(step, result, before.spent(machine.machine), stage)
    labelOfActor[number] = -1
    if step.label != nil { looks.stepEnded(step.label, records: records.flatMap(\.self)) }
    if step.mustSucceed, records[number][index].status != .ok { word(wordCount - 1).store(1) }
    settle(step, never: false)
    return step.verb != .exit
  }

  /// A step has ended, or will never be done.
  private func settle(_ step: Step, never: Bool) {
    guard let place = step.label.flatMap({ labels[$0] }) else { return }
    isNever[place] = never
    if words[place * 2 + 1] != 0 { word(place * 2 + 1).store(0) }
    word(place * 2).store(0)
  }

  /// The running actor can only try again: whoever acts while it waits may begin.
  private func actorWaits() {
    guard let actor = currentActor, labelOfActor[actor] >= 0 else { return }
    let place = labelOfActor[actor] * 2 + 1
    if words[place] != 0 { word(place).store(0) }
  }

  /// Does something while the engine tells this run where its actors can only try again.
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

extension StepRecord.Status {
  fileprivate var code: UInt8 {
    switch self {
    case .ok: 0
    case .failed: 1
    case .skipped: 2
    }
  }
}

extension Verdict.State {
  fileprivate var code: UInt8 {
    switch self {
    case .holds: 0
    case .fails: 1
    case .skipped: 2
    }
  }
}
