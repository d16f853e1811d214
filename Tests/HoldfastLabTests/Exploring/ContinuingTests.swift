import Foundation
import HoldfastLab
import HoldfastScenario
import Testing

/// Explorations that are stopped and go on, by one worker and by several, and what they print of an execution.
@Suite struct ContinuingTests {
  /// Fourteen traces.
  private static let text = """
    scenario: fault
    summary: two threads want the same page, and one wants it gone
    machine: {memory: 64 frames, page-tables: 2, block: 16 frames, movable: 32 frames, cpus: 2}
    actors:
      - name: one
        steps:
          - map: {region: ram, size: 1 pages}
            label: mapped
          - write: ram
            label: written
      - name: two
        cpu: 1
        thread-of: one
        after: [mapped]
        steps:
          - advise: {region: ram, advice: dontneed}
            label: gone

    """

  private static func fault() throws -> Scenario { try Scenario(yaml: text, file: "fault.yaml") }

  private static func pinners() throws -> Scenario {
    try Scenario.load(path: "\(ExploringTests.folder)/two-pinners-small.yaml")
  }

  private static func options(
    _ search: ExploreOptions.Search, executions: Int? = nil, _ policy: PolicyName? = nil, jobs: Int = 1
  ) -> ExploreOptions {
    var options = ExploreOptions()
    options.search = search
    options.executions = executions
    options.policy = policy
    options.jobs = jobs
    return options
  }

  /// A report without what depends on the clock.
  private static func timeless(_ report: ExploreReport) -> ExploreReport {
    var report = report
    for index in report.passes.indices { report.passes[index].seconds = 0 }
    return report
  }

  /// Explores in pieces of so many executions, each from the file that the one before has left.
  private static func inPieces(
    _ scenario: Scenario, _ options: ExploreOptions, of size: Int, jobs: [Int]
  ) throws -> (report: ExploreReport, pieces: Int) {
    var kept: [UInt8]?
    var pieces = 0
    while true {
      var options = options
      options.executions = size
      options.jobs = jobs[pieces % jobs.count]
      if let kept { options.resume = try ExploreCheckpoint(kept, file: "kept") }
      kept = nil
      options.keep = { place in kept = try? place.contents() }
      let report = try ScenarioExplorer.explore(scenario, options)
      pieces += 1
      if kept == nil || pieces > 1000 { return (report, pieces) }
    }
  }

  @Test("an exploration that is stopped again and again ends as one that is not")
  func pieces() throws {
    for (scenario, options, size) in [
      (try Self.fault(), Self.options(.exhaustive), 3),
      (try Self.fault(), Self.options(.standard), 40),
      (try Self.pinners(), Self.options(.bounded(upTo: 1), .movableV3), 100),
    ] {
      let whole = try ScenarioExplorer.explore(scenario, options)
      let (report, pieces) = try Self.inPieces(scenario, options, of: size, jobs: [1])
      #expect(pieces > 2)
      #expect(Self.timeless(report) == Self.timeless(whole), "\(options.search)")
      // However many work at it, the same executions go to their ends.
      let (mixed, _) = try Self.inPieces(scenario, options, of: size, jobs: [2, 1, 3])
      #expect(mixed.passes.map(\.completed) == whole.passes.map(\.completed))
      #expect(mixed.states == whole.states && mixed.checks == whole.checks)
      #expect(mixed.passes.map(\.end) == whole.passes.map(\.end))
      #expect(mixed.findings.map(\.name) == whole.findings.map(\.name))
    }
  }

  @Test("several workers have the outcomes of one", arguments: [2, 4])
  func jobs(_ count: Int) throws {
    for (scenario, search, executions) in [
      (try Self.fault(), ExploreOptions.Search.exhaustive, nil),
      (try Self.pinners(), .bounded(upTo: 1), nil),
      (try Self.pinners(), .random(seed: 3), 200), (try Self.pinners(), .priorities(depth: 3, seed: 3), 200),
    ] as [(Scenario, ExploreOptions.Search, Int?)] {
      let one = try ScenarioExplorer.explore(
        scenario, Self.options(search, executions: executions, .movableV3))
      let several = try ScenarioExplorer.explore(
        scenario, Self.options(search, executions: executions, .movableV3, jobs: count))
      #expect(several.states == one.states && several.checks == one.checks, "\(search)")
      #expect(several.passes.map(\.completed) == one.passes.map(\.completed))
      #expect(several.passes.map(\.end) == one.passes.map(\.end))
      #expect(several.findings.map(\.name) == one.findings.map(\.name))
      #expect(several.findings.map(\.occurrences) == one.findings.map(\.occurrences))
    }
  }

  @Test("a checkpoint of another exploration, another version or a damaged one is refused, and says why")
  func refusals() throws {
    var kept: [UInt8] = []
    var options = Self.options(.exhaustive, executions: 3)
    options.keep = { place in kept = (try? place.contents()) ?? [] }
    _ = try ScenarioExplorer.explore(try Self.fault(), options)
    options.keep = nil
    let checkpoint = try ExploreCheckpoint(kept, file: "kept")
    func refusal(_ scenario: Scenario, _ change: (inout ExploreOptions) -> Void) -> String {
      var changed = options
      changed.resume = checkpoint
      change(&changed)
      do {
        _ = try ScenarioExplorer.explore(scenario, changed)
        return "nothing"
      } catch {
        guard case .badInput(let text) = error else { return "\(error)" }
        return text
      }
    }
    let fault = try Self.fault()
    let other = try Scenario(
      yaml: Self.text.replacingOccurrences(of: "wants it gone", with: "does not"), file: "fault.yaml")
    for (refused, what) in [
      (refusal(fault) { $0.policy = .movableV3 }, "found policy linux-6.1, expected movable-v3"),
      (refusal(fault) { $0.search = .bounded(upTo: 1) }, "found search"),
      (refusal(fault) { $0.faults = 2 }, "found --faults 0, expected 2"),
      (refusal(fault) { $0.storeBuffers = true }, "found --store-buffers no, expected yes"),
      (refusal(try Self.pinners()) { _ in }, "found scenario fault, expected two-pinners-small"),
      (refusal(other) { _ in }, "found scenario text"), (refusal(fault) { _ in }, "nothing"),
    ] {
      #expect(refused.contains(what), "\(refused)")
    }
    var damaged = kept
    damaged[damaged.count - 40] ^= 1
    let newer = Array(String(decoding: kept, as: UTF8.self).replacingOccurrences(of: " 1.", with: " 9.").utf8)
    for (contents, what) in [
      (damaged, "damaged"), (Array(kept.dropLast(9)), "damaged"), (newer, "found a checkpoint of version 9."),
      (Array("scenario: x".utf8), "found \"scenario: x\", expected a checkpoint"), ([], "found \"\""),
    ] {
      let error = try #require(throws: RunFailure.self) {
        _ = try ExploreCheckpoint(contents, file: "kept")
      }
      guard case .badInput(let text) = error else { throw error }
      #expect(text.hasPrefix("kept: ") && text.contains(what), "\(text)")
    }
  }

  @Test("merging loses no outcome, and says how many states it has seen")
  func merging() throws {
    var options = Self.options(.bounded(upTo: 1))
    let all = try ScenarioExplorer.explore(try Self.pinners(), options)
    options.merges = true
    let merged = try ScenarioExplorer.explore(try Self.pinners(), options)
    #expect(Set(merged.states.map(\.state)) == Set(all.states.map(\.state)))
    #expect(merged.passes[1].completed < all.passes[1].completed)
    #expect(merged.passes.allSatisfy { ($0.merged ?? 0) > 100 } && all.passes.allSatisfy { $0.merged == nil })
  }

  @Test("with store buffers there are more orders, lines of their own, and half as many actors")
  func storeBuffers() throws {
    var options = Self.options(.bounded(upTo: 0))
    let plain = try ScenarioExplorer.explore(try Self.fault(), options)
    options.storeBuffers = true
    let buffered = try ScenarioExplorer.explore(try Self.fault(), options)
    #expect(buffered.passes[0].executions > plain.passes[0].executions)
    #expect(buffered.findings.isEmpty && buffered.states.map(\.state) == plain.states.map(\.state))
    let actors = (0..<9).map { "  - {name: a\($0), steps: [{map: {region: r\($0), size: 1 pages}}]}\n" }
      .joined()
    let many = try Scenario(
      yaml:
        "scenario: many\nsummary: nine map\nmachine: {memory: 64 frames, page-tables: 2, block: 16 frames}\n"
        + "actors:\n\(actors)", file: "many.yaml")
    let error = try #require(throws: RunFailure.self) { _ = try ScenarioExplorer.explore(many, options) }
    guard case .badInput(let text) = error else { throw error }
    #expect(text.contains("found 9 actors, expected at most 8 to explore them with store buffers"), "\(text)")
  }

  @Test("an actor that never ends is a finding, and then nothing counts as covered")
  func endless() throws {
    let text = Self.text.replacingOccurrences(
      of: "        label: written\n", with: "        label: written\n      - {touch: ram, repeat: 1000000}\n")
    let scenario = try Scenario(yaml: text, file: "endless.yaml")
    for search in [ExploreOptions.Search.bounded(upTo: 0), .exhaustive] {
      let report = try ScenarioExplorer.explore(scenario, Self.options(search, executions: 2))
      #expect(report.findings.map(\.kind) == ["endless"])
      #expect(!report.passes.contains { $0.end == .exhausted } && report.exitCode == 1, "\(report.passes)")
    }
  }

  @Test("a finding shows what words hold, and every operation where that is asked for")
  func values() throws {
    var options = Self.options(.bounded(upTo: 1), executions: 3000, .movableV3)
    options.showsExecution = true
    let report = try ScenarioExplorer.explore(try Self.pinners(), options)
    let finding = try #require(report.findings.first)
    #expect(finding.runs.contains { $0.value != nil })
    let changes = finding.runs.flatMap(\.changes)
    // A pin counts 1024.
    #expect(changes.contains { $0.hasPrefix("refcount of pfn:") && $0.hasSuffix("2 -> 1026") }, "\(changes)")
    let execution = try #require(report.execution)
    #expect(
      execution.contains { $0.word.contains("lock") && $0.value?.hasPrefix("free -> held") == true })
    #expect(
      execution.contains { $0.word.hasPrefix("refcount of pfn:") && $0.value?.contains(" -> ") == true })
    #expect(
      execution.contains { $0.word.hasPrefix("flags of pfn:") && $0.value?.contains("uptodate") == true })
    options.search = .replay(finding.replay)
    let again = try ScenarioExplorer.explore(try Self.pinners(), options)
    #expect(again.execution == execution)
  }
}
