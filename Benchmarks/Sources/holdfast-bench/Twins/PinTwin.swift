import CTwin

/// Pages that a batch of the pinning rows covers, as many as the kernel's own benchmark.
let pinBatch = 512

/// A C twin's address space, with an output array per thread.
private final class TwinSpace: @unchecked Sendable {
  let space: OpaquePointer
  let pages: Int
  let frames: [UnsafeMutablePointer<UInt32>]

  init(pages: Int, folioOrder: Int, threads: Int) throws {
    guard
      let space = twin_space_create(UInt32(pages), UInt32(folioOrder), false, UInt32(threads))
    else { throw Unavailable("no memory for a twin of \(pages) pages") }
    self.space = space
    self.pages = pages
    frames = (0..<threads).map { _ in .allocate(capacity: pinBatch) }
  }

  deinit {
    twin_space_destroy(space)
    for pointer in frames {
      pointer.deallocate()
    }
  }

  /// Pins and unpins the thread's share of the pages, in batches; threads work on disjoint shares.
  func pin(thread: Int, rounds: Int) throws {
    let share = pages / frames.count
    let pinned = twin_pin_rounds(
      space, UInt32(thread), UInt32(thread * share), UInt32(share), UInt32(pinBatch), UInt64(rounds),
      frames[thread])
    guard pinned == share * rounds else { throw WorkFailed("pinned \(pinned) of \(share * rounds) pages") }
  }
}

extension Contender {
  /// Pin and unpin of resident pages in batches of 512, each thread on `pages` pages of its own.
  static func pinTwin(
    _ name: String = "C twin", pages: Int, folioOrder: Int = 0, threads: Int = 1
  ) -> Contender {
    Contender(name) {
      let space = try TwinSpace(pages: pages * threads, folioOrder: folioOrder, threads: threads)
      return Side(unitsPerRound: pages, threads: threads) { thread, rounds in
        try space.pin(thread: thread, rounds: rounds)
      }
    }
  }

  /// This host's io_uring: register and unregister of one touched anonymous buffer of 512 pages.
  static func ioUring(huge: Bool = false) -> Contender {
    Contender("io_uring") {
      let buffer = try UringBuffer(pages: pinBatch, huge: huge)
      return Side(unitsPerRound: pinBatch) { _, rounds in
        for _ in 0..<rounds {
          try buffer.registerAndUnregister()
        }
      }
    }
  }
}

/// A buffer and the ring that pins it.
///
/// Only the measuring thread uses it.
private final class UringBuffer: @unchecked Sendable {
  private var uring = twin_uring()

  init(pages: Int, huge: Bool) throws {
    let error = twin_uring_open(&uring, pages * 4096, huge)
    guard error == 0 else { throw Unavailable("io_uring_setup: errno \(error)") }
    let refused = twin_uring_register(&uring)
    guard refused == 0 else {
      twin_uring_close(&uring)
      throw Unavailable("IORING_REGISTER_BUFFERS: errno \(refused)")
    }
    _ = twin_uring_unregister(&uring)
  }

  deinit {
    twin_uring_close(&uring)
  }

  func registerAndUnregister() throws {
    guard twin_uring_register(&uring) == 0, twin_uring_unregister(&uring) == 0 else {
      throw WorkFailed("io_uring refused a buffer that it took before")
    }
  }
}
