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
      Without --strategy: at most 0, 1 and 2 preemptions, and then one execution of every trace. --bound is 2 with \
      bounded and 3 with pct unless given. Without --time and --executions it ends after 60 seconds. Exit codes: 0 no \
      finding, and every expectation (without --faults) and condition is met in every execution; 1 if not; 2 usage \
      or input that cannot be used.
      """)

  /// How executions are chosen.
  enum Strategy: String, ExpressibleByArgument, CaseIterable {
    case bounded, exhaustive, random, pct
  }

  @Argument(help: "A scenario file, or the name of one below Scenarios/.")
  var scenario: String?

  @OptionGroup var catalogue: CatalogueOptions

  @Option(help: "How executions are chosen.")
  var strategy: Strategy?

  @OptionGroup var limits: SearchOptions

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("With random or pct: where the random numbers begin.", valueName: "n"),
    transform: NumberOption.whole(0...UInt64.max))
  var seed: UInt64?

  @Option(
    help: ArgumentHelp(
      "Take a fix out of the engine; `holdfast safeguards` lists them. May be given several times.",
      valueName: "safeguard"))
  var without: [String] = []

  @Option(help: ArgumentHelp("Repeat the execution of a finding, as its line says.", valueName: "line"))
  var replay: String?

  @Flag(help: "Let the stores of an actor reach the others late, as on x86; at most 8 actors.")
  var storeBuffers = false

  @Flag(help: "In bounded searches, end an execution early that reaches a state of an earlier one.")
  var merge = false

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Explore with this many threads, each on its own machine.", valueName: "n"),
    transform: NumberOption.whole(1...64))
  var jobs = 1

  @Option(
    help: ArgumentHelp("Write a checkpoint to this file if the exploration ends early.", valueName: "file")
  )
  var checkpoint: String?

  @Option(help: ArgumentHelp("Continue from a checkpoint, with the same options.", valueName: "file"))
  var resume: String?

  @Option(
    help: ArgumentHelp(
      "Write the first finding, or the replay, as Chrome trace events, which Perfetto opens.",
      valueName: "file"))
  var trace: String?

  @Flag(help: "Print the report as JSON.")
  var json = false

  func validate() throws {
    try catalogue.validate(against: self)
    if limits.bound != nil, strategy != .bounded, strategy != .pct {
      throw ValidationError("--bound needs --strategy bounded or pct")
    }
    if strategy == .pct, limits.bound == 0 {
      throw ValidationError("--bound must be from 1 with pct; found 0")
    }
    if seed != nil, strategy != .random, strategy != .pct {
      throw ValidationError("--seed needs --strategy random or pct")
    }
    if replay != nil {
      if strategy != nil { throw ValidationError("--replay excludes --strategy") }
      if checkpoint != nil || resume != nil {
        throw ValidationError("--replay excludes --checkpoint and --resume")
      }
    }
    if merge {
      if checkpoint != nil || resume != nil {
        throw ValidationError("--merge excludes --checkpoint and --resume: what was seen is not kept")
      }
      if strategy != nil, strategy != .bounded { throw ValidationError("--merge needs a bounded search") }
    }
  }

  func run() throws {
    guard let scenario = try scenario.map(ScenarioFiles.load) else { return try catalogue.run(json: json) }
    let keeper = try checkpoint.map { try CheckpointFile($0) }
    var former: ExploreCheckpoint?
    if let resume {
      let contents = try CheckpointFile.read(resume)
      former = try Failure.rethrow { () throws(RunFailure) in try ExploreCheckpoint(contents, file: resume) }
    }
    guard let trace else {
      try finish(try explored(scenario, from: former, keeper))
      return
    }
    let file = try TraceFile(trace)
    let result: Explored
    do {
      result = try explored(scenario, from: former, keeper)
    } catch {
      file.discard()
      throw error
    }
    if let execution = result.report.execution {
      try file.write { try TraceText.render(result.report, execution) }
    } else {
      file.discard()
      Console.warn("nothing was found, so no trace was written")
    }
    try finish(result)
  }

  /// A report, and why the checkpoint is not there if it could not be kept.
  private typealias Explored = (report: ExploreReport, unkept: Failure?)

  private func explored(
    _ scenario: Scenario, from former: ExploreCheckpoint?, _ keeper: CheckpointFile?
  ) throws -> Explored {
    let stop = ExploreStop()
    let interrupt = Interrupt { stop.stop() }
    defer { interrupt.end() }
    var options = options(stop)
    options.resume = former
    var checkpoint: ExploreCheckpoint?
    var unkept: Failure?
    options.keep = { place in
      checkpoint = place
      guard let keeper else { return }
      do throws(Failure) {
        try keeper.write(try Failure.rethrow { () throws(RunFailure) in try place.contents() })
      } catch {
        unkept = error
      }
    }
    let report = try Failure.rethrow { () throws(RunFailure) in
      try ScenarioExplorer.explore(scenario, options)
    }
    if let path = self.checkpoint, unkept == nil {
      Console.complain(
        checkpoint.map { "stopped after \($0.executions) executions; --resume \(path) continues" }
          ?? "nothing is left to do; no checkpoint was written")
    }
    return (report, unkept)
  }

  private func finish(_ result: Explored) throws {
    let report = result.report
    try Console.write(
      json ? try JSONText.render(report) : ExploreText.render(report, palette: Console.palette))
    if let unkept = result.unkept { throw unkept }
    throw Failure.said(exitCode: report.exitCode)
  }

  private func options(_ stop: ExploreStop) -> ExploreOptions {
    var options = limits.exploreOptions
    options.without = without
    if options.time == nil, options.executions == nil { options.time = .seconds(60) }
    options.stop = stop
    options.storeBuffers = storeBuffers
    options.merges = merge
    options.jobs = jobs
    options.showsExecution = trace != nil
    if let replay { options.search = .replay(replay) }
    switch strategy {
    case .bounded: options.search = .bounded(upTo: limits.bound ?? 2)
    case .exhaustive: options.search = .exhaustive
    case .random: options.search = .random(seed: seed ?? 1)
    case .pct: options.search = .priorities(depth: limits.bound ?? 3, seed: seed ?? 1)
    case nil: break
    }
    return options
  }
}

/// The first ctrl-C ends the work early and prints its results; a second one ends the program.
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
