/// What decides which process runs next: a strategy and its state.
enum Decider {
  /// Depth first, with a limit on interruptions.
  case depthFirst(bound: Int)
  /// Depth first, one execution of each trace.
  case reduced
  case random(seed: UInt64)
  case priorities(Priorities, seed: UInt64)
  case guided(Guide)

  /// The decider of a strategy.
  ///
  /// - Parameter isLenient: whether a recorded schedule is followed as far as it can be.
  init(_ strategy: ExplorationStrategy, isLenient: Bool) {
    switch strategy {
    case .preemptionBounded(let most): self = .depthFirst(bound: most)
    case .naive: self = .depthFirst(bound: .max)
    case .reduced: self = .reduced
    case .random(let seed): self = .random(seed: seed)
    case .priorities(let depth, let seed): self = .priorities(Priorities(changes: depth - 1), seed: seed)
    case .replay(let schedule): self = .guided(Guide(schedule.decisions, isLenient: isLenient))
    }
  }

  func deallocate() {
    if case .priorities(let priorities, _) = self { priorities.deallocate() }
  }

  /// Whether one execution of each trace is enough.
  @inline(__always)
  var isReduced: Bool { if case .reduced = self { true } else { false } }

  /// Whether executions follow from one another, until all are covered.
  var isDepthFirst: Bool {
    switch self {
    case .depthFirst, .reduced: true
    case .random, .priorities, .guided: false
    }
  }

  /// Whether there is an execution after every execution.
  var isEndless: Bool { !isDepthFirst && !isGuided }

  /// Whether the one execution is a recorded one.
  var isGuided: Bool { if case .guided = self { true } else { false } }

  /// Whether interruptions are limited.
  var isBounded: Bool { if case .depthFirst(let bound) = self { bound < Int.max } else { false } }

  /// Whether an execution depends on the number of steps of the first one.
  var needsLength: Bool { if case .priorities = self { true } else { false } }

  /// The random numbers of an execution.
  func random(execution number: Int) -> RandomSource {
    switch self {
    case .random(let seed), .priorities(_, let seed): RandomSource(seed, execution: number)
    case .depthFirst, .reduced, .guided: RandomSource(0, execution: number)
    }
  }

  /// Begins an execution.
  ///
  /// - Parameter longest: the steps of the first execution.
  func begin(_ random: inout RandomSource, longest: Int?) {
    if case .priorities(let priorities, _) = self { priorities.draw(from: &random, longest: longest) }
  }

  /// The value of a choice among `count`; nil if a recorded schedule cannot be followed.
  func value(below count: Int, _ random: inout RandomSource) -> Int? {
    switch self {
    case .depthFirst, .reduced: 0
    case .random, .priorities: random.next(below: count)
    case .guided(let guide): guide.value(below: count)
    }
  }
}

/// Priorities that change at random steps (PCT).
///
/// A value with pointers: an object would be retained and released at each step.
struct Priorities {
  /// The number of steps at which priorities change.
  private let changes: Int
  private let changePoints: UnsafeMutablePointer<Int>
  private let ranks: UnsafeMutablePointer<Int>

  init(changes: Int) {
    self.changes = changes
    changePoints = .allocate(capacity: changes)
    ranks = .allocate(capacity: ExploredProgram.maximumActors)
    ranks.initialize(repeating: 0, count: ExploredProgram.maximumActors)
  }

  fileprivate func deallocate() {
    changePoints.deallocate()
    ranks.deallocate()
  }

  /// Draws the priorities of an execution, and the steps at which they change.
  fileprivate func draw(from random: inout RandomSource, longest: Int?) {
    var order = Array(0..<ExploredProgram.maximumActors)
    for place in stride(from: order.count - 1, to: 0, by: -1) {
      order.swapAt(place, random.next(below: place + 1))
    }
    for (rank, process) in order.enumerated() { ranks[process] = rank }
    for change in 0..<changes { changePoints[change] = random.next(below: longest ?? 1) }
  }

  /// The process of the highest rank, after one has lost its rank if step `step` is one for that.
  func highest(of enabled: ProcessSet, step: Int) -> Int {
    let chosen = highest(of: enabled)
    for change in 0..<changes where changePoints[change] == step {
      ranks[chosen] = -1 - change
      return highest(of: enabled)
    }
    return chosen
  }

  private func highest(of enabled: ProcessSet) -> Int {
    var best = enabled.first
    var rest = enabled
    while rest != 0 {
      if ranks[rest.first] > ranks[best] { best = rest.first }
      rest &= rest &- 1
    }
    return best
  }
}

/// A recorded schedule, which is followed once.
final class Guide {
  private let decisions: [Schedule.Decision]
  private var position = 0
  /// Whether decisions that cannot be followed are passed over, and choices are kept apart from steps.
  private let isLenient: Bool
  /// The values of the choices, the first one last, where they are kept apart.
  private var values: [Int]

  init(_ decisions: [Schedule.Decision], isLenient: Bool) {
    self.decisions = decisions
    self.isLenient = isLenient
    values = decisions.reversed().compactMap { if case .choice(let value) = $0 { value } else { nil } }
  }

  /// The process that the schedule says, or `otherwise` after its end; negative if it cannot be followed.
  func process(_ enabled: ProcessSet, actors: Int, otherwise: Int) -> Int {
    while position < decisions.count {
      let chosen =
        switch decisions[position] {
        case .actor(let actor): actor
        case .flush(let actor): actor + actors
        case .choice: -1
        }
      position += 1
      if chosen >= 0, chosen < ExploredProgram.maximumActors, enabled.has(chosen) { return chosen }
      if !isLenient { return -1 }
    }
    return otherwise
  }

  /// The value that the schedule says; nil if it cannot be followed.
  func value(below count: Int) -> Int? {
    if isLenient { return values.popLast().map { min($0, count - 1) } ?? 0 }
    guard position < decisions.count else { return 0 }
    position += 1
    if case .choice(let value) = decisions[position - 1], value < count { return value }
    return nil
  }
}

/// Numbers that follow from a seed (SplitMix64).
struct RandomSource {
  private var state: UInt64

  /// The numbers of one execution of a search with a seed.
  init(_ seed: UInt64, execution: Int) {
    var hash = Hash64()
    hash.combine(seed)
    hash.combine(UInt64(execution))
    state = hash.value
  }

  @inline(__always)
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word &>> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word &>> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word &>> 31)
  }

  /// A number below `limit`, which is above zero.
  @inline(__always)
  mutating func next(below limit: Int) -> Int {
    Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(limit)).high)
  }
}
