import ArgumentParser
import HoldfastScenario

/// Reads policies from the command line.
enum PolicyWords {
  /// One policy.
  static func policy(_ word: String) throws -> PolicyName {
    guard let policy = PolicyName(rawValue: word) else {
      throw ValidationError(
        Failure.unknown("policy", word, allowed: PolicyName.allCases.map(\.rawValue)))
    }
    return policy
  }

  /// Policies between commas, each once.
  static func list(_ words: String) throws -> [PolicyName] {
    var policies: [PolicyName] = []
    for word in words.split(separator: ",", omittingEmptySubsequences: false) {
      let policy = try policy(String(word))
      guard !policies.contains(policy) else { throw ValidationError("\(policy) is given twice") }
      policies.append(policy)
    }
    return policies
  }
}
