import Holdfast
import HoldfastScenario
import Interleaving

/// A step of the scenario with what every execution needs to know of it, looked up once.
final class PlannedStep {
  let step: Step
  let owner: Scenario.Actor
  /// The place of its actor, and its own among all steps.
  let actor: Int
  let number: Int
  /// The number of its label, or -1.
  let label: Int
  /// The labels that it waits for.
  let after: [Int]
  let during: [Int]
  /// Whether a step waits for the end of this one, or for the moment when it can only try again.
  let isAwaited: Bool
  let isJoined: Bool
  /// Whether its record has its costs.
  let measures: Bool
  /// Whether it gives pins or references back.
  let releases: Bool
  /// Whether its process is the child of a fork, which every execution makes again.
  let isOfChild: Bool
  /// Whether an expectation is looked at when the step ends.
  let isLookedAt: Bool

  init(
    _ step: Step, of owner: Scenario.Actor, in scenario: Scenario, actor: Int, number: Int,
    place: StepSchedule.Place
  ) {
    self.step = step
    self.owner = owner
    self.actor = actor
    self.number = number
    label = place.label ?? -1
    after = place.after
    during = place.during
    isAwaited = place.isAwaited
    isJoined = place.isJoined
    releases = step.verb.releases
    isOfChild = scenario.actor(named: owner.process)?.forkOf != nil
    measures = step.verb.word.hasCosts
    isLookedAt =
      step.label.map { label in
        scenario.looks.contains { $0.at == label || $0.since == label }
      } ?? false
  }

  /// The step's name.
  var name: String { step.label ?? step.verb.summary }
}

/// How a step ended: what is kept until its record is asked for.
struct StepOutcome {
  private(set) var result: StepResult
  private var costs: StepCosts?

  /// Of a step that was done.
  init(_ result: StepResult, _ costs: StepCosts?) {
    self.result = result
    self.costs = costs
  }

  /// Of a step that is not done.
  init(skipped why: String) { self.init(StepResult(.skipped(why)), nil) }

  /// The record of a step with this end.
  func record(_ place: PlannedStep) -> StepRecord {
    var record = StepRecord(
      sequence: place.number + 1, actor: place.owner.name, step: place.step, begin: 0)
    record.fill(place.step, result, costs)
    return record
  }

  /// Adds everything that an expectation can read to a hash.
  func add(to hash: inout Hash64) {
    switch result.ending {
    case .ok: hash.combine(0)
    case .failed(let error):
      hash.combine(1)
      hash.combine(UInt64(error.errno.number))
      hash.combine(text: error.stage.rawValue)
    case .skipped(let why): return hash.combine(why == StepRecord.runEnded ? 2 : 3)
    }
    hash.combine(UInt64(bitPattern: result.requested ?? -1))
    hash.combine(UInt64(bitPattern: result.pages ?? -1))
    hash.combine(UInt64(bitPattern: result.blocks ?? -1))
    hash.combine(UInt64(bitPattern: result.passes ?? -1))
    guard let costs else { return }
    hash.combine(UInt64(bitPattern: costs.migrated))
    hash.combine(UInt64(bitPattern: costs.failures))
    hash.combine(UInt64(bitPattern: costs.drains ?? -1))
    hash.combine(UInt64(bitPattern: costs.retries ?? -1))
  }
}

/// How an execution begins.
struct ExecutionStart {
  var stage: Stage
  var observations: Observations<Stage>
  /// By step.
  var done: [StepOutcome]
  /// By label.
  var isNever: [Bool]
  /// The next step, by actor.
  var next: [Int]
  var words: [UInt32]
}

/// The different ends of executions, and how often each outcome occurred.
struct ExploredOutcomes {
  private struct End {
    let outcome: Int
    let violation: Violation?
  }

  /// Ends that were looked at, by hash.
  private var ends: [UInt64: End] = [:]
  private static let mostEnds = 1 << 20
  private var hasForgotten = false
  /// Outcomes by their short form: a place in `states`.
  private var places: [[UInt8]: Int] = [:]
  private var states: [RunState] = []
  /// How often each occurred since the pass began.
  private var counts: [Int] = []

  /// Counts an end, and checks it unless it occurred before; returns what is wrong with it.
  mutating func count(
    _ hash: UInt64, _ look: () -> (key: [UInt8], state: RunState, violation: Violation?)
  ) -> Violation? {
    if let known = ends[hash] {
      counts[known.outcome] += 1
      return known.violation
    }
    let (key, state, violation) = look()
    let place = places[key] ?? states.count
    if place == states.count {
      places[key] = place
      states.append(state)
      counts.append(0)
    }
    counts[place] += 1
    if ends.count == Self.mostEnds {
      ends = [:]
      hasForgotten = true
    }
    ends[hash] = End(outcome: place, violation: violation)
    return violation
  }

  /// The hashes of all different ends, or nil if they were too many to keep.
  var hashes: [UInt64]? { hasForgotten ? nil : Array(ends.keys) }

  /// The outcomes since the last call.
  mutating func take() -> StateHistogram {
    var histogram = StateHistogram()
    for (state, count) in zip(states, counts) where count > 0 { histogram.add(state, count: count) }
    counts = counts.map { _ in 0 }
    return histogram
  }
}

extension StepRecord.Status {
  /// A short form.
  var code: UInt8 {
    switch self {
    case .ok: 0
    case .failed: 1
    case .skipped: 2
    }
  }
}

extension Verdict.State {
  /// A short form.
  var code: UInt8 {
    switch self {
    case .holds: 0
    case .fails: 1
    case .skipped: 2
    }
  }
}
