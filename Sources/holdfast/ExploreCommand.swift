import ArgumentParser
import Dispatch
import Glibc
import HoldfastLabExplored
import HoldfastReport
import HoldfastScenario

/// Explores the interleavings of a scenario.
struct ExploreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explore",
    abstract: "Run a scenario's actors in every order that matters: outcomes, and what is found wrong.",
    discussion: """
      Without --strategy: at most 0, 1 and 2 preemptions, and then one execution of every trace. Exit codes: 0 no \
      finding and every expectation holds in every execution, 1 a finding or an expectation that does not, 2 usage \
      or input that cannot be used.
      """)

  /// How executions are chosen.
  enum Strategy: String, ExpressibleByArgument, CaseIterable {
    case bounded, exhaustive, random, pct
  }

  @Argument(help: "A scenario file, or the name of one below Scenarios/.")
  var scenario: String?

  @OptionGroup var catalogue: CatalogueOptions

  @Option(
    help: ArgumentHelp("Whose pinning rules hold, instead of the scenario's.", valueName: "name"),
    transform: PolicyWords.policy)
  var policy: PolicyName?

  @Option(help: "How executions are chosen.")
  var strategy: Strategy?

  @Option(
    help: ArgumentHelp(
      "With bounded: most preemptions (default 2). With pct: changes of priority, plus one (default 3).",
      valueName: "n"))
  var bound: Int?

  @Option(help: ArgumentHelp("With random or pct: where the random numbers begin.", valueName: "n"))
  var seed: UInt64?

  @Option(help: ArgumentHelp("End after so long; 60 if no limit is given.", valueName: "seconds"))
  var time: Double?

  @Option(help: ArgumentHelp("End after so many executions.", valueName: "n"))
  var executions: Int?

  @Option(
    help: ArgumentHelp(
      "Let up to so many allocations, isolations, page locks, copies, unmaps and charges of an execution fail.",
      valueName: "n"))
  var faults = 0

  @Option(
    help: ArgumentHelp(
      "Take a fix out of the engine; `holdfast safeguards` lists them. May be given several times.",
      valueName: "safeguard"))
  var without: [String] = []

  @Option(help: ArgumentHelp("Repeat the execution of a finding, as its line says.", valueName: "line"))
  var replay: String?

  @Flag(help: "Print the report as JSON.")
  var json = false

  func validate() throws {
    try catalogue.validate(against: self)
    if let bound, !(0...1000).contains(bound) {
      throw ValidationError("--bound must be from 0 to 1000; found \(bound)")
    }
    if bound != nil, strategy != .bounded, strategy != .pct {
      throw ValidationError("--bound needs --strategy bounded or pct")
    }
    if strategy == .pct, bound == 0 { throw ValidationError("--bound must be from 1 with pct; found 0") }
    if seed != nil, strategy != .random, strategy != .pct {
      throw ValidationError("--seed needs --strategy random or pct")
    }
    if let time, !(time > 0 && time <= 1_000_000) {
      throw ValidationError("--time must be above 0 and at most 1000000 seconds; found \(time)")
    }
    if let executions, executions < 1 {
      throw ValidationError("--executions must be from 1; found \(executions)")
    }
    if !(0...100).contains(faults) {
      throw ValidationError("--faults must be from 0 to 100; found \(faults)")
    }
    if replay != nil, strategy != nil { throw ValidationError("--replay excludes --strategy") }
  }

  func run() throws {
    guard let scenario = try scenario.map(ScenarioFiles.load) else { return try catalogue.run(json: json) }
    let stop = ExploreStop()
    let interrupt = Interrupt { stop.stop() }
    let report: ExploreReport
    do throws(HoldfastLabExplored.RunFailure) {
      report = try ScenarioExplorer.explore(scenario, options(stop))
    } catch {
      switch error {
      case .badInput(let text): throw Failure.badInput(text)
      case .cannotRun(let text): throw Failure.cannotRun(text)
      case .internalError(let text): throw Failure.internalError(text)
      }
    }
    interrupt.end()
    try Console.write(
      json ? try JSONText.render(report) : ExploreText.render(report, palette: Console.palette))
    throw Failure.said(exitCode: report.exitCode)
  }

  private func options(_ stop: ExploreStop) -> ExploreOptions {
    var options = ExploreOptions()
    options.policy = policy
    options.executions = executions
    options.faults = faults
    options.without = without
    options.time = time.map { .seconds($0) } ?? (executions == nil ? .seconds(60) : nil)
    options.stop = stop
    if let replay { options.search = .replay(replay) }
    switch strategy {
    case .bounded: options.search = .bounded(upTo: bound ?? 2)
    case .exhaustive: options.search = .exhaustive
    case .random: options.search = .random(seed: seed ?? 1)
    case .pct: options.search = .priorities(depth: bound ?? 3, seed: seed ?? 1)
    case nil: break
    }
    return options
  }
}

/// Takes ctrl-C for a wish to see what there is; a second one ends the program.
final class Interrupt {
  private let source: any DispatchSourceSignal

  init(_ first: @escaping @Sendable () -> Void) {
    signal(SIGINT, SIG_IGN)
    source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
    source.setEventHandler {
      first()
      signal(SIGINT, SIG_DFL)
    }
    source.resume()
  }

  func end() {
    source.cancel()
    signal(SIGINT, SIG_DFL)
  }
}
