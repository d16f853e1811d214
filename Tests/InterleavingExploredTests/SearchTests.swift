import Foundation
import Interleaving
import Testing

/// What searches keep to: bounds, seeds, buffers, choices, limits, and going on.
@Suite struct SearchTests {
  @Test("both of two actors miss the other's store only where stores are buffered")
  func storeBuffering() throws {
    for (buffered, order, isSeen) in [
      (false, MemoryOrder.release, false), (true, .release, true), (true, .sequential, false),
    ] {
      for strategy in [ExplorationStrategy.naive, .reduced] {
        let words = Words()
        func actor(_ mine: Int, _ other: Int) -> () -> Void {
          {
            words.word(mine).store(1, order)
            words.setPlain(4 + mine, words.word(other).load() + 1)
          }
        }
        let program = words.program("SB", actor(0, 1), actor(1, 0))
        var settings = ExplorationSettings()
        settings.storeBuffers = buffered
        var outcomes: Set<[UInt64]> = []
        let report = try Exploration.run(program, strategy: strategy, settings: settings) { moment in
          if moment.isEnd { outcomes.insert([words.value(4) - 1, words.value(5) - 1]) }
          return nil
        }
        #expect(report.isExhaustive && report.findings.isEmpty)
        #expect(outcomes.contains([0, 0]) == isSeen, "\(buffered) \(order) \(strategy)")
        #expect(outcomes.isSuperset(of: [[0, 1], [1, 0], [1, 1]]))
      }
    }
  }

  @Test("an actor sees its own buffered stores, and others see them in order")
  func bufferOrder() throws {
    let words = Words()
    let program = words.program(
      "MP",
      {
        words.word(0).store(1)
        words.word(1).store(words.word(0).load())
        words.lock(2).withLock {}
      }, { if words.word(1).load() == 1 { words.word(3).store(words.word(0).load() + 1) } })
    var settings = ExplorationSettings()
    settings.storeBuffers = true
    let report = try Exploration.run(program, strategy: .reduced, settings: settings) { moment in
      guard moment.isEnd, words.value(3) == 1 || words.value(1) != 1 else { return nil }
      return Violation(name: "order", text: "\(words.value(0)) \(words.value(1)) \(words.value(3))")
    }
    #expect(report.isExhaustive && report.findings.isEmpty, "\(report.findings)")
  }

  @Test("a bound of preemptions holds, grows to everything, and says what it left out")
  func bounds() throws {
    var completed: [Int] = []
    for bound in 0...12 {
      let words = Words()
      let report = try Exploration.run(words.shared(2, 6), strategy: .preemptionBounded(bound))
      completed.append(report.counts.completed)
      #expect((report.end == .exhausted) == (report.counts.completed == 924))
      #expect(report.isExhaustive || report.end == .boundReached)
    }
    #expect(completed[0] == 2 && completed == completed.sorted() && completed.last == 924)
  }

  @Test("the same seed makes the same executions, another seed others")
  func seeds() throws {
    for make in [
      { ExplorationStrategy.random(seed: $0) }, { .priorities(depth: 3, seed: $0) },
    ] as [(UInt64) -> ExplorationStrategy] {
      func traces(_ seed: UInt64) throws -> [UInt64] {
        let words = Words()
        var settings = ExplorationSettings()
        settings.executions = 50
        var traces: [UInt64] = []
        let report = try Exploration.traces(of: words.mixed(3), strategy: make(seed), settings: settings) {
          traces.append($0)
        }
        #expect(report.end == .executions && report.counts.executions == 50)
        return traces
      }
      #expect(try traces(1) == traces(1))
      #expect(try traces(1) != traces(2))
    }
  }

  @Test("a search that was interrupted goes on to the same totals")
  func checkpoints() throws {
    for strategy in [ExplorationStrategy.reduced, .preemptionBounded(3)] {
      let words = Words()
      let program = words.fastPins([2, 1])
      let whole = try Exploration.run(program, strategy: strategy)
      var settings = ExplorationSettings()
      settings.executions = 0
      var report: ExplorationReport?
      var rounds = 0
      while report == nil || report?.checkpoint != nil {
        settings.executions += max(1, whole.counts.executions / 5)
        let stored = try report?.checkpoint.map { try JSONEncoder().encode($0) }
        report = try Exploration.run(
          program, strategy: strategy, settings: settings,
          from: stored.map { try JSONDecoder().decode(Checkpoint.self, from: $0) })
        rounds += 1
      }
      #expect(rounds > 3)
      #expect(report?.counts == whole.counts)
      #expect(report?.end == whole.end)
    }
  }

  @Test("states that were met are not gone through again, and none is lost")
  func merging() throws {
    let words = Words()
    var settings = ExplorationSettings()
    var ends: [Set<UInt64>] = []
    var completed: [Int] = []
    for merges in [false, true] {
      settings.mergesEqualStates = merges
      var found: Set<UInt64> = []
      let report = try Exploration.run(words.shared(3, 3), strategy: .naive, settings: settings) { moment in
        if moment.isEnd { found.insert(words.hash) }
        return nil
      }
      #expect(report.isExhaustive)
      ends.append(found)
      completed.append(report.counts.completed)
      if merges { #expect(report.counts.states > 0) }
    }
    #expect(ends[0] == ends[1])
    #expect(completed[0] == 1680 && completed[1] < 20)
  }

  @Test("giving up after too many retries is met where retries are free")
  func freeRetries() throws {
    for (free, givesUp) in [(0, false), (3, true)] {
      let words = Words()
      let program = words.program(
        "limited",
        {
          for _ in 0..<3 {
            if words.word(0).load() == 1 { return }
            giveWay(.retry, attempt: 0)
          }
          words.word(2).store(1)
        }, { words.word(0).store(1) })
      var settings = ExplorationSettings()
      settings.freeRetries = free
      var didGiveUp = false
      let report = try Exploration.run(program, strategy: .reduced, settings: settings) { moment in
        if moment.isEnd, words.value(2) == 1 { didGiveUp = true }
        return nil
      }
      #expect(report.isExhaustive && didGiveUp == givesUp)
    }
  }

  @Test("every answer of the world is tried, within the budget")
  func choices() throws {
    for (budget, outcomes) in [(0, 1), (1, 5), (2, 9)] {
      let words = Words()
      let body: (Int) -> () -> Void = { actor in
        {
          words.setPlain(actor * 2, UInt64(choose(named: "first", among: 2)))
          words.word(6).fetchAdd(1)
          words.setPlain(actor * 2 + 1, UInt64(choose(named: "second", among: 2)))
        }
      }
      var settings = ExplorationSettings()
      settings.choiceBudget = budget
      var seen: Set<UInt64> = []
      let report = try Exploration.run(
        words.program("choices", body(0), body(1)), strategy: .reduced, settings: settings
      ) { moment in
        if moment.isEnd { seen.insert(words.hash) }
        // A failure of both is there to be found when there may be two.
        return moment.isEnd && words.value(1) + words.value(3) == 2
          ? Violation(name: "both", text: "both second answers") : nil
      }
      if budget == 2 {
        let finding = try #require(report.findings.first)
        #expect(finding.schedule.decisions.filter { $0 == .choice(1) }.count == 2)
        #expect(finding.steps.contains { $0.name == "second" && $0.kind == "choice" })
      } else {
        #expect(report.isExhaustive && seen.count == outcomes)
      }
    }
  }

  @Test("a search can go on after findings, each kept once")
  func goingOn() throws {
    let words = Words()
    var settings = ExplorationSettings()
    settings.stopsAtFinding = false
    let report = try Exploration.run(
      words.shared(2, 3), strategy: .reduced, settings: settings
    ) { moment in
      moment.isEnd ? nil : moment.step % 2 == 0 ? Violation(name: "even", text: "even") : nil
    }
    #expect(report.findings.map(\.name) == ["even"])
    #expect(report.counts.completed == 20 && report.isExhaustive)
  }

  @Test("what does not fit is refused, and says why")
  func refusals() throws {
    let words = Words()
    let program = words.shared(2, 2)
    func refusal(_ body: () throws -> ExplorationReport) -> String {
      do { return "nothing refused, \(try body().end)" } catch { return "\(error)" }
    }
    let stranger = words.mixed(2)
    let schedule = Schedule(programHash: stranger.hash, decisions: [.actor(0)])
    #expect(
      refusal { try Exploration.run(program, strategy: .replay(schedule)) }.contains("schedule: found one of")
    )
    let wrong = Schedule(programHash: program.hash, decisions: [.actor(1), .actor(1), .actor(1)])
    #expect(
      refusal { try Exploration.run(program, strategy: .replay(wrong)) }.contains("decision 3 cannot be"))
    var settings = ExplorationSettings()
    settings.executions = 2
    var checkpoint = try #require(
      Exploration.run(program, strategy: .reduced, settings: settings).checkpoint)
    #expect(
      refusal { try Exploration.run(stranger, strategy: .reduced, from: checkpoint) }
        .contains("checkpoint: found one of program"))
    #expect(
      refusal { try Exploration.run(program, strategy: .naive, from: checkpoint) }.contains("another search"))
    checkpoint.version = 0
    #expect(
      refusal { try Exploration.run(program, strategy: .reduced, from: checkpoint) }
        .contains("found version 0, expected 2"))
    #expect(
      refusal { try Exploration.run(words.program("empty"), strategy: .reduced) }.contains("actors: found 0"))
    #expect(refusal { try Exploration.run(program, strategy: .random(seed: 1)) }.contains("have no end"))
    var times = 0
    let changing = words.program(
      "changing",
      {
        times += 1
        words.word(times > 1 ? 5 : 4).fetchAdd(1)
        words.word(0).store(1)
      }, { words.word(0).store(2) })
    #expect(refusal { try Exploration.run(changing, strategy: .reduced) }.contains("does not put back"))
    for text in [
      "", "v2:0:0", "v1:zz:0", "v1:0000000000000001:x", "v1:0000000000000001:0*0", "v1:0000000000000001:99",
    ] {
      #expect(throws: ExplorationError.self, "\(text)") { try Schedule(text) }
    }
    let long = Schedule(programHash: 1, decisions: [.actor(0), .actor(0), .flush(1), .choice(2)])
    #expect(long.description == "v1:0000000000000001:0*2,b1,c2")
    #expect(try Schedule(long.description) == long)
  }

  @Test("a search ends when it is told to")
  func limits() throws {
    let words = Words()
    var settings = ExplorationSettings()
    settings.time = .milliseconds(20)
    let timed = try Exploration.run(words.mixed(3), strategy: .naive, settings: settings)
    #expect(timed.end == .time && timed.checkpoint != nil && !timed.isExhaustive)
    let cancellation = ExplorationCancellation()
    settings = ExplorationSettings()
    settings.cancellation = cancellation
    let cancelled = try Exploration.run(words.mixed(3), strategy: .naive, settings: settings) { _ in
      cancellation.cancel()
      return nil
    }
    #expect(cancelled.end == .cancelled && cancelled.counts.executions == 1)
  }
}
