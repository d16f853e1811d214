import Interleaving
import Testing

/// How many executions there are, by formulas and by a second algorithm.
@Suite struct CountingTests {
  @Test(
    "the reduced search runs one execution of each trace",
    arguments: [
      ("mixed 2", 70), ("mixed 3", 34650), ("independent 2", 6), ("independent 3", 90), ("shared 2", 924),
    ])
  func closedForms(_ name: String, _ expected: Int) throws {
    let words = Words()
    let program =
      switch name {
      case "mixed 2": words.mixed(2)
      case "mixed 3": words.mixed(3)
      case "independent 2": words.independent(2)
      case "independent 3": words.independent(3)
      default: words.shared(2, 6)
      }
    var traces: Set<UInt64> = []
    let report = try Exploration.traces(of: program, strategy: .reduced) { traces.insert($0) }
    #expect(report.counts.completed == expected)
    #expect(traces.count == expected)
    #expect(report.counts.redundant == 0)
    #expect(report.isExhaustive)
  }

  @Test("a search without reduction runs every execution")
  func naive() throws {
    let words = Words()
    let report = try Exploration.run(words.shared(2, 6), strategy: .naive)
    #expect(report.counts.completed == 924)
    #expect(report.isExhaustive)
  }

  @Test(
    "the reduced search has the traces of the search without reduction",
    arguments: ["pins 1", "pins 1 1", "shared 3", "locks", "readers", "page lock", "try", "retry"])
  func sameTraces(_ name: String) throws {
    let words = Words()
    let program = Self.small(name, words)
    var all: Set<UInt64> = []
    let naive = try Exploration.traces(of: program, strategy: .naive) { all.insert($0) }
    var reduced: Set<UInt64> = []
    let report = try Exploration.traces(of: program, strategy: .reduced) { reduced.insert($0) }
    #expect(naive.isExhaustive && report.isExhaustive)
    #expect(reduced == all)
    #expect(report.counts.completed == reduced.count)
    #expect(report.counts.completed <= naive.counts.completed)
  }

  @Test("no execution chosen at random has a trace that the reduced search lacks", arguments: [false, true])
  func randomTraces(_ buffered: Bool) throws {
    for name in [
      "pins 1", "pins 1 1", "pins 2 1", "locks", "readers", "page lock", "try", "retry", "messages",
    ] {
      let words = Words()
      let program = Self.small(name, words)
      var settings = ExplorationSettings()
      settings.storeBuffers = buffered
      var reduced: Set<UInt64> = []
      let report = try Exploration.traces(of: program, strategy: .reduced, settings: settings) {
        reduced.insert($0)
      }
      #expect(report.isExhaustive, "\(name)")
      #expect(report.counts.completed == reduced.count, "\(name)")
      settings.executions = 5000
      var missing = 0
      _ = try Exploration.traces(of: program, strategy: .random(seed: 3), settings: settings) {
        if !reduced.contains($0) { missing += 1 }
      }
      #expect(missing == 0, "\(name)")
    }
  }

  static func small(_ name: String, _ words: Words) -> ExploredProgram {
    switch name {
    case "pins 1": return words.fastPins([1])
    case "pins 1 1": return words.fastPins([1, 1])
    case "pins 2 1": return words.fastPins([2, 1])
    case "shared 3": return words.shared(3, 3)
    case "messages":
      return words.program(
        name,
        {
          words.word(0).store(1)
          words.word(1).store(words.word(2).load() + words.word(0).load())
        },
        {
          words.word(2).store(1)
          if words.word(1).load() == 0 { words.word(0).fetchAdd(1) }
        }, { words.word(3).store(words.word(0).load() + words.word(1).load()) })
    case "locks":
      let body = {
        words.lock(0, rank: 1).lock()
        words.lock(1, rank: 2).withLock { words.setPlain(2, words.plain(2) + 1) }
        words.lock(0, rank: 1).unlock()
        words.lock(1, rank: 2).withLock { words.setPlain(2, words.plain(2) + 1) }
      }
      return words.program(name, body, body)
    case "readers":
      let lock = ReadWriteLock(words.raw, rank: LockRank(rawValue: 1))
      let reader = {
        lock.lockShared()
        _ = words.plain(1)
        lock.unlockShared()
      }
      return words.program(
        name, reader, reader,
        {
          lock.lockExclusive()
          words.setPlain(1, 1)
          lock.unlockExclusive()
        })
    case "page lock":
      let lock = BitLock(words.word(0), bit: 1, rank: LockRank(rawValue: 1))
      return words.program(
        name,
        {
          lock.lock()
          lock.unlock()
        },
        { if words.word(0).fetchOr(4) & 1 != 0 { lock.waitUntilFree() } },
        {
          lock.lock()
          words.word(0).fetchAnd(~4)
          lock.unlock()
        })
    case "try":
      let body = {
        if words.lock(0).tryLock() {
          words.word(1).fetchAdd(1)
          words.lock(0).unlock()
        }
      }
      return words.program(name, body, body, { words.lock(0).withLock {} })
    default:
      return words.program(
        name, { wait(.retry) { words.word(0).load() == 1 } }, { words.word(1).fetchAdd(1) },
        {
          words.word(0).store(1)
          words.word(1).fetchAdd(1)
        })
    }
  }
}
