import Synchronization

/// How executions are chosen.
public enum ExplorationStrategy: Codable, Hashable, Sendable {
  /// Depth first, all executions with at most this number of preemptions: an actor that could run is interrupted by
  /// another one, or by a flush of a store buffer.
  case preemptionBounded(Int)
  /// Depth first, every execution: for tests of the explorer, and for programs with few steps.
  case naive
  /// Depth first, one execution of each trace: source-DPOR with sleep sets.
  case reduced
  /// At each step any actor that can run, all with the same probability.
  case random(seed: UInt64)
  /// Random priorities that change at `depth - 1` random steps (PCT).
  case priorities(depth: Int, seed: UInt64)
  /// One execution as recorded.
  case replay(Schedule)
}

/// What an exploration looks for, and when it ends.
public struct ExplorationSettings: Sendable {
  /// Ends the search after this number of executions.
  public var executions = Int.max
  /// Ends the search after this time.
  public var time: Duration?
  /// Ends the search when told to.
  public var cancellation: ExplorationCancellation?
  /// Whether the first finding ends the search; otherwise the first of each name is kept.
  public var stopsAtFinding = true
  /// Steps after which an execution is taken to have no end, which is a finding; at most 60000.
  public var stepLimit = 60_000
  /// How often the same round of nothing but retries must repeat to be a livelock.
  ///
  /// Must be more than any limit of retries that the program has.
  public var retryRounds = 128
  /// How often in an execution an actor may try again although others have changed nothing that it has read.
  ///
  /// Further retries wait for such a change, or until no other actor can run. If the number is the program's own limit
  /// of retries, giving up is explored wherever it can happen.
  public var freeRetries = 0
  /// Most choices other than 0 in one execution: the number of faults.
  public var choiceBudget = 0
  /// Whether unordered plain accesses are findings.
  public var findsDataRaces = true
  /// Whether stores wait in a buffer per actor, as on x86; a flush is a step of its own.
  public var storeBuffers = false
  /// Whether depth-first searches without reduction give up executions that reach a state seen before.
  ///
  /// Only for programs whose actors keep everything in their registers, on their stacks, and in what `stateHash`
  /// covers: what they have on the heap is not compared.
  public var mergesEqualStates = false
  /// Whether depth-first searches without reduction give up executions that have taken the same steps as an earlier
  /// one, in an order that differs only in independent steps.
  public var mergesEqualTraces = false

  /// Data races are detected, and everything else that costs time is off.
  public init() {}
}

/// A flag that ends a search from another thread or a signal handler.
public final class ExplorationCancellation: Sendable {
  private let flag = Atomic(false)

  /// A flag that is not set.
  public init() {}

  /// Ends the search after the current execution.
  public func cancel() { flag.store(true, ordering: .relaxed) }

  /// Whether `cancel` was called.
  public var isCancelled: Bool { flag.load(ordering: .relaxed) }
}

/// Why an exploration could not begin.
public struct ExplorationError: Error, Hashable, CustomStringConvertible {
  /// What is wrong, with what was found and what was expected.
  public let description: String

  init(_ description: String) { self.description = description }
}
