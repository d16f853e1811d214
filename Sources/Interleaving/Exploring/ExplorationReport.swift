/// Why a search ended.
public enum ExplorationEnd: Codable, Hashable, Sendable {
  /// Every execution was covered.
  case exhausted
  /// Every execution within the bound was covered, and there are others; or some went no further than to a trap or
  /// the limit of steps.
  case boundReached
  case finding, executions, time, cancelled
  /// The replay reached its end.
  case replayed
}

/// What a search did.
public struct ExplorationReport: Codable, Sendable {
  /// Counts, which go on from a checkpoint.
  public struct Counts: Codable, Hashable, Sendable {
    /// Executions begun, redundant ones too.
    public var executions = 0
    /// Executions that went to their end, each another one than all before if the search is depth first.
    public var completed = 0
    /// Executions given up, since what they would do has been done.
    public var redundant = 0
    /// Schedule points at which somebody was chosen to go on.
    public var steps = 0
    /// Steps of the longest execution.
    public var deepest = 0
    /// The decimal logarithm of the number of orders that the steps of the longest execution could be put in.
    ///
    /// If none waited for another: N! by the factorials of the numbers of each actor's steps. Counted where data
    /// races are detected.
    public var orders = 0.0
    /// Different states or traces seen; counted where equal ones are merged.
    public var states = 0
  }

  /// What was counted.
  public var counts: Counts
  /// Why the search ended.
  public var end: ExplorationEnd
  /// What is wrong; one of each name.
  public var findings: [Finding]
  /// How often each finding was met.
  public var occurrences: [String: Int]
  /// How long this run of the search took.
  public var elapsed: Duration
  /// Steps of this run of the search, without those before a checkpoint.
  public var stepsTaken: Int
  /// Where to go on, if there is more to do.
  public var checkpoint: Checkpoint?
  /// The steps of a replay.
  public var steps: [Finding.Step] = []

  /// Whether everything there is was covered.
  public var isExhaustive: Bool { end == .exhausted }

  /// Steps in a second.
  public var stepsPerSecond: Double {
    let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
    return seconds > 0 ? Double(stepsTaken) / seconds : 0
  }
}

/// Where a search stands, so that another run can go on with it.
public struct Checkpoint: Codable, Sendable {
  /// The version of this form and of the search.
  public static let currentVersion = 2

  /// The version that wrote it.
  public var version: Int
  /// The program that it is for.
  public var programHash: UInt64
  /// The search that it is of.
  public var strategy: ExplorationStrategy
  /// The settings that change the space, in one word.
  public var space: UInt64
  /// What was counted.
  public var counts: ExplorationReport.Counts
  /// What was found.
  public var findings: [Finding]
  /// How often each finding was met.
  public var occurrences: [String: Int]
  /// The decisions up to one that is still to be followed, of each worker.
  var paths: [Path]
  /// Whether several workers have been at it, so that some choices are taken by the others.
  var isShared: Bool
  var isCut: Bool
  var longest: Int?

  /// The decisions of one worker.
  struct Path: Codable {
    var nodes: [Node] = []
    /// Who was chosen at each decision by anybody; at a choice, how many values were.
    var claimed: [UInt16] = []
  }
}
