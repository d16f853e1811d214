import Foundation
import HoldfastLab
import HoldfastScenario
import Testing

/// What is recorded beside scenarios, and what is generated.
@Suite(.serialized) struct OutcomeTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Scenarios").path

  /// The outcome files, seen from the folder of the scenarios.
  static let files: [String] =
    (FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? [])
    .filter { $0.hasSuffix(OutcomeFile.suffix) }.sorted()

  @Test("there are outcome files, one at least for each small scenario")
  func some() {
    #expect(Self.files.count { $0.hasPrefix("small/") } >= 6)
  }

  @Test("exploring finds the recorded outcomes, in as many executions", arguments: files)
  func recorded(file: String) throws {
    let path = "\(Self.root)/\(file)"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let head = try OutcomeFile(text: text, file: path)
    let scenario = try Scenario.load(path: OutcomeFile.scenarioPath(beside: path))
    var options = ExploreOptions(head)
    options.minimising = 0
    let report = try ScenarioExplorer.explore(scenario, options)
    let differences = OutcomeFile.differences(from: text, to: head.text(report))
    #expect(
      differences.isEmpty,
      "\(differences.joined(separator: "\n"))\nif that should be: holdfast promote Scenarios/\(OutcomeFile.scenarioPath(beside: file))"
    )
  }

  @Test(
    "generated scenarios break nothing, with a failure anywhere neither", arguments: [0, 1],
    ScenarioGenerator.Memory.allCases)
  func generated(faults: Int, memory: ScenarioGenerator.Memory) throws {
    for (actors, count) in [(2, 40), (3, 20)] {
      let generator = ScenarioGenerator(actors: actors, pages: 3 - actors % 2 - 1, memory: memory)
      for generated in generator.sample(count, seed: 42) {
        var options = ExploreOptions()
        options.search = .bounded(upTo: 1)
        options.executions = 60
        options.faults = faults
        let scenario = try Scenario(yaml: generated.yaml, file: generated.name)
        let report = try ScenarioExplorer.explore(scenario, options)
        #expect(report.findings.isEmpty, "\(generated.name): \(report.findings.map(\.text))")
      }
    }
  }

  private static let conditions = """
    scenario: conditions
    summary: two threads pin the same page long-term
    machine: {memory: 64 frames, page-tables: 2, block: 16 frames, movable: 32 frames, cpus: 2}
    actors:
      - name: one
        steps:
          - map: {region: ram, size: 1 pages}
          - write: ram
            label: faulted
          - pin: {as: first-dma, region: ram, flags: [write, longterm]}
            label: first
      - name: two
        cpu: 1
        thread-of: one
        after: [faulted]
        steps:
          - pin: {as: second-dma, region: ram, flags: [write, longterm]}
            label: second
    conditions:
      - never: {holders: movable, equals: [one]}
      - always: {or: [{step: first, equals: ok}, {step: second, equals: ok}]}
      - sometimes: {step: second, equals: ENOMEM}

    """

  @Test("never is broken under v3 and not under 6.1; sometimes has a witness that can be repeated")
  func conditions() throws {
    let scenario = try Scenario(yaml: Self.conditions, file: "conditions.yaml")
    var options = ExploreOptions()
    options.search = .bounded(upTo: 1)
    options.policy = .movableV3
    let old = try ScenarioExplorer.explore(scenario, options)
    #expect(old.findings.map(\.name).contains("condition in line 20"))
    #expect(old.conditions.map(\.isMet) == [false, true, nil])
    #expect(old.exitCode == 1)

    options.policy = .linux61
    let new = try ScenarioExplorer.explore(scenario, options)
    #expect(new.findings.isEmpty, "\(new.findings.map(\.text))")
    #expect(new.conditions.map(\.isMet) == [true, true, true])
    #expect(new.exitCode == 0)
    options.search = .replay(try #require(new.conditions[2].witness))
    let repeated = try ScenarioExplorer.explore(scenario, options)
    #expect(repeated.conditions.map(\.holds) == [0, 1, 1])
    #expect(repeated.exitCode == 0)
  }

  @Test("a sometimes that was not seen fails once everything was covered, and not before")
  func unseen() throws {
    let yaml = """
      scenario: alone
      summary: one actor
      machine: {memory: 64 frames, page-tables: 2, block: 16 frames, movable: 32 frames}
      actors:
        - name: one
          steps:
            - map: {region: ram, size: 1 pages}
              label: mapped
      conditions:
        - sometimes: {step: mapped, equals: ENOMEM}
      """
    let scenario = try Scenario(yaml: yaml, file: "alone.yaml")
    var options = ExploreOptions()
    options.search = .exhaustive
    let whole = try ScenarioExplorer.explore(scenario, options)
    #expect(whole.conditions.map(\.isMet) == [false])
    #expect(whole.exitCode == 1)
    options.faults = 1
    let failing = try ScenarioExplorer.explore(scenario, options)
    #expect(failing.conditions.map(\.isMet) == [true])
    #expect(failing.exitCode == 0)
    options.faults = 0
    options.search = .random(seed: 1)
    options.executions = 3
    let part = try ScenarioExplorer.explore(scenario, options)
    #expect(part.conditions.map(\.isMet) == [nil])
    #expect(part.exitCode == 0)
  }

  /// A page is in the way of an offline, and a memory notifier is asked.
  private static let bystanders = """
    scenario: bystanders
    summary: a block goes offline while nobody else does anything
    machine: {memory: 64 frames, page-tables: 2, block: 16 frames, movable: 32 frames}
    actors:
      - name: one
        steps:
          - map: {region: ram, size: 1 pages}
          - write: ram
            label: ready
      - name: host
        after: [ready]
        steps:
          - offline: {blocks: [2], passes: 3}
            label: gone
    conditions:
      - sometimes: {step: gone, equals: EBUSY}
      - sometimes:
          - {step: gone, equals: ok}
          - {step: gone, value: passes, at-least: 2}
          - {counter: pgmigrate_fail, equals: 1}
      - always: {contents: ram, since: ready, equals: unchanged}
    """

  @Test("one fault lets a notifier refuse, and a bystander delay an offline, without harm")
  func bystanders() throws {
    let scenario = try Scenario(yaml: Self.bystanders, file: "bystanders.yaml")
    var options = ExploreOptions()
    options.search = .bounded(upTo: 0)
    options.executions = 5000
    #expect(try ScenarioExplorer.explore(scenario, options).conditions.map(\.isMet) == [false, false, true])
    options.faults = 1
    let report = try ScenarioExplorer.explore(scenario, options)
    #expect(report.findings.isEmpty, "\(report.findings.map(\.text))")
    #expect(report.conditions.map(\.isMet) == [true, true, true], "\(report.states.map(\.state))")
  }
}
