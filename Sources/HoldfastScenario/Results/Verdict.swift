/// What became of one expectation.
public struct Verdict: Codable, Sendable, Equatable {
  /// How it ended.
  public enum State: String, Codable, Sendable, Hashable {
    /// Seen as expected.
    case holds
    /// Seen otherwise.
    case fails
    /// Not compared; never counted as holding.
    case skipped
  }

  /// The expectation in words.
  public var expectation: String
  /// Its place in the scenario.
  public var location: SourceLocation
  /// How it ended.
  public var state: State
  /// Why it was skipped, or what the numbers do not say.
  public var reason: String?
  /// What was expected.
  public var expected: String?
  /// What was found.
  public var found: String?
  /// The author's reason for expecting it.
  public var because: String?
  /// Of a condition: how often it is to be true.
  public var quantifier: Condition.Quantifier?

  /// Makes a verdict.
  public init(
    expectation: String, location: SourceLocation, state: State, reason: String? = nil,
    expected: String? = nil, found: String? = nil, because: String? = nil
  ) {
    self.expectation = expectation
    self.location = location
    self.state = state
    self.reason = reason
    self.expected = expected
    self.found = found
    self.because = because
  }

  /// The verdict on a step with `must: ok` that did not succeed.
  public init(mandatory step: Step, failedWith found: String) {
    self.init(
      expectation: "\(step.label ?? step.verb.summary) must succeed", location: step.location, state: .fails,
      expected: "ok", found: found)
  }
}

/// How a whole run ended.
public enum RunOutcome: String, Codable, Sendable, Hashable {
  /// Every expectation that was compared holds.
  case holds
  /// At least one does not.
  case fails
  /// Nothing was compared, because nothing is expected or all was skipped.
  case unchecked

  /// The outcome of these verdicts together.
  public init(_ verdicts: [Verdict]) {
    if verdicts.contains(where: { $0.state == .fails }) {
      self = .fails
    } else {
      self = verdicts.contains { $0.state == .holds } ? .holds : .unchecked
    }
  }

  /// What the command ends with.
  public var exitCode: Int32 { self == .fails ? 1 : 0 }
}
