extension Scenario {
  /// What is true of an expectation's look, as far as it could be seen.
  private static func truth(_ state: Verdict.State) -> Bool? {
    switch state {
    case .holds: true
    case .fails: false
    case .skipped: nil
    }
  }

  /// Whether a condition is true, given the result of each of `looks`; nil if that cannot be told.
  public func truth(of condition: Condition, _ states: [Verdict.State]) -> Bool? {
    condition.formula.truth { states.indices.contains($0) ? Self.truth(states[$0]) : nil }
  }

  /// A condition in words.
  public func text(of condition: Condition, under policy: PolicyName) -> String {
    condition.formula.text { looks[$0].text(under: policy) }
  }

  /// The verdicts of one execution on all conditions, in file order.
  ///
  /// One execution can break `never` and `always`; of `sometimes` it can only tell that it was seen.
  public func conditionVerdicts(under policy: PolicyName, _ states: [Verdict.State]) -> [Verdict] {
    conditions.map { condition in
      let text = text(of: condition, under: policy)
      guard let quantifier = condition.quantifier(under: policy) else {
        return Verdict(
          expectation: "\(condition.quantifier): \(text)", location: condition.location, state: .skipped,
          reason: "the scenario says nothing about this under \(policy)", because: condition.because)
      }
      let truth = truth(of: condition, states)
      var verdict = Verdict(
        expectation: "\(quantifier): \(text)", location: condition.location,
        state: quantifier.state(in: truth), expected: quantifier.rawValue, because: condition.because)
      verdict.quantifier = quantifier
      switch truth {
      case nil: verdict.reason = "a step that it looks at was not done"
      case let truth?: verdict.found = truth ? "true" : "false"
      }
      if quantifier == .sometimes, truth == false { verdict.reason = "not seen in this execution" }
      return verdict
    }
  }
}

extension Condition.Quantifier {
  /// What one execution says of a condition that is true or false in it.
  public func state(in truth: Bool?) -> Verdict.State {
    switch (self, truth) {
    case (_, nil): .skipped
    case (.never, let truth?): truth ? .fails : .holds
    case (.always, let truth?): truth ? .holds : .fails
    case (.sometimes, let truth?): truth ? .holds : .skipped
    }
  }
}
