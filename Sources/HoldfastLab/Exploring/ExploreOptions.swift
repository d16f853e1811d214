public import HoldfastScenario
internal import Interleaving

/// How a scenario is explored.
public struct ExploreOptions {
  /// How executions are chosen.
  public enum Search: Sendable, Hashable {
    /// One pass for each number of preemptions, from 0 to this number.
    case bounded(upTo: Int)
    /// One execution of each trace.
    case exhaustive
    /// Bounded up to 2, then exhaustive.
    case standard
    /// At each step any actor that can continue, with equal probability.
    case random(seed: UInt64)
    /// Random priorities, which change at `depth` less one places.
    case priorities(depth: Int, seed: UInt64)
    /// One execution, as a finding's line says.
    case replay(String)
  }

  /// The policy, or nil for the scenario's.
  public var policy: PolicyName?
  /// How executions are chosen.
  public var search = Search.standard
  /// The names of safeguards that the machine is to lack.
  public var without: [String] = []
  /// Ends the exploration after this time.
  public var time: Duration?
  /// Ends the exploration after this number of executions.
  public var executions: Int?
  /// Ends the exploration when told to.
  public var stop: ExploreStop?
  /// Most failures in one execution, of points that can fail: an allocation, an isolation and so on.
  ///
  /// If it is above 0, an expectation that does not hold is no finding.
  public var faults = 0
  /// Whether the stores of an actor reach the others late, as on x86.
  public var storeBuffers = false
  /// Whether bounded searches end an execution early that reaches a state of an earlier one.
  public var merges = false
  /// How many threads explore, each on a machine of its own.
  public var jobs = 1
  /// The checkpoint of an earlier exploration of the same kind, to continue from.
  public var resume: ExploreCheckpoint?
  /// Called with a checkpoint when the exploration ends before it is complete.
  public var keep: ((ExploreCheckpoint) -> Void)?
  /// Whether the report has every operation of the first finding, or of the replay.
  public var showsExecution = false
  /// Whether the first finding ends the exploration.
  public var stopsAtFinding = false
  /// Most executions spent on making each finding smaller, for each number of preemptions.
  public var minimising = 2_000

  /// The scenario's own policy, no limits.
  public init() {}
}

/// Ends an exploration from another thread.
public final class ExploreStop: Sendable {
  let flag = ExplorationCancellation()

  /// Makes one that ends nothing yet.
  public init() {}

  /// Ends the exploration after the execution under way.
  public func stop() { flag.cancel() }
}
