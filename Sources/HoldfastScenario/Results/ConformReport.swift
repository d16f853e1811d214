/// What a real kernel showed of scenarios, held against what the engine allows.
public struct ConformReport: Codable, Sendable, Equatable {
  /// How a scenario fares.
  public enum Verdict: String, Codable, Sendable, Hashable, CaseIterable {
    /// The engine allows every state that was seen.
    case same
    /// It does, but for states that are written up.
    case known = "known-difference"
    /// The kernel was in a state that the engine forbids: one of them is wrong.
    case forbidden
    /// The engine lacks verbs, so the kernel's states are not judged.
    case notModelled = "cannot-yet"
    /// One of the grounds refused, or they have nothing in common that both saw.
    case notComparable = "not-comparable"
    /// The recording is of another text than the scenario's.
    case stale
  }

  /// What the engine says about a state of the kernel.
  public enum Relation: String, Codable, Sendable, Hashable {
    /// Allowed.
    case allowed
    /// Forbidden, and written up.
    case known
    /// Forbidden.
    case forbidden
    /// Nothing.
    case unjudged
  }

  /// A state that the kernel was seen in.
  public struct KernelState: Codable, Sendable, Equatable {
    /// The state.
    public var state: RunState
    /// In how many runs.
    public var count: Int
    /// What the engine says about it.
    public var relation: Relation
    /// The entries that write it up, by their texts.
    public var differences: [String]
  }

  /// One scenario.
  public struct Entry: Codable, Sendable, Equatable {
    /// The scenario's identifier.
    public var scenario: String
    /// Its file.
    public var file: String
    /// SHA-256 of the text that the kernel ran.
    public var hash: String
    /// The sections of the kernel's specification that it shows.
    public var rules: [String]
    /// The policy that has the kernel's rules.
    public var policy: PolicyName
    /// The kernel.
    public var kernel: KernelIdentity
    /// How many runs the kernel did.
    public var runs: Int
    /// The day of the recording.
    public var recorded: String
    /// How it fares.
    public var verdict: Verdict
    /// Why it cannot be judged, or which verbs are lacking.
    public var reason: String?
    /// States of the kernel, most frequent first.
    public var states: [KernelState]
    /// How many orders of the actors' steps the engine ran; 0 where it did not.
    public var orders: Int
    /// States that the engine allows, as far as both grounds see, most frequent first.
    public var allowed: [StateHistogram.Row]
    /// Those of them that the kernel was never seen in.
    public var unseen: [RunState]
    /// Steps that no ground did because the kernel's cannot, with the reason.
    public var leftOut: [String]
    /// What the kernel's runs warned of.
    public var warnings: [String]
  }

  /// Version of this form.
  public var schema = 1
  /// By scenario.
  public var entries: [Entry]
  /// Entries of the list of differences that no recording shows any more.
  public var staleDifferences: [KnownDifference]

  /// Makes a report; the differences are those of the scenarios in the entries, or of none there is.
  public init(entries: [Entry], staleDifferences: [KnownDifference]) {
    self.entries = entries
    self.staleDifferences = staleDifferences
  }

  /// What the command ends with: 1 for a forbidden state, 2 for what is out of date.
  public var exitCode: Int32 {
    if entries.contains(where: { $0.verdict == .forbidden }) { return 1 }
    return !staleDifferences.isEmpty || entries.contains { $0.verdict == .stale } ? 2 : 0
  }

  private enum CodingKeys: String, CodingKey {
    case schema, entries
    case staleDifferences = "stale_differences"
  }
}
