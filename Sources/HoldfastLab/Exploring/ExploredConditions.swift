import HoldfastScenario
import Interleaving

/// The conditions of a scenario, held against the ends of executions.
final class ExploredConditions {
  private let scenario: Scenario
  private let policy: PolicyName
  /// Conditions with `sometimes` of which a witness was reported.
  private var witnessed: Set<Int> = []
  private static let witness = "conditions are true"

  init(_ scenario: Scenario, _ policy: PolicyName) {
    self.scenario = scenario
    self.policy = policy
  }

  /// The first `never` that is true, or `always` that is false, given what the scenario's looks found.
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

  /// The conditions with `sometimes` that are true; the execution is a witness of each.
  func witness(_ looks: [Verdict.State]) -> Violation? {
    let places = scenario.conditions.indices.filter { index in
      let condition = scenario.conditions[index]
      return condition.quantifier(under: policy) == .sometimes
        && scenario.truth(of: condition, looks) == true
    }
    return places.isEmpty
      ? nil : Violation(name: Self.witness, text: places.map(String.init).joined(separator: " "))
  }

  /// What is reported of an execution: a condition that it is the first witness of.
  func once(_ violation: Violation?) -> Violation? {
    guard let violation, violation.name == Self.witness else { return violation }
    let places = violation.text.split(separator: " ").compactMap { Int($0) }
    guard let first = places.first(where: { !witnessed.contains($0) }) else { return nil }
    witnessed.insert(first)
    return Violation(name: ExploreReport.witnessName(first), text: "seen")
  }
}
