/// What an exploration of a scenario's interleavings covered, and what it found.
public struct ExploreReport: Codable, Sendable, Equatable {
  /// The version of this form.
  public static let currentSchema = 1

  /// Why a search ended.
  public enum End: String, Codable, Sendable, Hashable {
    /// Every execution was covered.
    case exhausted
    /// Every execution within the bound was covered, and there are others.
    case boundReached = "bound-reached"
    /// Every execution was covered, some of them only up to a trap or the limit of steps.
    case cut
    case time, executions, interrupted
    /// One execution was repeated.
    case replayed
  }

  /// One search of several.
  public struct Pass: Codable, Sendable, Equatable {
    /// How executions were chosen, in words: `at most 2 preemptions`.
    public var search: String
    /// Why it ended.
    public var end: End
    /// Executions begun.
    public var executions: Int
    /// Executions that went to their ends.
    public var completed: Int
    /// Executions given up, since what they would do had been done.
    public var redundant: Int
    /// Schedule points at which the next actor was chosen.
    public var steps: Int
    /// Steps of the longest execution.
    public var deepest: Int
    /// The decimal logarithm of the number of orders that those steps could be put in, if none waited for another.
    public var orders: Double
    /// Different places come to; counted where what comes to the same is merged.
    public var merged: Int?
    /// Real time.
    public var seconds: Double
    /// How the executions ended that went to their ends.
    public var states: [StateHistogram.Row]

    /// A pass.
    public init(
      search: String, end: End, executions: Int, completed: Int, redundant: Int, steps: Int, deepest: Int,
      orders: Double, merged: Int? = nil, seconds: Double, states: [StateHistogram.Row]
    ) {
      self.search = search
      self.end = end
      self.executions = executions
      self.completed = completed
      self.redundant = redundant
      self.steps = steps
      self.deepest = deepest
      self.orders = orders
      self.merged = merged
      self.seconds = seconds
      self.states = states
    }
  }

  /// How often an expectation held.
  public struct Check: Codable, Sendable, Equatable {
    /// Its place: the line, as in the states.
    public var line: String
    /// The expectation in words.
    public var expectation: String
    /// Executions in which it held.
    public var holds: Int
    /// Executions in which it was looked at and did not hold.
    public var fails: Int

    /// A check.
    public init(line: String, expectation: String, holds: Int, fails: Int) {
      self.line = line
      self.expectation = expectation
      self.holds = holds
      self.fails = fails
    }
  }

  /// A flaw, and the shortest execution found that shows it.
  public struct Finding: Codable, Sendable, Equatable {
    /// Steps that one actor does without another in between.
    public struct Run: Codable, Sendable, Equatable {
      /// Who: a place in `actors`.
      public var actor: Int
      /// The step of the scenario.
      public var step: String
      /// The number of its first step in the execution, from 1.
      public var first: Int
      /// How many steps it does.
      public var count: Int
      /// What the last of them does.
      public var last: String
      /// The value of its word before and after it.
      public var value: String?
      /// Entries, counts and flags of frames that the run leaves changed.
      public var changes: [String] = []

      /// A run.
      public init(actor: Int, step: String, first: Int, count: Int, last: String, value: String? = nil) {
        self.actor = actor
        self.step = step
        self.first = first
        self.count = count
        self.last = last
        self.value = value
      }
    }

    /// `violation`, `deadlock`, `livelock` and so on.
    public var kind: String
    /// The name of the rule that is broken, or of what happened.
    public var name: String
    /// What is wrong.
    public var text: String
    /// In how many executions.
    public var occurrences: Int
    /// How often an actor is interrupted although it could continue.
    public var preemptions: Int
    /// The execution.
    public var runs: [Run]
    /// What repeats it: an argument of `--replay`.
    public var replay: String

    /// A finding.
    public init(
      kind: String, name: String, text: String, occurrences: Int, preemptions: Int, runs: [Run],
      replay: String
    ) {
      self.kind = kind
      self.name = name
      self.text = text
      self.occurrences = occurrences
      self.preemptions = preemptions
      self.runs = runs
      self.replay = replay
    }
  }

  /// One step of an execution.
  public struct ExecutedOperation: Codable, Sendable, Equatable {
    /// Who: a place in `actors`.
    public var actor: Int
    /// The step of the scenario; empty before the first.
    public var step: String
    /// What it does.
    public var kind: String
    /// The word that it does it to, if it is known.
    public var word: String
    /// The value of that word before and after it.
    public var value: String?

    /// An operation.
    public init(actor: Int, step: String, kind: String, word: String, value: String?) {
      self.actor = actor
      self.step = step
      self.kind = kind
      self.word = word
      self.value = value
    }
  }

  /// How often a condition was true.
  public struct ConditionCheck: Codable, Sendable, Equatable {
    /// Its line, as in the states.
    public var line: String
    /// How often it is to be true; nil if the scenario says nothing about it under this policy.
    public var quantifier: Condition.Quantifier?
    /// The condition in words.
    public var condition: String
    /// Executions in which it was true.
    public var holds: Int
    /// Executions in which it was false.
    public var fails: Int
    /// Whether it is as it is to be, as far as was covered; nil where that cannot be told.
    public var isMet: Bool?
    /// What repeats an execution in which a `sometimes` is true: an argument of `--replay`.
    public var witness: String?

    private enum CodingKeys: String, CodingKey {
      case line, quantifier, condition, holds, fails
      case isMet = "is_met"
      case witness
    }
  }

  /// The version of this form.
  public var schema = ExploreReport.currentSchema
  /// Which text.
  public var scenario: ScenarioIdentity
  /// The policy whose rules hold.
  public var policy: PolicyName
  /// Who acts, in file order.
  public var actors: [String]
  /// Most failures of an execution; with any, an expectation need not hold.
  public var faults = 0
  /// Bytes of the machine's state.
  public var stateBytes: Int
  /// The searches, in order.
  public var passes: [Pass] = []
  /// In how many ways executions ended, by the machine's state and the results of steps; nil if that was not counted.
  public var ends: Int?
  /// How executions ended: those of the last pass if it covered everything, else those of all.
  public var states: [StateHistogram.Row] = []
  /// Whether each expectation held, over the same executions.
  public var checks: [Check] = []
  /// How often each condition was true, over the same executions.
  public var conditions: [ConditionCheck] = []
  /// What is wrong.
  public var findings: [Finding] = []
  /// Every step of the first finding, or of the replay, where that was asked for.
  public var execution: [ExecutedOperation]?

  /// A report without passes.
  public init(_ scenario: Scenario, policy: PolicyName, stateBytes: Int) {
    self.scenario = ScenarioIdentity(scenario)
    self.policy = policy
    self.stateBytes = stateBytes
    actors = scenario.actors.map(\.name)
  }

  /// Whether every execution was covered.
  public var isExhaustive: Bool { passes.last?.end == .exhausted }

  /// 1 if there is a finding, an execution in which an expectation did not hold although nothing was made to fail, or
  /// a condition that is not met.
  public var exitCode: Int32 {
    let holds = faults > 0 || checks.allSatisfy { $0.fails == 0 }
    return findings.isEmpty && holds && !conditions.contains { $0.isMet == false } ? 0 : 1
  }

  private enum CodingKeys: String, CodingKey {
    case schema, scenario, policy, actors, faults
    case stateBytes = "state_bytes"
    case passes, ends, states, checks, conditions, findings, execution
  }

  /// Counts states and expectations from the passes.
  public mutating func summarise(_ scenario: Scenario) {
    var histogram = StateHistogram()
    for pass in isExhaustive ? Array(passes.suffix(1)) : passes {
      for row in pass.states { histogram.add(row.state, count: row.count) }
    }
    states = histogram.rows
    checks = []
    var seenInLine: [Int: Int] = [:]
    for expectation in scenario.expectations {
      let number = seenInLine[expectation.location.line, default: 0] + 1
      seenInLine[expectation.location.line] = number
      let line = RunState.line(of: expectation, number)
      var check = Check(line: line, expectation: expectation.text(under: policy), holds: 0, fails: 0)
      for row in states {
        guard let state = row.state.checks.first(where: { $0.line == line }) else { continue }
        if state.holds { check.holds += row.count } else { check.fails += row.count }
      }
      checks.append(check)
    }
    for step in scenario.actors.flatMap(\.steps) where step.mustSucceed {
      let name = RunState.name(of: step)
      var check = Check(
        line: "\(step.location.line)", expectation: "\(step.label ?? step.verb.summary) must succeed",
        holds: 0, fails: 0)
      for row in states {
        guard let ending = row.state.endings.first(where: { $0.step == name }) else { continue }
        if ending.result == "ok" { check.holds += row.count } else { check.fails += row.count }
      }
      checks.append(check)
    }
    summariseConditions(scenario)
  }

  /// What the search calls the execution in which a condition is true: the so-many-th of the scenario.
  public static func witnessName(_ index: Int) -> String { "condition \(index + 1) is true" }

  /// Takes a finding that is none, but shows that a condition can be true; false if it is another one.
  public mutating func noteWitness(_ name: String, _ replay: String) -> Bool {
    guard let index = conditions.indices.first(where: { Self.witnessName($0) == name }) else { return false }
    conditions[index].witness = replay
    return true
  }

  /// Counts conditions from the states.
  private mutating func summariseConditions(_ scenario: Scenario) {
    var seenInLine: [Int: Int] = [:]
    conditions = scenario.conditions.map { condition in
      let number = seenInLine[condition.location.line, default: 0] + 1
      seenInLine[condition.location.line] = number
      let quantifier = condition.quantifier(under: policy)
      var check = ConditionCheck(
        line: RunState.line(condition.location.line, number), quantifier: quantifier,
        condition: scenario.text(of: condition, under: policy), holds: 0, fails: 0)
      for row in states {
        guard let state = row.state.conditions.first(where: { $0.line == check.line }) else { continue }
        if state.holds { check.holds += row.count } else { check.fails += row.count }
      }
      switch quantifier {
      case .never: check.isMet = check.holds > 0 ? false : check.fails > 0 ? true : nil
      case .always: check.isMet = check.fails > 0 ? false : check.holds > 0 ? true : nil
      case .sometimes: check.isMet = check.holds > 0 ? true : isExhaustive ? false : nil
      case nil: break
      }
      return check
    }
  }
}
