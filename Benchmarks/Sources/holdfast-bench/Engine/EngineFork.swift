import Holdfast

/// A process with 1 GiB of small pages, and its child of the last sample.
///
/// Only the measuring thread uses it.
private final class EngineParent: @unchecked Sendable {
  private let engine: EngineMachine
  private let start: VirtualAddress
  private var child: Process?

  init() throws {
    engine = try EngineMachine(.bench(pages: forkPages + forkPages / 4))
    start = try engine.machine.map(engine.process(), pages: forkPages)
    let range = AddressRange(start: start, pages: forkPages)
    try engine.machine.advise(engine.process(), range, .noHugePage)
    try engine.machine.advise(engine.process(), range, .populateWrite)
  }

  /// Ends the child, and lets the parent store to every page, so that each is its own and writable again.
  func prepare() throws {
    guard let child else { return }
    guard engine.machine.usage(of: child).residentAnon == forkPages else {
      throw WorkFailed("the child maps less than \(forkPages) pages")
    }
    engine.machine.exit(child)
    self.child = nil
    for page in 0..<forkPages {
      try engine.machine.touch(engine.process(), start + UInt64(page * pageSize), write: true)
    }
  }

  func fork() throws { child = try engine.machine.fork(engine.process()) }
}

extension Contender {
  /// Fork of a process with 1 GiB of small pages.
  static func engineFork(_ name: String = engine) -> Contender {
    Contender(name) {
      let parent = try EngineParent()
      return Side(unitsPerRound: forkPages, fixedRounds: 1) {
        try parent.prepare()
      } work: { _, _ in
        try parent.fork()
      }
    }
  }
}
