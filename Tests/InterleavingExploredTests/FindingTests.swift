import Interleaving
import Testing

/// What is found, and that it is found again.
@Suite struct FindingTests {
  private static func isReused(_ words: Words) -> (Moment) -> Violation? {
    { _ in
      guard words.value(3) == 1, words.value(1) & 0xffff_ffff != 0 else { return nil }
      return Violation(name: "reused", text: "count \(words.value(1)) of a page that was given away")
    }
  }

  static let strategies: [ExplorationStrategy] = [
    .preemptionBounded(1), .preemptionBounded(2), .reduced, .random(seed: 7), .priorities(depth: 3, seed: 7),
  ]

  @Test("every strategy finds a reference taken on a frozen count, and its schedule leads there again")
  func seeded() throws {
    for strategy in Self.strategies {
      let words = Words()
      let program = words.fastPins([1, 1], flawed: true)
      var settings = ExplorationSettings()
      settings.executions = 20_000
      let report = try Exploration.run(
        program, strategy: strategy, settings: settings, check: Self.isReused(words))
      let finding = try #require(report.findings.first, "\(strategy)")
      #expect(finding.kind == .violation && report.end == .finding)

      let line = finding.schedule.description
      let again = try Exploration.run(
        program, strategy: .replay(Schedule(line)), check: Self.isReused(words))
      #expect(again.findings.first?.text == finding.text, "\(line)")
      #expect(again.findings.first?.steps == finding.steps)
      #expect(again.counts.executions == 1)

      let small = try Exploration.minimise(finding, of: program, check: Self.isReused(words))
      #expect(small.name == finding.name && small.preemptions == 1, "\(small.schedule)")
      #expect(small.steps.count <= finding.steps.count || small.preemptions < finding.preemptions)
    }
    // Nothing of it without the flaw.
    let words = Words()
    let report = try Exploration.run(
      words.fastPins([1, 1]), strategy: .reduced, check: Self.isReused(words))
    #expect(report.findings.isEmpty && report.isExhaustive)
  }

  @Test(
    "flaws of synchronisation are findings of their kind",
    arguments: [
      ("deadlock", Finding.Kind.deadlock), ("lock order", .lockOrder), ("livelock", .livelock),
      ("livelock of one", .livelock), ("data race", .dataRace), ("race of one write", .dataRace),
      ("error", .thrown), ("trap", .trap), ("overflowing stack", .trap), ("no end", .endless),
    ])
  func kinds(_ name: String, _ kind: Finding.Kind) throws {
    let strategies: [ExplorationStrategy] =
      name == "livelock" ? [.reduced, .preemptionBounded(1)] : Self.strategies
    for strategy in strategies {
      let words = Words()
      var settings = ExplorationSettings()
      settings.executions = 2000
      if name == "no end" { settings.stepLimit = 500 }
      let program = Self.flawed(name, words)
      let report = try Exploration.run(program, strategy: strategy, settings: settings)
      let finding = try #require(report.findings.first, "\(name) \(strategy)")
      #expect(finding.kind == kind, "\(strategy): \(finding.text)")
      let again = try Exploration.run(program, strategy: .replay(finding.schedule), settings: settings)
      #expect(again.findings.first?.text == finding.text)
    }
  }

  private struct Failure: Error {}

  private static func flawed(_ name: String, _ words: Words) -> ExploredProgram {
    func both(_ first: Int, _ second: Int, _ ranks: (UInt8, UInt8)) -> () -> Void {
      {
        words.lock(first, rank: ranks.0).lock()
        words.lock(second, rank: ranks.1).withLock {}
        words.lock(first, rank: ranks.0).unlock()
      }
    }
    switch name {
    case "deadlock": return words.program(name, both(0, 1, (1, 2)), both(1, 0, (1, 2)))
    case "lock order": return words.program(name, both(0, 1, (1, 2)), both(1, 0, (2, 1)))
    case "livelock":
      // Each takes one and gives it back if it does not get the other.
      func polite(_ first: Int, _ second: Int) -> () -> Void {
        {
          words.lock(8, rank: 1).withLock {}
          while true {
            words.word(first).store(1)
            if words.word(second).load() == 0 { return }
            words.word(first).store(0)
            giveWay(.retry, attempt: 0)
            if words.word(2).fetchAdd(0) == 1 { return }
          }
        }
      }
      return words.program(name, { words.word(0).store(1) }, polite(1, 0), polite(3, 0))
    case "livelock of one":
      return words.program(
        name, { wait(.retry) { words.word(0).load() == 2 } }, { words.word(0).store(1) })
    case "data race":
      return words.program(
        name, steps: ["count", "look"],
        {
          markStep(0)
          words.setPlain(0, words.plain(0) + 1)
          words.word(1).fetchAdd(1)
        },
        {
          words.word(1).fetchAdd(1, .relaxed)
          markStep(1)
          _ = words.plain(0)
        })
    case "race of one write":
      return words.program(
        name, { _ = words.plain(0) },
        {
          if words.word(1).load(.relaxed) == 0 { words.setPlain(0, 1) }
        })
    case "error":
      return words.program(
        name, { words.word(0).store(1) }, { if words.word(0).load() == 1 { throw Failure() } })
    case "trap":
      return words.program(
        name, { words.word(0).store(1) },
        {
          let zero = Int(words.word(0).load()) - 1
          if zero == 0 { UnsafePointer<Int>(bitPattern: 8 + zero)?.pointee.description.write(to: &text) }
        })
    case "overflowing stack":
      func deeper(_ depth: UInt64) -> UInt64 {
        words.word(1).load(.relaxed) == depth ? 0 : deeper(depth &+ 1) &+ deeper(depth &+ 2)
      }
      return words.program(name, { words.word(0).store(1) }, { words.word(2).store(deeper(1)) })
    default:
      return words.program(name, { while true { words.word(0).fetchAdd(1) } }, { words.word(1).store(1) })
    }
  }

  @Test("a trap ends one execution, not the search, which then has not covered everything")
  func goingOnAfterTraps() throws {
    for strategy in [ExplorationStrategy.naive, .reduced] {
      let words = Words()
      var settings = ExplorationSettings()
      settings.stopsAtFinding = false
      let report = try Exploration.run(Self.flawed("trap", words), strategy: strategy, settings: settings)
      #expect(report.findings.map(\.kind) == [.trap] && report.counts.completed > 0)
      #expect(report.end == .boundReached && !report.isExhaustive)
    }
  }

  @Test("a trap outside the actors ends the program, as ever")
  func outside() async {
    await #expect(processExitsWith: .failure) {
      let words = Words()
      let program = ExploredProgram(
        identity: "restore", actors: [.init(name: "only") { words.word(0).store(1) }],
        restore: { if words.value(0) == 1 { fatalError("restored twice") } })
      var settings = ExplorationSettings()
      settings.executions = 5
      _ = try Exploration.run(program, strategy: .random(seed: 1), settings: settings)
    }
  }

  @Test("what is not wrong is no finding")
  func sound() throws {
    let words = Words()
    let lock = { words.lock(0).withLock { words.setPlain(1, words.plain(1) + 1) } }
    let programs = [
      words.program("locked", lock, lock, lock),
      words.program(
        "passed on",
        {
          words.setPlain(1, 1)
          words.word(0).store(1)
        }, { if words.word(0).load() == 1 { words.setPlain(1, words.plain(1) + 1) } }),
      words.program(
        "limited retries",
        {
          for _ in 0..<100 where words.word(0).load() == 0 { giveWay(.retry, attempt: 0) }
        }, { words.word(1).store(1) }),
      words.program(
        "opened later", { wait(.retry) { words.word(0).load() == 1 } }, { words.word(0).store(1) }),
    ]
    for program in programs {
      let report = try Exploration.run(program, strategy: .reduced)
      #expect(report.findings.isEmpty && report.isExhaustive, "\(program.identity): \(report.findings)")
    }
  }
}

nonisolated(unsafe) private var text = ""  // Written only by a step that traps before it writes.
