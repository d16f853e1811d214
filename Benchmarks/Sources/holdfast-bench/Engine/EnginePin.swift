import Holdfast

/// A process with resident memory, pinned and unpinned in batches.
private final class EngineSpace: Sendable {
  private let engine: EngineMachine
  private let starts: [VirtualAddress]
  private let pages: Int

  /// `pages` pages for each thread, each in the address space of a process of its own; PMD-mapped if `huge`.
  init(pages: Int, huge: Bool, threads: Int) throws {
    let engine = try EngineMachine(.bench())
    self.engine = engine
    self.pages = pages
    starts = try (0..<threads).map { thread in
      let process = engine.process(thread)
      let start = try engine.machine.map(process, pages: pages)
      let range = AddressRange(start: start, pages: pages)
      if huge { try engine.machine.advise(process, range, .hugePage) }
      try engine.machine.advise(process, range, .populateWrite)
      return start
    }
    if huge {
      for thread in 0..<threads {
        let mapped = engine.machine.areaUsage(of: engine.process(thread)).reduce(0) { $0 + $1.anonymousHuge }
        guard mapped == pages else {
          throw WorkFailed("\(mapped) of \(pages) pages are mapped by PMD entries")
        }
      }
    }
  }

  func pin(thread: Int, rounds: Int) throws {
    let machine = engine.machine
    let process = engine.process(thread)
    let start = starts[thread]
    var pinned = 0
    for _ in 0..<rounds {
      var done = 0
      while done < pages {
        let held = try machine.pin(
          process, at: start + UInt64(done * pageSize), pages: pinBatch, flags: [.write, .longterm],
          entry: .fast)
        pinned += held.count
        held.unpin()
        done += pinBatch
      }
    }
    guard pinned == pages * rounds else { throw WorkFailed("pinned \(pinned) of \(pages * rounds) pages") }
  }
}

extension Contender {
  /// Pin (write, long-term) and unpin of resident pages in batches of 512, each thread on pages of its own.
  static func enginePin(
    _ name: String = engine, pages: Int = pinBatch, huge: Bool = false, threads: Int = 1
  ) -> Contender {
    Contender(name) {
      let space = try EngineSpace(pages: pages, huge: huge, threads: threads)
      return Side(unitsPerRound: pages, threads: threads) { thread, rounds in
        try space.pin(thread: thread, rounds: rounds)
      }
    }
  }
}
