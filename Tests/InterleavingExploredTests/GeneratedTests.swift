import Interleaving
import Testing

/// The reduced search against the search without reduction, on small programs made from a seed.
@Suite struct GeneratedTests {
  /// One operation of a generated actor; words 0 to 2 hold values, 4 and 5 are locks of increasing rank.
  private enum Operation {
    case store(Int, MemoryOrder), load(Int), add(Int), exchangeIfZero(Int), storeIfSet(Int, Int)
    case locked(Int, [Int]), tried(Int), shared, exclusive(Int), bitLocked(Int), bitAwaited, bitTried
    case waitUntilSet(Int), answer(Int)
  }

  private struct Generator {
    var state: UInt64

    mutating func below(_ limit: Int) -> Int {
      state &+= 0x9e37_79b9_7f4a_7c15
      var word = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
      word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
      return Int((word ^ (word >> 31)) % UInt64(limit))
    }

    mutating func operation() -> Operation {
      switch below(16) {
      case 0: .store(below(3), .release)
      case 1: .store(below(3), .sequential)
      case 2, 3: .load(below(3))
      case 4: .add(below(3))
      case 5: .exchangeIfZero(below(3))
      case 6, 7: .storeIfSet(below(3), below(3))
      case 8: .locked(below(2), [below(3)])
      case 9: .tried(below(2))
      case 10: .shared
      case 11: .exclusive(below(3))
      case 12: .bitLocked(below(3))
      case 13: .bitAwaited
      case 14: below(2) == 0 ? .bitTried : .waitUntilSet(below(3))
      default: .answer(below(3))
      }
    }
  }

  private static func run(_ operation: Operation, _ words: Words) {
    let readWrite = ReadWriteLock(words.raw + 6 * 8, rank: LockRank(rawValue: 1))
    let bit = BitLock(words.word(7), bit: 1, rank: LockRank(rawValue: 1))
    switch operation {
    case .store(let word, let order): words.word(word).store(1, order)
    case .load(let word): _ = words.word(word).load()
    case .add(let word): words.word(word).fetchAdd(1)
    case .exchangeIfZero(let word): _ = words.word(word).compareExchange(0, 1)
    case .storeIfSet(let read, let word): if words.word(read).load() != 0 { words.word(word).store(2) }
    case .locked(let lock, let inner):
      words.lock(4 + lock, rank: 1).withLock { for word in inner { words.word(word).fetchAdd(1) } }
    case .tried(let lock):
      if words.lock(4 + lock, rank: 1).tryLock() {
        _ = words.word(0).load()
        words.lock(4 + lock, rank: 1).unlock()
      }
    case .shared:
      readWrite.lockShared()
      _ = words.word(1).load()
      readWrite.unlockShared()
    case .exclusive(let word):
      readWrite.lockExclusive()
      words.word(word).store(3)
      readWrite.unlockExclusive()
    case .bitLocked(let word):
      bit.lock()
      _ = words.word(word).load()
      bit.unlock()
    case .bitAwaited:
      words.word(7).fetchOr(4)
      bit.waitUntilFree()
    case .bitTried: if bit.tryLock() { bit.unlock() }
    case .waitUntilSet(let word):
      for _ in 0..<2 where words.word(word).load() == 0 { giveWay(.retry, attempt: 0) }
    case .answer(let word): if choose(named: "answer", among: 2) == 1 { words.word(word).store(4) }
    }
  }

  private static func text(_ operations: [Operation]) -> String {
    operations.map { "\($0)".split(separator: "Operation.").last.map(String.init) ?? "" }.joined(
      separator: " ")
  }

  @Test("both searches meet the same traces", arguments: [false, true])
  func sameTraces(_ buffered: Bool) throws {
    var compared = 0
    for seed in 0..<250 {
      var generator = Generator(state: UInt64(seed))
      let words = Words()
      let actors = (0..<2 + generator.below(2)).map { actor in
        let operations = (0..<1 + generator.below(3)).map { _ in generator.operation() }
        return ExploredProgram.Actor(name: Self.text(operations)) {
          for operation in operations { Self.run(operation, words) }
        }
      }
      let program = ExploredProgram(identity: "\(seed)", actors: actors, restore: words.clear)
      var settings = ExplorationSettings()
      settings.storeBuffers = buffered
      settings.choiceBudget = 1
      settings.freeRetries = seed % 3
      settings.stopsAtFinding = false
      settings.executions = 5000
      var all: Set<UInt64> = []
      let naive = try Exploration.traces(of: program, strategy: .naive, settings: settings) { all.insert($0) }
      guard naive.isExhaustive else { continue }
      compared += 1
      var reduced: Set<UInt64> = []
      let report = try Exploration.traces(of: program, strategy: .reduced, settings: settings) {
        reduced.insert($0)
      }
      #expect(report.isExhaustive)
      #expect(
        all == reduced,
        "seed \(seed): \(all.subtracting(reduced).count) of \(all.count) missing, actors \(actors.map(\.name))"
      )
      #expect(naive.findings.map(\.kind) == report.findings.map(\.kind), "seed \(seed)")
      #expect(report.counts.completed == reduced.count, "seed \(seed): a trace twice")
    }
    #expect(compared > 100)
  }
}
