import ArgumentParser
import HoldfastLab
import HoldfastReport
import HoldfastScenario

/// Runs a scenario under several policies.
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Run a scenario under several policies: a column each, rows of steps, expectations and costs.")

  @Argument(help: "A scenario file, or the name of one below Scenarios/.")
  var scenario: String

  @Option(
    help: ArgumentHelp("Policies between commas; all of them unless given.", valueName: "a,b,c"),
    transform: PolicyWords.list)
  var policies = PolicyName.allCases

  @OptionGroup
  var ground: GroundOptions

  @Flag(help: "Print the table as JSON.")
  var json = false

  func run() throws {
    let scenario = try ScenarioFiles.load(scenario)
    let reports = try reports(scenario)
    // Most warnings are about the machine, which all runs have in common.
    var said: Set<String> = []
    for warning in reports.flatMap(\.warnings) where said.insert(warning).inserted { Console.warn(warning) }
    guard let table = CompareReport(reports) else {
      throw Failure.internalError("the runs are not of one scenario")
    }
    try Console.write(
      json ? try JSONText.render(table) : ListText.render(table, palette: Console.palette))
    throw Failure.said(exitCode: table.outcome.exitCode)
  }

  private func reports(_ scenario: Scenario) throws(Failure) -> [RunReport] {
    let bar = ProgressBar(title: scenario.name)
    defer { bar?.clear() }
    var reports: [RunReport] = []
    for policy in policies {
      bar?.begin("\(scenario.name), \(policy) (\(reports.count + 1) of \(policies.count))")
      var options = ground.runOptions
      options.policy = policy
      reports.append(try ScenarioRunner.report(scenario, options, bar))
    }
    return reports
  }
}
