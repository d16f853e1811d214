import Foundation
import HoldfastLab
import HoldfastScenario
import Testing

/// What scenarios of the catalogue show beyond the catalogue's table, of which `CatalogueTests` explores every entry.
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
    Shown("34-isolation-fails", "collected-decides", finding: "longterm-placement"),
    Shown("35-empty-list", "failure-honoured", finding: "longterm-placement"),
    Shown("49-migration-against-reference", "entry-recheck", finding: "held-page-belongs", bound: 2),
    Shown("49-migration-against-pin", "entry-recheck", finding: "pin-coherence", bound: 2),
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

  @Test("other safeguards than the table's own are missed in a scenario too", arguments: shown)
  func found(_ shown: Shown) throws {
    let report = try Self.explore(
      shown.scenario, without: shown.without, bound: shown.bound, executions: 50_000)
    let finding = try #require(report.findings.first, "\(report.passes.map(\.executions))")
    #expect(finding.name.hasPrefix(shown.finding), "\(finding.name): \(finding.text)")
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
