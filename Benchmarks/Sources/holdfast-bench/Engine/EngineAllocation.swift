import Holdfast

/// A machine with an array of frames for each thread.
private final class EngineZone: @unchecked Sendable {
  // Sendable: each thread writes to its own array only.
  private let engine: EngineMachine
  private let frames: [UnsafeMutablePointer<FrameNumber>]

  init(count: Int) throws {
    engine = try EngineMachine(.bench())
    frames = (0..<2).map { _ in .allocate(capacity: count) }
  }

  deinit {
    for pointer in frames { pointer.deallocate() }
  }

  /// Allocates `count` blocks, then frees them, `rounds` times.
  func allocate(order: Int, count: Int, thread: Int, rounds: Int) throws {
    let machine = engine.machine
    let process = engine.process(thread)
    let frames = frames[thread]
    for _ in 0..<rounds {
      var held = 0
      while held < count {
        frames[held] = try machine.allocate(order: order, gfp: .highUserMovable, by: process)
        held &+= 1
      }
      held = 0
      while held < count {
        try machine.free(frames[held], order: order, by: process)
        held &+= 1
      }
    }
  }
}

extension Contender {
  /// Allocate `count` movable blocks of `order` and free them, on every thread at once.
  static func engineAllocation(
    _ name: String = engine, order: Int, count: Int, threads: Int = 1
  ) -> Contender {
    Contender(name) {
      let zone = try EngineZone(count: count)
      return Side(unitsPerRound: count, threads: threads) { thread, rounds in
        try zone.allocate(order: order, count: count, thread: thread, rounds: rounds)
      }
    }
  }
}
