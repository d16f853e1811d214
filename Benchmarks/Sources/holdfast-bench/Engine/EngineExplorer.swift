import InterleavingExplored

/// Two actors that lock, count under the lock, unlock and count for themselves, four times: 20 steps each.
///
/// The reduced search runs one execution for each order in which they can take the lock: C(8,4) = 70.
private final class ExploredCounters: @unchecked Sendable {
  // Sendable: one thread works on it; a fiber is part of the thread that explores.
  static let executions = 70
  static let steps = 2 * 20 * executions

  private let raw = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)

  deinit { raw.deallocate() }

  /// Explores all executions, with a check after every step.
  func explore() throws {
    let raw = raw
    let actors = (0..<2).map { actor in
      ExploredProgram.Actor(name: "actor \(actor)") {
        let lock = SpinLock(raw, rank: LockRank(rawValue: 1))
        let shared = AtomicUInt64(raw + 8)
        for _ in 0..<4 {
          lock.lock()
          shared.store(shared.load() &+ 1)
          lock.unlock()
          AtomicUInt64(raw + 64 + actor * 8).fetchAdd(1)
        }
      }
    }
    let program = ExploredProgram(identity: "counters", actors: actors) {
      raw.initializeMemory(as: UInt8.self, repeating: 0, count: 256)
    }
    let report = try Exploration.run(program, strategy: .reduced) { _ in
      raw.load(fromByteOffset: 8, as: UInt64.self) <= 8 ? nil : Violation(name: "count", text: "above 8")
    }
    guard report.isExhaustive, report.counts.completed == Self.executions,
      report.counts.steps == Self.steps, report.findings.isEmpty
    else { throw WorkFailed("explored \(report.counts), expected \(Self.executions) executions") }
  }
}

extension Contender {
  /// The exhaustive search of a small program, in steps or in executions.
  static func explorer(inSteps: Bool, _ name: String = engine) -> Contender {
    Contender(name) {
      let counters = ExploredCounters()
      let units = inSteps ? ExploredCounters.steps : ExploredCounters.executions
      return Side(unitsPerRound: units) { _, rounds in
        for _ in 0..<rounds { try counters.explore() }
      }
    }
  }
}
