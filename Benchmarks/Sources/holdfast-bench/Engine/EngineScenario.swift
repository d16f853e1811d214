import HoldfastLabExplored
import HoldfastScenario

/// A shipped scenario of two actors and one page, explored in random orders: every step and every end is checked.
private struct ExploredScenario {
  /// Executions of a round: making the machine, and doing what every order begins with, are a hundredth of it.
  static let executions = 10_000

  private let scenario: Scenario
  private let executions: Int
  /// Schedule points of a round, the same in every one.
  private(set) var steps = 0

  init(_ name: String, executions: Int) throws {
    let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(5)
    scenario = try Scenario.load(path: folder.joined(separator: "/") + "/Scenarios/small/\(name).yaml")
    self.executions = executions
    steps = try explore()
  }

  /// Explores the scenario; returns the schedule points of it.
  @discardableResult
  func explore() throws -> Int {
    var options = ExploreOptions()
    options.search = .random(seed: 1)
    options.executions = executions
    let report = try ScenarioExplorer.explore(scenario, options)
    let counts = report.passes.map { ($0.executions, $0.completed, $0.steps) }
    guard let (begun, completed, steps) = counts.first, begun == executions, completed == executions,
      report.exitCode == 0, report.stateBytes <= 64 << 10
    else {
      throw WorkFailed(
        "explored \(counts), \(report.stateBytes) bytes of state, \(report.findings.map(\.text))")
    }
    return steps
  }
}

extension Contender {
  /// Executions of a scenario, or the schedule points of so many.
  static func scenario(_ name: String, inStepsOf executions: Int? = nil) -> Contender {
    Contender(engine) {
      let explored = try ExploredScenario(name, executions: executions ?? ExploredScenario.executions)
      let units = executions == nil ? ExploredScenario.executions : explored.steps
      return Side(unitsPerRound: units) { _, rounds in
        for _ in 0..<rounds { try explored.explore() }
      }
    }
  }
}
