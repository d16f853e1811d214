import Holdfast

/// Pages whose bytes are in memfds, which move from one node to the other and back, run by run.
private final class EngineRuns: @unchecked Sendable {
  // Sendable: one thread works on it.
  private let engine: EngineMachine
  private let start: VirtualAddress
  private let pages: Int
  private var next = 0
  private var node = 1

  init(pages: Int) throws {
    // Each node has room for all pages twice over.
    var configuration = MachineConfiguration.bench(bytes: true)
    let half = zonePages / 2
    configuration.nodes = (0..<2).map { node in
      NodeConfiguration(memory: [FrameRange(start: FrameNumber(node * half), count: half)])
    }
    engine = try EngineMachine(configuration)
    start = try engine.machine.map(engine.process(), pages: pages)
    self.pages = pages
    // There and back, so that the host has given bytes to the frames of both nodes.
    try engine.machine.fill(engine.process(), start, pages: pages, pattern: 7)
    try move(run: 512, rounds: 2 * pages / 512)
  }

  func move(run: Int, rounds: Int) throws {
    for _ in 0..<rounds {
      let statuses = engine.machine.movePages(
        engine.process(), of: engine.process(), at: start + UInt64(next * pageSize), pages: run, to: node)
      for case let status? in statuses { throw WorkFailed("a page stayed where it was: \(status)") }
      next += run
      if next == pages {
        next = 0
        node = 1 - node
      }
    }
  }
}

extension Contender {
  /// Runs of 512 pages moved between two nodes, over 64 MiB of pages.
  static func engineMigration(_ name: String = engine) -> Contender {
    Contender(name) {
      let runs = try EngineRuns(pages: 16_384)
      return Side(unitsPerRound: 512) { _, rounds in try runs.move(run: 512, rounds: rounds) }
    }
  }
}
