/// Something that is to be true at the end of no execution, of every one, or of some.
public struct Condition: Sendable, Equatable {
  /// In how many executions it is to be true.
  public enum Quantifier: String, Sendable, Hashable, Codable, CaseIterable {
    /// In none.
    case never
    /// In every one.
    case always
    /// In at least one.
    case sometimes
  }

  /// What is to be true.
  public indirect enum Formula: Sendable, Equatable {
    /// What an expectation says: a place in `Scenario.looks`.
    case atom(Int)
    /// Every one is true.
    case all([Formula])
    /// At least one is true.
    case any([Formula])
    /// It is false.
    case not(Formula)
  }

  /// What a policy asks for.
  public enum Terms: Sendable, Equatable {
    /// This often.
    case holds(Quantifier)
    /// The scenario says nothing about this policy.
    case skip
  }

  /// Its place in the file.
  public var location: SourceLocation
  /// How often it is to be true under every policy that `under` does not name.
  public var quantifier: Quantifier
  /// What is to be true.
  public var formula: Formula
  /// How often under a policy instead.
  public var under: [PolicyName: Terms]
  /// The author's reason, repeated by reports.
  public var because: String?

  /// How often it is to be true under this policy; nil if the scenario says nothing about it.
  public func quantifier(under policy: PolicyName) -> Quantifier? {
    switch under[policy] {
    case .holds(let other): other
    case .skip: nil
    case nil: quantifier
    }
  }
}

extension Condition.Formula {
  /// The truth, from that of the atoms; nil where what was not seen could decide it.
  public func truth(_ atom: (Int) -> Bool?) -> Bool? {
    switch self {
    case .atom(let index): return atom(index)
    case .not(let formula): return formula.truth(atom).map { !$0 }
    case .all(let parts): return Self.decide(parts, atom, by: false)
    case .any(let parts): return Self.decide(parts, atom, by: true)
    }
  }

  /// One part that is `value` decides; otherwise all others must be known.
  private static func decide(_ parts: [Self], _ atom: (Int) -> Bool?, by value: Bool) -> Bool? {
    var isKnown = true
    for part in parts {
      switch part.truth(atom) {
      case value?: return value
      case nil: isKnown = false
      default: break
      }
    }
    return isKnown ? !value : nil
  }

  /// In words; `atom` says what an atom is.
  public func text(_ atom: (Int) -> String) -> String {
    switch self {
    case .atom(let index): atom(index)
    case .not(let formula): "not (\(formula.text(atom)))"
    case .all(let parts): Self.join(parts, " and ", atom)
    case .any(let parts): Self.join(parts, " or ", atom)
    }
  }

  private static func join(_ parts: [Self], _ word: String, _ atom: (Int) -> String) -> String {
    guard parts.count > 1 else { return parts.first?.text(atom) ?? "" }
    return parts.map { part in
      if case .atom = part { "[\(part.text(atom))]" } else { "(\(part.text(atom)))" }
    }.joined(separator: word)
  }
}
