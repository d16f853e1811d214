/// How often runs of one scenario ended in which state.
public struct StateHistogram: Codable, Sendable, Equatable {
  /// A state and how often it was seen.
  public struct Row: Codable, Sendable, Equatable {
    /// The state.
    public var state: RunState
    /// At least one.
    public var count: Int
  }

  /// Most frequent first, and among equals in the order of their texts.
  public private(set) var rows: [Row]

  /// Nothing seen.
  public init() { rows = [] }

  /// Counts states.
  public init(_ states: some Sequence<RunState>) {
    self.init()
    for state in states { add(state) }
  }

  /// Counts the states of runs.
  public init(_ reports: [RunReport], of scenario: Scenario) {
    self.init(reports.map { RunState($0, of: scenario) })
  }

  /// Counts a state, once or several times.
  public mutating func add(_ state: RunState, count: Int = 1) {
    if let index = rows.firstIndex(where: { $0.state == state }) {
      rows[index].count += count
    } else {
      rows.append(Row(state: state, count: count))
    }
    rows.sort { ($1.count, $0.state.description) < ($0.count, $1.state.description) }
  }

  /// How many runs were counted.
  public var runs: Int { rows.reduce(0) { $0 + $1.count } }

  /// What at least one of the states says something about.
  public var observables: Set<RunState.Observable> {
    rows.reduce(into: []) { $0.formUnion($1.state.observables) }
  }

  /// The histogram of a ground that sees nothing but these.
  public func projected(onto observables: Set<RunState.Observable>) -> StateHistogram {
    var result = StateHistogram()
    for row in rows { result.add(row.state.projected(onto: observables), count: row.count) }
    return result
  }
}

/// What the engine says about a scenario when it is asked for everything that it allows.
public enum EngineAnswer: Sendable, Equatable {
  /// The states that its runs ended in, one run per order of the actors' steps that was tried.
  case allowed(StateHistogram)
  /// It lacks these verbs.
  case notModelled([String])
  /// It does not run the scenario at all; says why.
  case refuses(String)
}

extension StepRecord {
  /// Why a step is skipped that comes after the run's end.
  public static let runEnded = "the run ended before"
  /// Why a step is skipped whose turn cannot come.
  public static let neverReady = "a step that it waits for is never done"
  /// Why the engine skips a step that another ground could not do.
  public static let leftOut = "left out, as on the other ground"

  /// Whether the step was skipped because its ground cannot do it, and not because its turn never came.
  public var isBeyondGround: Bool {
    status == .skipped && skipped != Self.runEnded && skipped != Self.neverReady
  }
}
