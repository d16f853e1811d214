import ArgumentParser
import FoundationEssentials
import HoldfastLab
import HoldfastReport
import HoldfastScenario

/// Tests a claim by seeded runs.
struct ExperimentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "experiment",
    abstract: "Test a claim about pinned memory by many seeded runs of a scenario.",
    discussion: """
      Prints a table, and with --out writes NAME.svg, a plot, and NAME.json, the numbers. Exit codes: 0 the claim holds, \
      1 it is refuted, 2 usage or input that cannot be used.
      """)

  @Argument(help: "An experiment's file, or the name of one below Experiments/.")
  var experiment: String?

  @Flag(help: "List the experiments instead.")
  var list = false

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Runs of each point of each series, instead of the experiment's.", valueName: "n"),
    transform: NumberOption.whole(1...Experiment.mostRuns))
  var runs: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Where the random numbers begin.", valueName: "n"),
    transform: NumberOption.whole(0...UInt64.max))
  var seed: UInt64 = 1

  @Option(help: ArgumentHelp("Write the plot and the numbers into this folder.", valueName: "folder"))
  var out: String?

  @Flag(help: "Print the numbers as JSON instead of the table.")
  var json = false

  func validate() throws {
    if list, experiment != nil || runs != nil || out != nil || json {
      throw ValidationError("--list goes with nothing else")
    }
    if !list, experiment == nil { throw ValidationError("experiment needs an <experiment>, or --list") }
  }

  func run() throws {
    guard let word = experiment else {
      let all = try ScenarioFiles.list(below: ScenarioFiles.experiments).map(Self.load)
      try Console.write(ExperimentText.list(all, palette: Console.palette))
      return
    }
    let experiment = try Self.load(try ScenarioFiles.path(ofExperiment: word))
    let bar = ProgressBar(title: experiment.name)
    defer { bar?.clear() }
    let report = try Failure.rethrow { () throws(RunFailure) in
      try ExperimentRunner.run(experiment, runs: runs, seed: seed) { bar?.show($0) }
    }
    bar?.clear()
    if let out { try write(report, to: out) }
    try Console.write(
      json ? try JSONText.render(report) : ExperimentText.render(report, palette: Console.palette))
    throw Failure.said(exitCode: report.isRefuted ? 1 : 0)
  }

  private static func load(_ path: String) throws(Failure) -> Experiment {
    do throws(ScenarioError) {
      return try Experiment.load(path: path)
    } catch {
      throw Failure(error)
    }
  }

  private func write(_ report: ExperimentReport, to folder: String) throws {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let path = "\(folder)/\(report.experiment)"
      try Data(ExperimentPlot.svg(report).utf8).write(to: URL(filePath: path + ".svg"))
      try Data(try JSONText.render(report).utf8).write(to: URL(filePath: path + ".json"))
    } catch {
      throw Failure.unwritten("\(folder): the plot and the numbers cannot be written there: \(error)")
    }
  }
}
