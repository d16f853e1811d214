import ArgumentParser
import HoldfastLab
import HoldfastReport
import HoldfastScenario

/// Runs a scenario once.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a scenario: what each step did, the memory before and after, a verdict per expectation.")

  @Argument(help: "A scenario file, or the name of one below Scenarios/.")
  var scenario: String

  @Option(
    help: ArgumentHelp(
      "Whose pinning rules hold, instead of the scenario's; see 'holdfast policies'.", valueName: "name"),
    transform: PolicyWords.policy)
  var policy: PolicyName?

  @OptionGroup
  var ground: GroundOptions

  @Flag(help: "Print the report as JSON.")
  var json = false

  @Option(help: ArgumentHelp("Write Chrome trace events, which Perfetto opens.", valueName: "file"))
  var trace: String?

  func run() throws {
    let scenario = try ScenarioFiles.load(scenario)
    var options = ground.runOptions
    options.policy = policy
    options.collectTrace = trace != nil

    let report: RunReport
    if let trace {
      let file = try TraceFile(trace)
      do {
        report = try Self.measured(scenario, options)
      } catch {
        file.discard()
        throw error
      }
      try file.write(report)
    } else {
      report = try Self.measured(scenario, options)
    }

    if json {
      for warning in report.warnings { Console.warn(warning) }
      try Console.write(try JSONText.render(report))
    } else {
      try Console.write(RunText.render(report, palette: Console.palette))
    }
    throw Failure.said(exitCode: report.outcome.exitCode)
  }

  private static func measured(_ scenario: Scenario, _ options: RunOptions) throws(Failure) -> RunReport {
    let bar = ProgressBar(title: scenario.name)
    defer { bar?.clear() }
    return try ScenarioRunner.report(scenario, options, bar)
  }
}

extension ScenarioRunner {
  /// Runs a scenario and shows how far it has got.
  static func report(
    _ scenario: Scenario, _ options: RunOptions, _ bar: ProgressBar?
  ) throws(Failure) -> RunReport {
    var options = options
    if let bar { options.progress = { bar.show($0) } }
    do throws(RunFailure) {
      return try run(scenario, options)
    } catch {
      throw Failure(error)
    }
  }
}
