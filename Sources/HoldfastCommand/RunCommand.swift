import ArgumentParser
import HoldfastLab
import HoldfastReport
import HoldfastScenario

/// Runs a scenario, once or many times.
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

  /// What runs the steps.
  enum GroundWord: String, ExpressibleByArgument, CaseIterable {
    case model, linux
  }

  @Option(
    help: "What runs the steps: the engine (model), or a real kernel (linux), in a guest unless --host.")
  var on = GroundWord.model

  @Flag(help: "With --on linux: use this host's kernel, for what it can do without harm.")
  var host = false

  @Option(
    name: .customLong("repeat"), parsing: .unconditional,
    help: ArgumentHelp(
      "How often to run; after the first report a table counts the end states.", valueName: "n"),
    transform: NumberOption.whole(1...100_000))
  var repeats = 1

  @Flag(help: "Print the report as JSON.")
  var json = false

  @Option(help: ArgumentHelp("Write Chrome trace events, which Perfetto opens.", valueName: "file"))
  var trace: String?

  func validate() throws {
    if host, on != .linux { throw ValidationError("--host needs --on linux") }
    if on == .linux, ground.isGiven {
      throw ValidationError(
        "--machine, --machine-from and --frames are the engine's; --on linux excludes them")
    }
  }

  func run() throws {
    let scenario = try ScenarioFiles.load(scenario)
    let reports: [RunReport]
    if let trace {
      let file = try TraceFile(trace)
      do {
        reports = try self.reports(scenario)
      } catch {
        file.discard()
        throw error
      }
      if let first = reports.first { try file.write { try TraceText.render(first) } }
    } else {
      reports = try self.reports(scenario)
    }
    guard let first = reports.first else { throw Failure.internalError("nothing was run") }
    let states = StateHistogram(reports, of: scenario)

    if json {
      for warning in first.warnings { Console.warn(warning) }
      try Console.write(
        repeats == 1
          ? try JSONText.render(first) : try JSONText.render(RepeatedRuns(first: first, states: states)))
    } else {
      let palette = Console.palette
      var text = RunText.render(first, palette: palette)
      if repeats > 1 { text += "\n" + ConformText.render(states, palette: palette) }
      try Console.write(text)
    }
    throw Failure.said(exitCode: reports.map(\.outcome.exitCode).max() ?? 0)
  }

  private func reports(_ scenario: Scenario) throws(Failure) -> [RunReport] {
    switch on {
    case .linux:
      let answer = try KernelGround().runs(
        scenario, policy: policy ?? KernelGround.policy, repeats: repeats, on: host ? .host : .guest)
      switch answer {
      case .runs(let reports, _): return reports
      case .refused(let why, _), .lost(let why): throw .cannotRun(why)
      }
    case .model:
      var options = ground.runOptions
      options.policy = policy
      options.collectTrace = trace != nil
      var reports: [RunReport] = []
      for _ in 0..<repeats {
        reports.append(try Self.measured(scenario, options))
        options.collectTrace = false
      }
      return reports
    }
  }

  private static func measured(_ scenario: Scenario, _ options: RunOptions) throws(Failure) -> RunReport {
    let bar = ProgressBar(title: scenario.name)
    defer { bar?.clear() }
    return try ScenarioRunner.report(scenario, options, bar)
  }
}

/// The first of several runs, and how often they ended in which state.
private struct RepeatedRuns: Encodable {
  let schema = RunReport.currentSchema
  let runs: Int
  let first: RunReport
  let states: [StateHistogram.Row]

  init(first: RunReport, states: StateHistogram) {
    self.first = first
    self.runs = states.runs
    self.states = states.rows
  }
}

extension ScenarioRunner {
  /// Runs a scenario and shows how far it has got.
  static func report(
    _ scenario: Scenario, _ options: RunOptions, _ bar: ProgressBar?
  ) throws(Failure) -> RunReport {
    var options = options
    if let bar { options.progress = { bar.show($0) } }
    return try Failure.rethrow { () throws(RunFailure) in try run(scenario, options) }
  }
}
