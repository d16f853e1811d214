import Foundation
import HoldfastLab
import HoldfastScenario
import Interleaving
import Testing

/// The shipped scenarios, each a test of its own expectations and of every invariant.
@Suite struct ShippedScenarioTests {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static let files: [String] = {
    let folder = root.appending(path: "Scenarios").path
    let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    return names.filter { $0.hasSuffix(".yaml") }.sorted().map { folder + "/" + $0 }
  }()

  /// The files that the engine can run; the others are for a real kernel.
  static let runnable = files.filter { file in
    guard let scenario = try? Scenario.load(path: file) else { return true }
    return EngineLimits.missing(in: scenario).isEmpty
  }

  /// Those of them that answer a mail; the others are about one policy only.
  static let general = runnable.filter {
    !["kernel", "catalogue", "devices"].map { "/Scenarios/\($0)/" }.contains(where: $0.contains)
  }

  /// Where the engine does not yet do what Linux 6.1 does, by its source.
  static let differing: Set<String> = [
    // Untouched memory that may be huge shows a huge zero page.
    "zero-page-in-a-huge-area",
    // A huge page without a huge frame to go to is split.
    "no-frame-for-a-huge-page",
  ]

  @Test("a scenario that needs what the engine lacks is refused, with the words that it lacks")
  func lacking() throws {
    for file in Self.files where !Self.runnable.contains(file) {
      let scenario = try Scenario.load(path: file)
      let missing = EngineLimits.missing(in: scenario).joined(separator: ", ")
      #expect(
        throws: RunFailure.cannotRun("\(scenario.name): the engine does not model \(missing)"),
        "\(file)"
      ) { try ScenarioRunner.run(scenario, RunOptions()) }
    }
  }

  @Test("a scenario's expectations hold under its own policy", arguments: runnable)
  func ownPolicy(file: String) throws {
    let scenario = try Scenario.load(path: file)
    guard Self.differing.contains(scenario.name) else {
      return try expectSuccess(scenario, RunOptions())
    }
    withKnownIssue("the engine differs from Linux 6.1") { try expectSuccess(scenario, RunOptions()) }
  }

  /// In the twin, which is optimised whatever the build, under every policy; that includes what `under` says.
  @Test(
    "a scenario's expectations hold under every policy", .enabled(if: isExplored), arguments: general,
    PolicyName.allCases)
  func everyPolicy(file: String, policy: PolicyName) throws {
    var options = RunOptions()
    options.policy = policy
    try expectSuccess(try Scenario.load(path: file), options)
  }

  @Test(
    "the main job on real bytes, on this host's machine and on saved ones",
    arguments: [
      RunOptions.Machine.configured, .live,
      .snapshot(directory: root.appending(path: "Snapshots/firecracker-24g").path),
    ])
  func mainJob(machine: RunOptions.Machine) throws {
    let scenario = try Scenario.load(
      path: Self.root.appending(path: "Scenarios/hot-remove/vfio-guest.yaml").path)
    var options = RunOptions()
    options.machine = machine
    options.ground = .memory
    do {
      try expectSuccess(scenario, options)
    } catch RunFailure.cannotRun(let why) where machine == .live {
      // A host without eight free blocks, or whose files cannot be read, cannot show this.
      print("left out: \(why)")
    }
  }

  @Test("the same run gives the same report, whatever threads do")
  func repeats() throws {
    let file = try #require(Self.files.first { $0.hasSuffix("short-pin-delays.yaml") })
    let scenario = try Scenario.load(path: file)
    var reports = try (0..<3).map { _ in try ScenarioRunner.run(scenario, RunOptions()) }
    for index in reports.indices {
      reports[index].wallNanoseconds = 0
      for step in reports[index].steps.indices { reports[index].steps[step].wallNanoseconds = 0 }
    }
    #expect(reports[0] == reports[1] && reports[1] == reports[2])
  }

  private func expectSuccess(_ scenario: Scenario, _ options: RunOptions) throws {
    let report = try ScenarioRunner.run(scenario, options)
    for verdict in report.verdicts where verdict.state == .fails {
      Issue.record("\(verdict.location): \(verdict.expectation), found \(verdict.found ?? "-")")
    }
    #expect(report.outcome == .holds)
  }
}
