import HoldfastScenario
import Interleaving

/// The conditions of a scenario, held against the ends of executions.
final class ExploredConditions {
  private let scenario: Scenario
  private let policy: PolicyName
  /// Conditions with `sometimes` that were true.
  private var witnessed: Set<Int> = []

  init(_ scenario: Scenario, _ policy: PolicyName) {
    self.scenario = scenario
    self.policy = policy
  }

  /// The first `never` that is true, or `always` that is false, given what became of the scenario's looks.
  func broken(_ looks: [Verdict.State]) -> Violation? {
    for condition in scenario.conditions {
      guard let quantifier = condition.quantifier(under: policy) else { continue }
      guard quantifier.state(in: scenario.truth(of: condition, looks)) == .fails else { continue }
      return Violation(
        name: "condition in line \(condition.location.line)",
        text: "\(quantifier): \(scenario.text(of: condition, under: policy))")
    }
    return nil
  }

  /// A `sometimes` that is true for the first time: nothing is wrong, but the execution is worth showing.
  func witness(_ looks: [Verdict.State]) -> Violation? {
    for (index, condition) in scenario.conditions.enumerated()
    where condition.quantifier(under: policy) == .sometimes && !witnessed.contains(index) {
      guard scenario.truth(of: condition, looks) == true else { continue }
      witnessed.insert(index)
      return Violation(name: ExploreReport.witnessName(index), text: "seen")
    }
    return nil
  }
}
