public import HoldfastScenario

/// Asks the engine for every state in which it lets a scenario end.
public enum AllowedStates {
  /// With more actors than this, not every order is tried.
  public static let mostPermuted = 5

  /// Runs the scenario twice per order of precedence of its actors: one actor goes on until it has to wait, or it
  /// gives way after every step.
  ///
  /// - Parameters:
  ///   - scenario: the scenario.
  ///   - policy: the policy that the engine follows.
  ///   - leftOut: steps that the other ground could not do, and which the engine then leaves out too: else the two
  ///     would not have done the same.
  /// - Throws: `RunFailure.internalError`; that the engine refuses the scenario is an answer.
  public static func collect(
    _ scenario: Scenario, policy: PolicyName, leavingOut leftOut: Set<StepPlace> = []
  ) throws(RunFailure) -> EngineAnswer {
    let missing = EngineLimits.missing(in: scenario)
    guard missing.isEmpty else { return .notModelled(missing) }
    var options = RunOptions()
    options.policy = policy
    options.leftOut = leftOut
    // The invariants have tests of their own, and here they would be most of the time.
    options.checkInvariants = false
    var states = StateHistogram()
    let orders = orders(of: scenario.actors.map(\.name))
    for order in orders {
      for givesWay in orders.count > 1 ? [false, true] : [false] {
        options.precedence = order
        options.givesWay = givesWay
        let report: RunReport
        do {
          report = try ScenarioRunner.run(scenario, options)
        } catch {
          if case .internalError = error { throw error }
          return .refuses(error.description)
        }
        states.add(RunState(report, of: scenario))
      }
    }
    return .allowed(states)
  }

  /// All orders of up to five actors; of more, file order and its rotations.
  public static func orders(of names: [String]) -> [[String]] {
    guard names.count > mostPermuted else { return permutations(names) }
    return names.indices.map { Array(names[$0...] + names[..<$0]) }
  }

  private static func permutations(_ names: [String]) -> [[String]] {
    guard names.count > 1 else { return [names] }
    return names.indices.flatMap { index in
      var rest = names
      let first = rest.remove(at: index)
      return permutations(rest).map { [first] + $0 }
    }
  }
}
