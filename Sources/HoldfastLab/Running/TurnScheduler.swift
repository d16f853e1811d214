import CLinux
import Dispatch

import class Foundation.Thread

/// Runs actors one at a time, in an order that depends on the scenario's text only.
///
/// Each actor has a thread, and one of them has the turn: it runs until it ends, must wait for a step of another
/// actor, or waits inside a step. The next turn is that of the first actor in file order that can continue; actors
/// that wait inside a step are resumed, one after the other, when no other actor can continue.
final class TurnScheduler: @unchecked Sendable {
  // Sendable: only the thread that has the turn reads or writes what is mutable; semaphores pass the turn on.

  enum State {
    /// Can run as soon as `isReady` returns true.
    case ready
    /// Inside a step: it tries again or waits for a lock.
    case waiting(lock: Bool)
    case done
  }

  /// Why the run stopped, if not all actors have ended.
  enum Stop {
    /// Every actor that is left waits for a lock that another one holds.
    case deadlock([String])
  }

  private final class Actor {
    let name: String
    let isReady: () -> Bool
    let body: () -> Void
    let baton = DispatchSemaphore(value: 0)
    var state = State.ready

    init(name: String, isReady: @escaping () -> Bool, body: @escaping () -> Void) {
      self.name = name
      self.isReady = isReady
      self.body = body
    }
  }

  /// Rounds in which only waiting actors were resumed before one of them is told to give up.
  private static let patience = 10_000

  private var actors: [Actor] = []
  private var current = 0
  private var idleRounds = 0
  private let finished = DispatchSemaphore(value: 0)
  private(set) var stop: Stop?
  /// Told which waiting actor should give up, since no other can continue; it gets a signal.
  var giveUp: (Int) -> Void = { _ in }

  /// Adds an actor; the order of adding is the order of precedence.
  func add(name: String, isReady: @escaping () -> Bool, body: @escaping () -> Void) {
    actors.append(Actor(name: name, isReady: isReady, body: body))
  }

  /// Runs all actors to their ends.
  func run() {
    guard !actors.isEmpty else { return }
    for index in actors.indices {
      let thread = Thread { [self] in
        actors[index].baton.wait()
        let context = Unmanaged.passUnretained(self).toOpaque()
        hf_set_wait_handler(
          { context, reason in
            guard let context else { return }
            Unmanaged<TurnScheduler>.fromOpaque(context).takeUnretainedValue().wait(reason: reason)
          }, context)
        actors[index].body()
        hf_set_wait_handler(nil, nil)
        actors[index].state = .done
        passOn(from: index)
      }
      thread.stackSize = 4 << 20
      thread.start()
    }
    passOn(from: nil)
    finished.wait()
  }

  /// Lets others run until this actor may begin its next step; false if it never will.
  ///
  /// - Parameter givingWay: whether others that take precedence go first even if it may begin.
  func waitUntilReady(givingWay: Bool) -> Bool {
    let me = current
    if givingWay {
      passOn(from: me)
      actors[me].baton.wait()
    }
    while !actors[me].isReady() {
      guard canOthersRun(than: me) else { return false }
      passOn(from: me)
      actors[me].baton.wait()
    }
    return true
  }

  /// Whether an actor is inside a step that waits.
  func isWaiting(_ index: Int) -> Bool {
    if case .waiting = actors[index].state { return true }
    return false
  }

  private func canOthersRun(than me: Int) -> Bool {
    actors.indices.contains { index in
      guard index != me else { return false }
      switch actors[index].state {
      case .ready: return actors[index].isReady()
      case .waiting: return true
      case .done: return false
      }
    }
  }

  /// Called by the engine, on the thread that has the turn, where it can only try again or wait for a lock.
  private func wait(reason: UInt32) {
    let me = current
    actors[me].state = .waiting(lock: reason == 0)
    passOn(from: me)
    actors[me].baton.wait()
    actors[me].state = .ready
  }

  private func passOn(from me: Int?) {
    guard let next = choose(after: me) else {
      finished.signal()
      return
    }
    current = next
    actors[next].baton.signal()
  }

  private func choose(after me: Int?) -> Int? {
    let ready = actors.indices.first { index in
      if case .ready = actors[index].state { return actors[index].isReady() }
      return false
    }
    if let ready {
      idleRounds = 0
      return ready
    }
    let waiting = actors.indices.filter { isWaiting($0) }
    guard !waiting.isEmpty else {
      // The actors that are left wait for a step that will never be done; they end when they run.
      return actors.indices.first { if case .ready = actors[$0].state { true } else { false } }
    }
    idleRounds += 1
    if idleRounds > Self.patience * waiting.count {
      let trying = waiting.first { if case .waiting(lock: false) = actors[$0].state { true } else { false } }
      guard let trying else {
        stop = .deadlock(waiting.map { actors[$0].name })
        return nil
      }
      idleRounds = 0
      giveUp(trying)
    }
    return waiting.first { $0 > (me ?? -1) } ?? waiting[0]
  }
}
