import Holdfast
import HoldfastScenario
import Interleaving

/// A step of the scenario with what every execution would have to look up again.
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
  /// Whether a step waits for the end of this one, or for its coming to where it can only try again.
  let isAwaited: Bool
  let isJoined: Bool
  /// Whether its record says what it has cost.
  let measures: Bool
  /// Whether it gives pins or references back.
  let releases: Bool
  /// Whether an expectation is looked at when the step ends.
  let isLookedAt: Bool

  init(
    _ step: Step, of owner: Scenario.Actor, in scenario: Scenario, actor: Int, number: Int, label: Int,
    after: [Int], during: [Int], isAwaited: Bool, isJoined: Bool
  ) {
    self.step = step
    self.owner = owner
    self.actor = actor
    self.number = number
    self.label = label
    self.after = after
    self.during = during
    self.isAwaited = isAwaited
    self.isJoined = isJoined
    releases = step.verb.releases
    measures = step.verb.word.hasCosts
    isLookedAt =
      step.label.map { label in
        scenario.looks.contains { $0.at == label || $0.since == label }
      } ?? false
  }

  /// What the step is called.
  var name: String { step.label ?? step.verb.summary }
}

/// How a step ended, as far as it has to be kept until someone asks for its record.
struct StepOutcome {
  var status = StepRecord.Status.skipped
  var skipped: String? = StepRecord.runEnded
  private(set) var done = StepDone()
  private(set) var failure: StepError?
  private(set) var spent: Costs?

  /// Notes how the step ended.
  mutating func fill(_ result: Result<StepDone, StepFailure>, _ spent: Costs?, _ stage: Stage) {
    skipped = nil
    self.spent = spent
    switch result {
    case .success(let done):
      status = .ok
      self.done = done
    case .failure(let error):
      status = .failed
      done = error.done
      failure = StepError(error, stage)
    }
  }

  /// The record of a step that ended so.
  func record(_ place: PlannedStep) -> StepRecord {
    var record = StepRecord(
      sequence: place.number + 1, actor: place.owner.name, step: place.step, begin: 0)
    record.status = status
    record.skipped = skipped
    if status != .skipped { record.fill(place.step, done, failure, spent ?? Costs()) }
    return record
  }

  /// Goes on with a hash by everything that an expectation can read.
  func add(to hash: inout Hash64) {
    switch status {
    case .ok: hash.combine(0)
    case .failed:
      hash.combine(1)
      hash.combine(UInt64(failure?.errno.number ?? 0))
      hash.combine(text: failure?.stage.rawValue ?? "")
    case .skipped: return hash.combine(skipped == StepRecord.runEnded ? 2 : 3)
    }
    hash.combine(UInt64(bitPattern: done.requested ?? -1))
    hash.combine(UInt64(bitPattern: done.pages ?? -1))
    hash.combine(UInt64(bitPattern: done.blocks ?? -1))
    hash.combine(UInt64(bitPattern: done.passes ?? -1))
    guard let spent else { return }
    hash.combine(UInt64(bitPattern: spent.migrated))
    hash.combine(UInt64(bitPattern: spent.failures))
    hash.combine(UInt64(bitPattern: spent.drains))
    hash.combine(UInt64(bitPattern: spent.retries))
  }
}

/// How an execution begins.
struct ExecutionStart {
  var stage: Stage
  var looks: Looks
  /// By step.
  var done: [StepOutcome]
  /// By label.
  var isNever: [Bool]
  /// The next step, by actor.
  var next: [Int]
  var words: [UInt32]
}

/// The different ends of executions, and how often each outcome was met.
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
  /// How often each was met since the pass began.
  private var counts: [Int] = []

  /// Counts an end, which is looked at unless it was met before; returns what is wrong with it.
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

  /// The hashes of all different ends, or nil if they were too many to be kept in mind.
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

extension Verb {
  /// Whether such steps give pins or references back.
  var releases: Bool {
    switch self {
    case .put, .unpin, .exit: true
    default: false
    }
  }

  /// Whether such steps take pages away from addresses that may be pinned.
  var discards: Bool {
    switch self {
    case .unmap, .exit, .remap: true
    case .advise(_, let word):
      switch word {
      case .hugePage, .noHugePage, .populateRead, .populateWrite: false
      default: true
      }
    default: false
    }
  }
}
