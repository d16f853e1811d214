/// What a ground saw of an expectation's subject.
public enum Observation: Sendable, Equatable {
  /// A number.
  case number(Int64)
  /// How many of how many.
  case count(Int64, of: Int64)
  /// A word.
  case word(String)
  /// Owners.
  case names(Set<String>)
  /// This ground cannot see it, or the step it depends on was not done; says why.
  case unavailable(String)
}

extension Expectation {
  /// Whether the observation is what this policy's terms ask for.
  public func state(under policy: PolicyName, observed: Observation) -> Verdict.State {
    guard case .compare(let comparisons) = terms(under: policy) else { return .skipped }
    if case .unavailable = observed { return .skipped }
    return comparisons.allSatisfy { $0.holds(for: observed) } ? .holds : .fails
  }

  /// Holds the observation against what this policy's terms ask for.
  public func verdict(under policy: PolicyName, observed: Observation) -> Verdict {
    let name = text(under: policy)
    guard case .compare(let comparisons) = terms(under: policy) else {
      return Verdict(
        expectation: name, location: location, state: .skipped,
        reason: "the scenario says nothing about this under \(policy)", because: because)
    }
    let expected = comparisons.map(\.description).joined(separator: " and ")
    if case .unavailable(let why) = observed {
      return Verdict(
        expectation: name, location: location, state: .skipped, reason: why, expected: expected,
        because: because)
    }
    let failing = comparisons.first { !$0.holds(for: observed) }
    var reason: String?
    if failing?.value == .all, case .count(_, of: 0) = observed { reason = "there is nothing to count" }
    return Verdict(
      expectation: name, location: location, state: failing == nil ? .holds : .fails, reason: reason,
      expected: expected, found: observed.description, because: because)
  }

  /// The expectation in words, with what this policy's terms ask for.
  public func text(under policy: PolicyName) -> String {
    var text = subject.summary
    if let since { text += " since \(since)" }
    if case .compare(let comparisons) = terms(under: policy) {
      text += ": " + comparisons.map(\.description).joined(separator: " and ")
    }
    if let at { text += ", after \(at)" }
    return text
  }
}

extension Comparison: CustomStringConvertible {
  /// Whether the observation satisfies the operator.
  public func holds(for observed: Observation) -> Bool {
    switch (observed, value) {
    case (.number(let found), .number(let expected)), (.count(let found, _), .number(let expected)):
      compare(found, expected)
    case (.count(let found, let total), .all):
      compare(found, total) && (total > 0 || operation == .not)
    case (.count(let found, _), .none), (.number(let found), .none):
      compare(found, 0)
    case (.word(let found), .word(let expected)):
      operation == .not ? found != expected : found == expected
    case (.names(let found), .names(let expected)):
      compare(found, expected)
    case (.names(let found), .none):
      compare(found, [])
    default: false
    }
  }

  private func compare(_ found: Int64, _ expected: Int64) -> Bool {
    switch operation {
    case .equals: found == expected
    case .not: found != expected
    case .atLeast: found >= expected
    case .atMost: found <= expected
    }
  }

  private func compare(_ found: Set<String>, _ expected: Set<String>) -> Bool {
    switch operation {
    case .equals: found == expected
    case .not: found != expected
    case .atLeast: found.isSuperset(of: expected)
    case .atMost: found.isSubset(of: expected)
    }
  }

  /// `16384`, `not ok`, `at least 3`.
  public var description: String {
    switch operation {
    case .equals: value.description
    case .not: "not \(value)"
    case .atLeast: "at least \(value)"
    case .atMost: "at most \(value)"
    }
  }
}

extension ExpectedValue: CustomStringConvertible {
  /// The value as it is written.
  public var description: String {
    switch self {
    case .number(let number): String(number)
    case .all: "all"
    case .none: "none"
    case .word(let word): word
    case .names(let names): names.sorted().joined(separator: ", ")
    }
  }
}

extension Observation: CustomStringConvertible {
  /// The observation in the words of an expectation.
  public var description: String {
    switch self {
    case .number(let number): String(number)
    case .count(let count, let total): "\(count) of \(total)"
    case .word(let word): word
    case .names(let names): names.isEmpty ? "none" : names.sorted().joined(separator: ", ")
    case .unavailable(let why): "not seen: \(why)"
    }
  }
}
