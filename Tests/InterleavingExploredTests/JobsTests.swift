import Foundation
import Interleaving
import Synchronization
import Testing

/// Searches by several workers, and searches that merge what comes to the same.
@Suite struct JobsTests {
  /// Traces as several threads report them.
  private final class Traces: Sendable {
    private let all = Mutex<[UInt64]>([])

    func add(_ trace: UInt64) { all.withLock { $0.append(trace) } }

    var sorted: [UInt64] { all.withLock { $0.sorted() } }
  }

  private static func explore(
    _ name: String, _ jobs: Int, _ strategy: ExplorationStrategy, _ settings: ExplorationSettings = .init(),
    from checkpoint: Checkpoint? = nil
  ) throws -> (report: ExplorationReport, traces: [UInt64]) {
    let words = (0..<jobs).map { _ in Words() }
    let traces = Traces()
    let copies = words.map { words in
      var job = ExplorationJob(program(name, words))
      job.onTrace = { traces.add($0) }
      return job
    }
    let report = try Exploration.run(copies, strategy: strategy, settings: settings, from: checkpoint)
    return (report, traces.sorted)
  }

  private static func program(_ name: String, _ words: Words) -> ExploredProgram {
    switch name {
    case "mixed 2": words.mixed(2)
    case "mixed 3": words.mixed(3)
    case "independent 2": words.independent(2)
    case "independent 3": words.independent(3)
    case "shared 2": words.shared(2, 6)
    case "choices": choices(words)
    default: CountingTests.small(name, words)
    }
  }

  private static func choices(_ words: Words) -> ExploredProgram {
    let body: (Int) -> () -> Void = { actor in
      {
        let first = choose(named: "first", among: 3)
        words.word(6).fetchAdd(UInt64(first))
        words.setPlain(actor, UInt64(choose(named: "second", among: 2)))
        words.word(7).store(1)
      }
    }
    return words.program("choices", body(0), body(1))
  }

  @Test(
    "several workers run one execution of each trace", arguments: [1, 2, 4],
    [("mixed 2", 70), ("mixed 3", 34650), ("independent 2", 6), ("independent 3", 90), ("shared 2", 924)])
  func closedForms(_ jobs: Int, _ form: (name: String, count: Int)) throws {
    let (report, traces) = try Self.explore(form.name, jobs, .reduced)
    #expect(report.counts.completed == form.count && traces.count == form.count)
    #expect(Set(traces).count == form.count)
    #expect(report.isExhaustive && report.checkpoint == nil)
  }

  @Test(
    "several workers have the traces of one", arguments: [2, 4],
    ["pins 1 1", "pins 2 1", "shared 3", "locks", "readers", "page lock", "try", "retry", "messages"])
  func sameTraces(_ jobs: Int, _ name: String) throws {
    for buffered in [false, true] {
      var settings = ExplorationSettings()
      settings.storeBuffers = buffered
      for strategy in [ExplorationStrategy.reduced, .preemptionBounded(2)] {
        let one = try Self.explore(name, 1, strategy, settings)
        let several = try Self.explore(name, jobs, strategy, settings)
        #expect(several.traces == one.traces, "\(strategy) \(buffered)")
        #expect(several.report.end == one.report.end)
        if strategy != .reduced { #expect(several.report.counts == one.report.counts) }
      }
    }
  }

  @Test("answers of the world are divided too, each tried by one worker", arguments: [2, 4])
  func choices(_ jobs: Int) throws {
    var settings = ExplorationSettings()
    settings.choiceBudget = 2
    for strategy in [ExplorationStrategy.naive, .reduced, .preemptionBounded(1)] {
      let one = try Self.explore("choices", 1, strategy, settings)
      let several = try Self.explore("choices", jobs, strategy, settings)
      #expect(several.traces == one.traces && one.traces.count > 50, "\(strategy) \(one.traces.count)")
    }
  }

  @Test("random executions are the same in whichever thread they run")
  func random() throws {
    var settings = ExplorationSettings()
    settings.executions = 300
    for strategy in [ExplorationStrategy.random(seed: 5), .priorities(depth: 3, seed: 5)] {
      let one = try Self.explore("pins 2 1", 1, strategy, settings)
      for jobs in [2, 4] {
        let several = try Self.explore("pins 2 1", jobs, strategy, settings)
        #expect(several.traces == one.traces && several.report.counts == one.report.counts)
        #expect(several.report.end == .executions)
      }
    }
  }

  @Test("what workers leave, any number of workers takes up, and nothing twice")
  func checkpoints() throws {
    for strategy in [ExplorationStrategy.reduced, .preemptionBounded(3), .random(seed: 1)] {
      var settings = ExplorationSettings()
      if case .random = strategy { settings.executions = 2000 }
      let whole = try Self.explore("pins 2 1", 1, strategy, settings)
      var traces: [UInt64] = []
      var report: ExplorationReport?
      var rounds = 0
      settings.executions = 0
      while report == nil || report?.checkpoint != nil, traces.count < whole.traces.count {
        settings.executions += max(1, whole.report.counts.executions / 5)
        let stored = try report?.checkpoint.map { try JSONEncoder().encode($0) }
        let next = try Self.explore(
          "pins 2 1", [1, 3, 2, 1, 4][rounds % 5], strategy, settings,
          from: stored.map { try JSONDecoder().decode(Checkpoint.self, from: $0) })
        report = next.report
        traces += next.traces
        rounds += 1
      }
      #expect(rounds > 3)
      #expect(traces.sorted() == whole.traces, "\(strategy)")
      #expect(report?.counts.completed == whole.report.counts.completed)
      #expect(report?.end == whole.report.end)
    }
  }

  @Test("a finding of one worker ends all, and is the first of its name")
  func findings() throws {
    for jobs in [1, 2, 4] {
      let words = (0..<jobs).map { _ in Words() }
      let copies = words.map { words in
        ExplorationJob(words.shared(2, 4)) { $0.isEnd ? Violation(name: "end", text: "reached") : nil }
      }
      var settings = ExplorationSettings()
      #expect(try Exploration.run(copies, strategy: .reduced, settings: settings).end == .finding)
      settings.stopsAtFinding = false
      settings.executions = 100
      let report = try Exploration.run(copies, strategy: .random(seed: 2), settings: settings)
      #expect(report.findings.map(\.execution) == [1] && report.occurrences == ["end": 100])
    }
  }

  @Test(
    "where equal traces are merged, none is lost and no more executions run",
    arguments: ["pins 1 1", "locks", "readers", "page lock", "try", "retry", "messages"])
  func merging(_ name: String) throws {
    for (strategy, jobs) in [
      (ExplorationStrategy.naive, 1), (.preemptionBounded(2), 1), (.preemptionBounded(2), 3),
    ] {
      var settings = ExplorationSettings()
      let all = try Self.explore(name, 1, strategy, settings)
      settings.mergesEqualTraces = true
      let merged = try Self.explore(name, jobs, strategy, settings)
      #expect(Set(merged.traces) == Set(all.traces), "\(strategy)")
      #expect(merged.report.end == all.report.end && merged.report.counts.states > 0)
      #expect(jobs > 1 || merged.report.counts.completed <= all.report.counts.completed)
    }
  }
}
