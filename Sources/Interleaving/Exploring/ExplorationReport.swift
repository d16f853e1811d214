/// Why a search ended.
public enum ExplorationEnd: Codable, Hashable, Sendable {
  /// Every execution was covered.
  case exhausted
  /// Every execution within the bound was covered, and there are others; or some ended at a trap or at the limit of
  /// steps.
  case boundReached
  case finding, executions, time, cancelled
  /// The replay reached its end.
  case replayed
}

/// What a search did.
public struct ExplorationReport: Codable, Sendable {
  /// Counts, which include those of the checkpoint that the search continues.
  public struct Counts: Codable, Hashable, Sendable {
    /// Executions begun, including redundant ones.
    public var executions = 0
    /// Executions that came to their end; all of them are different if the search is depth first.
    public var completed = 0
    /// Executions given up, since what they would do was done before.
    public var redundant = 0
    /// Schedule points at which a process was chosen.
    public var steps = 0
    /// Steps of the longest execution.
    public var deepest = 0
    /// The decimal logarithm of the number of orders in which the steps of the longest execution could be put.
    ///
    /// If no step waited for another: N! divided by the factorials of the numbers of each actor's steps. Counted if
    /// data races are detected.
    public var orders = 0.0
    /// Different states or traces seen; counted if equal ones are merged.
    public var states = 0
  }

  /// What was counted.
  public var counts: Counts
  /// Why the search ended.
  public var end: ExplorationEnd
  /// The findings; one of each name.
  public var findings: [Finding]
  /// How often each finding occurred.
  public var occurrences: [String: Int]
  /// How long this run of the search took.
  public var elapsed: Duration
  /// Steps of this run of the search, without those before a checkpoint.
  public var stepsTaken: Int
  /// Where another run can continue the search, if there is more to do.
  public var checkpoint: Checkpoint?
  /// The steps of a replay.
  public var steps: [Finding.Step] = []

  /// Whether every execution was covered.
  public var isExhaustive: Bool { end == .exhausted }

  /// Steps in a second.
  public var stepsPerSecond: Double {
    let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
    return seconds > 0 ? Double(stepsTaken) / seconds : 0
  }
}

/// The state of a search, from which another run can continue it.
public struct Checkpoint: Codable, Sendable {
  /// The version of this format and of the search.
  public static let currentVersion = 2

  /// The version that wrote it.
  public var version: Int
  /// The hash of the program.
  public var programHash: UInt64
  /// The strategy of the search.
  public var strategy: ExplorationStrategy
  /// A hash of the settings that change the space of executions.
  public var space: UInt64
  /// What was counted.
  public var counts: ExplorationReport.Counts
  /// What was found.
  public var findings: [Finding]
  /// How often each finding occurred.
  public var occurrences: [String: Int]
  /// For each worker the decisions up to one that is still to be followed.
  var paths: [Path]
  /// Whether several workers have run it, so that some choices are taken by other workers.
  var isShared: Bool
  var isCut: Bool
  var longest: Int?

  /// The decisions of one worker.
  struct Path: Codable {
    var branches: [Branch] = []
    /// For each decision, the processes that any worker has chosen; for a choice, the number of values.
    var claimed: [UInt16] = []

    private enum CodingKeys: String, CodingKey {
      case branches = "nodes"
      case claimed
    }
  }
}
