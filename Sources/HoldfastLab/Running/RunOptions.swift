public import HoldfastScenario

/// How a scenario is run.
public struct RunOptions: Sendable {
  /// Where the machine comes from.
  public enum Machine: Sendable, Hashable {
    /// The scenario's `machine:`.
    case configured
    /// This host.
    case live
    /// A saved copy of a host's files.
    case snapshot(directory: String)
  }

  /// The policy, or nil for the scenario's.
  public var policy: PolicyName?
  /// Where the machine comes from.
  public var machine = Machine.configured
  /// Frames without bytes (`model`) or with them (`memory`).
  public var ground = RunReport.Ground.model
  /// Whether the report carries trace events.
  public var collectTrace = false
  /// Whether the invariants are checked at the end of every step, as far as the machine's size allows.
  public var checkInvariants = true
  /// Actors in the order in which they take precedence; those that are not named follow in file order.
  public var precedence: [String] = []
  /// Whether an actor lets those that take precedence go first between its steps; else it goes on until it has
  /// to wait.
  public var givesWay = false
  /// Steps that are skipped, because another ground could not do them.
  public var leftOut: Set<StepPlace> = []
  /// Told how far the run is, at most every 50 ms, on another thread.
  public var progress: (@Sendable (RunProgress) -> Void)?

  /// The scenario's own policy and machine, frames without bytes.
  public init() {}
}

/// How far a run is.
public struct RunProgress: Sendable {
  /// Steps that have ended.
  public var stepsDone: Int
  /// Steps of all actors.
  public var steps: Int
  /// What is being done, in words.
  public var current: String
}
