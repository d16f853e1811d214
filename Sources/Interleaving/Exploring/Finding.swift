/// What a check has found to be wrong.
public struct Violation: Codable, Hashable, Sendable {
  /// The name of the rule that is broken; findings with the same name are one finding.
  public var name: String
  /// What is wrong, with the relevant values.
  public var text: String

  /// A violation.
  public init(name: String, text: String) {
    self.name = name
    self.text = text
  }
}

/// When a check is made.
public struct Moment: Sendable {
  /// The actor whose step has just ended; nil at the end of an execution.
  public let actor: Int?
  /// What that step did.
  public let kind: PointKind
  /// The address that the step named.
  public let address: UInt
  /// The number of steps so far.
  public let step: Int

  /// Whether every actor has ended.
  public var isEnd: Bool { actor == nil }
}

/// A flaw with the execution that shows it.
public struct Finding: Codable, Hashable, Sendable {
  /// What kind of flaw it is.
  public enum Kind: String, Codable, Hashable, Sendable {
    /// A check failed.
    case violation
    /// No actor can run.
    case deadlock
    /// A lock is taken out of the order of ranks.
    case lockOrder
    /// Actors only retry, and come back to the same state.
    case livelock
    /// An execution has not ended after the limit of steps.
    case endless
    /// Two plain accesses, one of them a write, that no synchronisation orders.
    case dataRace
    /// An error left an actor.
    case thrown
    /// An actor trapped.
    case trap
  }

  /// One step of the execution.
  public struct Step: Codable, Hashable, Sendable {
    /// The actor.
    public var actor: Int
    /// What was decided.
    public var decision: Schedule.Decision
    /// The name of the step of the program; empty if none was marked.
    public var name: String
    /// What it did to the word at `address`.
    public var kind: String
    /// The address that it named.
    public var address: UInt
  }

  /// What kind of flaw it is.
  public var kind: Kind
  /// The name; findings with the same name are one finding.
  public var name: String
  /// What is wrong.
  public var text: String
  /// The decisions that lead there.
  public var schedule: Schedule
  /// The steps that lead there.
  public var steps: [Step]
  /// How many times an actor is interrupted while it could run.
  public var preemptions: Int
  /// The number of the execution that found it, from 1.
  public var execution: Int
}
