import CTwin

/// Pages that the process of the fork row has mapped: 1 GiB.
let forkPages = 262_144

/// The C twin's parent, and its child of the last sample.
///
/// Only the measuring thread uses it.
private final class TwinParent: @unchecked Sendable {
  private let twin: OpaquePointer
  private var child: UInt32?

  init() throws {
    guard let twin = twin_fork_create(UInt32(forkPages)) else {
      throw Unavailable("no memory for a twin of \(forkPages) pages")
    }
    self.twin = twin
  }

  deinit { twin_fork_destroy(twin) }

  func prepare() throws {
    guard let child else { return }
    guard twin_fork_resident(twin) == forkPages else {
      throw WorkFailed("the twin's child maps less than \(forkPages) pages")
    }
    twin_fork_drop(twin, child)
    self.child = nil
  }

  func fork() { child = twin_fork_copy(twin) }
}

extension Contender {
  /// Fork of a process with 1 GiB of small pages.
  static func forkTwin(_ name: String = "C twin") -> Contender {
    Contender(name) {
      let parent = try TwinParent()
      return Side(unitsPerRound: forkPages, fixedRounds: 1) {
        try parent.prepare()
      } work: { _, _ in
        parent.fork()
      }
    }
  }
}
