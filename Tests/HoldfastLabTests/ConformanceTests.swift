import Foundation
import HoldfastLab
import HoldfastScenario
import Interleaving
import Testing

/// The engine against what real kernels were recorded to do.
@Suite struct ConformanceTests {
  private static let root = ShippedScenarioTests.root
  private static let kernel = KernelIdentity(release: "6.1.192", config: "c0ffee", qemu: "7.2.22")

  /// What is wrong with the recordings of a folder, a sentence each.
  private static func problems(of folder: URL, scenarios: [Scenario]) throws -> [String] {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    let list = folder.appending(path: "differences.yaml").path
    var judge = ConformJudge(
      names.contains("differences.yaml") ? try KnownDifference.load(path: list) : [])
    var problems: [String] = []
    for name in names.sorted() where name.hasSuffix(".jsonl") {
      let log = try ConformanceLog.load(path: folder.appending(path: name).path)
      if name != log.header.scenario + ".jsonl" { problems.append("\(name) is of \(log.header.scenario)") }
      guard let scenario = scenarios.first(where: { $0.name == log.header.scenario }) else {
        problems.append("stale: \(ConformJudge.orphan(log).reason ?? name)")
        continue
      }
      let entry = try judge.judge(log, of: scenario) { leftOut in
        try AllowedStates.collect(scenario, policy: log.header.policy, leavingOut: leftOut)
      }
      if entry.verdict == .stale { problems.append("stale: \(entry.reason ?? name)") }
      for state in entry.states where state.relation == .forbidden {
        problems.append(
          "\(scenario.name): \(log.header.kernel.source) showed what is forbidden: \(state.state)")
      }
    }
    problems += judge.staleDifferences(scenarios: Set(scenarios.map(\.name))).map {
      "\($0.location): nothing shows \($0.text) of \($0.scenario) any more"
    }
    return problems
  }

  /// In the twin, which is optimised whatever the build.
  @Test("every recorded state is one that the engine allows, or is written up", .enabled(if: isExplored))
  func recorded() throws {
    let scenarios = try ShippedScenarioTests.files.map { try Scenario.load(path: $0) }
    let folder = Self.root.appending(path: "Conformance")
    for problem in try Self.problems(of: folder, scenarios: scenarios) { Issue.record("\(problem)") }
  }

  @Test("a recording that the engine contradicts, a stale one and a needless difference are found")
  func canFail() throws {
    let file = try #require(ShippedScenarioTests.files.first { $0.hasSuffix("pin-against-offline.yaml") })
    let scenario = try Scenario.load(path: file)
    var seen = try ScenarioRunner.run(scenario, RunOptions())
    seen.ground = .linux
    var strange = seen
    let index = try #require(strange.steps.firstIndex { $0.label == "pinned" })
    strange.steps[index].status = .failed
    strange.steps[index].error = StepError(errno: .EEXIST, stage: .argument, cause: "nobody gives this")
    let folder = FileManager.default.temporaryDirectory.appending(path: "conformance-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let path = folder.appending(path: "\(scenario.name).jsonl")
    func record(_ reports: [RunReport]) throws {
      let log = try #require(
        ConformanceLog(reports, of: scenario, on: Self.kernel, recorded: "2026-11-21"))
      try log.text().write(to: path, atomically: true, encoding: .utf8)
    }

    try record([seen, seen])
    #expect(try Self.problems(of: folder, scenarios: [scenario]) == [])
    var changed = scenario
    changed.textHash = "0"
    #expect(
      try Self.problems(of: folder, scenarios: [changed]).first?.hasPrefix(
        "stale: run holdfast conform --record \(scenario.name)") == true)
    #expect(
      try Self.problems(of: folder, scenarios: []).first?.hasPrefix("stale: there is no scenario") == true)

    try record([seen, strange])
    let found = try Self.problems(of: folder, scenarios: [scenario])
    #expect(found.count == 1 && found[0].contains("faulted=ok; pinned=EEXIST"))
    let entry =
      "- {scenario: \(scenario.name), observable: pinned=EEXIST, kernel: 'mm/gup.c:f', version: 6.1, why: so}"
    try entry.write(to: folder.appending(path: "differences.yaml"), atomically: true, encoding: .utf8)
    #expect(try Self.problems(of: folder, scenarios: [scenario]) == [])
    try record([seen])
    #expect(try Self.problems(of: folder, scenarios: [scenario]).first?.contains("nothing shows") == true)
  }

  // MARK: What is allowed

  private static let race = """
    scenario: race
    summary: two programs charge one limit, and the first one wins
    machine: {memory: 64 frames, cpus: 2, block: 16 frames, page-tables: 2}
    actors:
      - name: one
        memlock: {pages: 1}
        steps:
          - map: {region: ram, size: 1 pages}
            label: mapped
          - pin: {as: a, region: ram, flags: [write, longterm], entry: remote, purpose: vfio}
            label: first
      - name: two
        thread-of: one
        after: [mapped]
        steps:
          - pin: {as: b, region: ram, flags: [write, longterm], entry: remote, purpose: vfio}
            label: second
    """

  @Test("every order of precedence is tried in both manners, and no expectation sees a step that is left out")
  func orders() throws {
    let scenario = try Scenario(yaml: Self.race, file: "race.yaml")
    func states(_ leftOut: Set<StepPlace>) throws -> [String] {
      guard
        case .allowed(let states) = try AllowedStates.collect(
          scenario, policy: .linux61, leavingOut: leftOut)
      else { return [] }
      #expect(states.runs == 4)
      return states.rows.map(\.state.description)
    }
    #expect(
      try states([]) == ["mapped=ok; first=ok; second=ENOMEM", "mapped=ok; first=ENOMEM; second=ok"])
    let first = try #require(scenario.step(labelled: "first")).step.location
    #expect(try states([StepPlace(first)]) == ["mapped=ok; second=ok"])
    var options = RunOptions()
    options.precedence = ["three"]
    #expect(throws: RunFailure.self) { try ScenarioRunner.run(scenario, options) }

    let names = ["a", "b", "c", "d", "e", "f"]
    #expect(Set(AllowedStates.orders(of: Array(names.prefix(5)))).count == 120)
    #expect(AllowedStates.orders(of: names).count == 6)
    #expect(AllowedStates.orders(of: names)[1] == ["b", "c", "d", "e", "f", "a"])
  }
}
