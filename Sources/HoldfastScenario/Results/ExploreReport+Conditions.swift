extension ExploreReport {
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

  /// What the search calls the execution in which a condition is true: the so-many-th of the scenario.
  public static func witnessName(_ index: Int) -> String { "condition \(index + 1) is true" }

  /// Takes a finding that is none, but shows that a condition can be true; false if it is another one.
  public mutating func noteWitness(_ name: String, _ replay: String) -> Bool {
    guard let index = conditions.indices.first(where: { Self.witnessName($0) == name }) else { return false }
    conditions[index].witness = replay
    return true
  }

  /// Counts conditions from the states.
  mutating func summariseConditions(_ scenario: Scenario) {
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
