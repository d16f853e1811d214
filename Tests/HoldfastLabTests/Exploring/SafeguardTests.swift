import Foundation
import HoldfastLab
import HoldfastScenario
import Testing

/// Each safeguard taken out is found out, by a scenario of the catalogue in which nothing is found with it in place.
@Suite struct SafeguardTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Scenarios/catalogue").path

  /// What a machine without some safeguards shows.
  struct Shown: CustomTestStringConvertible, Sendable {
    let scenario: String
    let without: [String]
    /// How the name of the finding begins.
    let finding: String
    /// Preemptions that it takes.
    let bound: Int

    init(_ scenario: String, _ without: String..., finding: String, bound: Int = 1) {
      self.scenario = scenario
      self.without = without
      self.finding = finding
      self.bound = bound
    }

    var testDescription: String { "\(scenario) without \(without.joined(separator: ", "))" }
  }

  static let shown: [Shown] = [
    Shown("01-unmap-and-reuse", "entry-recheck", finding: "pin-address"),
    Shown("01-unmap-and-reuse", "free-page-refusal", finding: "", bound: 2),
    Shown("05-freed-table", "walk-announcement", finding: "pin-address"),
    Shown("05-freed-table", "walker-wait", finding: "pin-address"),
    Shown("34-isolation-fails", "failure-honoured", finding: "pin-placement"),
    Shown("34-isolation-fails", "collected-decides", finding: "pin-placement"),
    Shown("35-empty-list", "failure-honoured", finding: "pin-placement"),
    Shown("35-empty-list", "collected-decides", finding: "pin-placement"),
    Shown("36-killed-retry", "fatal-signal-check", finding: "livelock"),
    Shown("37-hidden-reference", "batch-drain", finding: "livelock", bound: 0),
    Shown("39-cma-against-pin", "isolate-refusal", finding: "pin-placement"),
    Shown("40-fresh-page", "pin-scope", finding: "expectation", bound: 0),
    Shown("40-fresh-page", "scope-in-fast-path", finding: "expectation", bound: 0),
    Shown("40-fresh-page", "pin-scope", "immovable-target", finding: "livelock", bound: 0),
    Shown("43-zero-page", "zero-page-exemption", finding: "livelock", bound: 0),
    Shown("49-migration-against-reference", "compare-after-unmap", finding: "held-page-belongs", bound: 2),
    Shown("49-migration-against-reference", "entry-recheck", finding: "held-page-belongs", bound: 2),
    Shown("49-migration-against-pin", "entry-recheck", finding: "held-page-belongs", bound: 2),
    Shown(
      "49-migration-against-pin", "pin-test-after-clear", "compare-after-unmap", finding: "held-page-belongs",
      bound: 2),
    Shown("49-migration-of-cached-page", "count-freeze", finding: "count-sign", bound: 2),
    Shown("50-waiting-fault", "wait-without-reference", finding: "expectation", bound: 2),
    Shown("51-offline-against-pin", "failure-honoured", finding: "pin-placement"),
    Shown("51-pin-while-isolated", "isolate-refusal", finding: "expectation"),
    Shown("51-retried-offline", "offline-retry", finding: "expectation"),
    Shown("51-undone-offline", "offline-undo", finding: "nothing-isolated", bound: 0),
    Shown("51-undone-offline", "offline-lists-back", finding: "lists-enabled", bound: 0),
    Shown("51-walk-into-removed", "free-page-refusal", finding: "offline-is-empty"),
  ]

  /// What Linux 6.1 leaves open, and so is found with every safeguard in place.
  static let open: [Shown] = [
    Shown("36-endless-retry", finding: "livelock"),
    Shown("38-two-pinners", finding: "expectation"),
    Shown("45-cma-against-reference", finding: "expectation"),
    Shown("50-transient-reference", finding: "expectation"),
    Shown("51-endless-offline", finding: "no end", bound: 0),
  ]

  private static func explore(
    _ scenario: String, without: [String] = [], bound: Int, executions: Int, policy: PolicyName? = nil
  ) throws -> ExploreReport {
    var options = ExploreOptions()
    options.search = .bounded(upTo: bound)
    options.executions = executions
    options.without = without
    options.policy = policy
    options.stopsAtFinding = true
    options.minimising = 1
    return try ScenarioExplorer.explore(try Scenario.load(path: "\(folder)/\(scenario).yaml"), options)
  }

  @Test("without a safeguard the violation is found", arguments: shown + open)
  func found(_ shown: Shown) throws {
    let report = try Self.explore(
      shown.scenario, without: shown.without, bound: shown.bound, executions: 50_000)
    let finding = try #require(report.findings.first, "\(report.passes.map(\.executions))")
    #expect(finding.name.hasPrefix(shown.finding), "\(finding.name): \(finding.text)")
  }

  @Test("with every safeguard nothing is found", arguments: Set(shown.map(\.scenario)).sorted())
  func clear(scenario: String) throws {
    let report = try Self.explore(scenario, bound: 2, executions: 400)
    #expect(report.exitCode == 0, "\(report.findings.map { "\($0.name): \($0.text)" })")
  }

  @Test(
    "a safeguard that another one stands for is not missed",
    arguments: [
      ("49-migration-against-pin", "pin-test-after-clear"),
      ("49-migration-against-pin", "compare-after-unmap"),
      ("40-fresh-page", "immovable-target"),
    ])
  func redundant(scenario: String, safeguard: String) throws {
    let report = try Self.explore(scenario, without: [safeguard], bound: 2, executions: 400)
    #expect(report.exitCode == 0, "\(report.findings.map { "\($0.name): \($0.text)" })")
  }

  @Test(
    "what 6.1 leaves open was closed, or not yet, by another policy",
    arguments: [
      ("34-isolation-fails", PolicyName.movableV3, false), ("34-isolation-fails", .movableV4, true),
      ("35-empty-list", .movableV3, false), ("35-empty-list", .movableV4, true),
      ("36-endless-retry", .linux513, false), ("36-endless-retry", .movableV4, true),
    ])
  func policies(scenario: String, policy: PolicyName, isClear: Bool) throws {
    let report = try Self.explore(scenario, bound: 1, executions: 1000, policy: policy)
    #expect((report.exitCode == 0) == isClear, "\(report.findings.map { "\($0.name): \($0.text)" })")
  }
}
