import Foundation
import HoldfastLab
import HoldfastScenario
import Testing

/// What the catalogue's table does not say: safeguards that others stand for, and what other policies do.
@Suite struct RedundancyTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Scenarios/catalogue").path

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

  @Test(
    "a safeguard that another one stands for is not missed",
    arguments: [
      ("49-migration-against-pin", "pin-test-after-clear"),
      ("49-migration-against-pin", "compare-after-unmap"),
      ("40-fresh-page", "immovable-target"), ("65-touched-meanwhile", "exclusive-holds-lock"),
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
