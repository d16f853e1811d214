import Foundation
import Synchronization

/// Runs a body on several threads that are at work at the same time.
///
/// The threads begin together: each waits until all have arrived. The body goes through the rounds that it is given,
///
///     try together(2, rounds: 2000) { thread, rounds in
///       for round in rounds { ... }
///     }
///
/// which are at least so many, and more until all threads have done theirs and each has seen every other thread get
/// on within ten of its own rounds. A call that ends without an error has therefore overlapped, on a busy machine
/// too. `DispatchQueue.concurrentPerform` promises no such thing: it may run one half after the other.
///
/// - Returns: how many rounds each thread did.
/// - Throws: the first error of a body, or ``NeverMet``.
@discardableResult
public func together(
  _ threads: Int, rounds: Int, _ body: @escaping @Sendable (Int, Rounds) throws -> Void
) throws -> [Int] {
  let sides = (0..<threads).map { _ in Side() }
  let deadline = ContinuousClock.now + .seconds(60)
  let arrived = Shared(Atomic(0))
  let error = Shared(Mutex<(any Error)?>(nil))
  let ended = DispatchGroup()
  for thread in 0..<threads {
    ended.enter()
    Thread {
      arrived.value.add(1, ordering: .acquiringAndReleasing)
      while arrived.value.load(ordering: .acquiring) < threads { sched_yield() }
      do {
        try body(thread, Rounds(thread: thread, sides: sides, minimum: rounds, deadline: deadline))
      } catch let thrown {
        error.value.withLock { $0 = $0 ?? thrown }
      }
      sides[thread].hasLeft.store(true, ordering: .relaxed)
      ended.leave()
    }.start()
  }
  ended.wait()
  if let error = error.value.withLock({ $0 }) { throw error }
  if let lonely = sides.firstIndex(where: { threads > 1 && !$0.hasMet.load(ordering: .relaxed) }) {
    throw NeverMet(thread: lonely, rounds: sides.map { $0.rounds.load(ordering: .relaxed) })
  }
  return sides.map { $0.rounds.load(ordering: .relaxed) }
}

/// A thread did not see every other one at work.
public struct NeverMet: Error, CustomStringConvertible {
  /// The first such thread.
  public let thread: Int
  /// How many rounds each thread did.
  public let rounds: [Int]

  /// Says which thread it was.
  public var description: String {
    "thread \(thread) did not see every other one at work; the threads did \(rounds) rounds"
  }
}

/// The rounds of one of several threads, which look whether the others get on meanwhile.
///
/// What they look at is relaxed: nothing is ordered between the threads by it, and a race between their bodies
/// stays one for the thread sanitizer.
public struct Rounds: Sequence, IteratorProtocol {
  private static let enough = 10

  private let thread: Int
  private let sides: [Side]
  private let minimum: Int
  private let deadline: ContinuousClock.Instant
  private var round = 0
  /// How many rounds each side had done when this round began.
  private var before: [Int]
  /// In how many rounds each side got on.
  private var met: [Int]

  fileprivate init(thread: Int, sides: [Side], minimum: Int, deadline: ContinuousClock.Instant) {
    self.thread = thread
    self.sides = sides
    self.minimum = minimum
    self.deadline = deadline
    before = sides.map { _ in 0 }
    met = before
  }

  /// Ends a round, and begins the next one unless that was the last.
  public mutating func next() -> Int? {
    let own = sides[thread]
    if round > 0 {
      for other in sides.indices where sides[other].rounds.load(ordering: .relaxed) != before[other] {
        met[other] += 1
      }
      own.rounds.store(round, ordering: .relaxed)
      if sides.indices.allSatisfy({ $0 == thread || met[$0] >= Self.enough }) {
        own.hasMet.store(true, ordering: .relaxed)
      }
      if round >= minimum {
        own.isDone.store(true, ordering: .relaxed)
        if !goesOn { return nil }
      }
    }
    for other in sides.indices { before[other] = sides[other].rounds.load(ordering: .relaxed) }
    defer { round += 1 }
    return round
  }

  /// Whether this thread has more to do than its own rounds: for others that are at theirs, or to meet them.
  private var goesOn: Bool {
    if sides.contains(where: { !$0.isDone.load(ordering: .relaxed) && !$0.hasLeft.load(ordering: .relaxed) })
    {
      return true
    }
    // Who has left can no longer be met.
    return sides.contains { !$0.hasMet.load(ordering: .relaxed) }
      && !sides.contains { $0.hasLeft.load(ordering: .relaxed) } && ContinuousClock.now < deadline
  }
}

/// What one thread says of itself to the others.
private final class Side: Sendable {
  let rounds = Atomic(0)
  let isDone = Atomic(false)
  let hasMet = Atomic(false)
  let hasLeft = Atomic(false)
}

/// A value that cannot be copied, for several threads.
private final class Shared<Value: ~Copyable & Sendable>: Sendable {
  let value: Value
  init(_ value: consuming Value) { self.value = value }
}
