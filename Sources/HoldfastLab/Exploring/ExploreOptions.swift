public import HoldfastScenario
internal import Interleaving

/// How a scenario is explored.
public struct ExploreOptions: Sendable {
  /// How executions are chosen.
  public enum Search: Sendable, Hashable {
    /// With at most 0, 1 and so on up to so many preemptions, one pass each.
    case bounded(upTo: Int)
    /// One execution of each trace.
    case exhaustive
    /// Bounded up to 2, then exhaustive.
    case standard
    /// Anyone who can go on, with the same probability at each step.
    case random(seed: UInt64)
    /// Random priorities, which change so many times less one.
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
  /// Ends the exploration after so long.
  public var time: Duration?
  /// Ends the exploration after so many executions.
  public var executions: Int?
  /// Ends the exploration when told to.
  public var stop: ExploreStop?
  /// Most points of one execution at which something fails that could fail: an allocation, an isolation and so on.
  ///
  /// With any, an expectation that does not hold is no finding.
  public var faults = 0
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

  /// Nothing is ended yet.
  public init() {}

  /// Ends the exploration after the execution under way.
  public func stop() { flag.cancel() }
}
