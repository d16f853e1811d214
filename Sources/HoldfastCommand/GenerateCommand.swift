import ArgumentParser
import FoundationEssentials
import HoldfastLabExplored
import HoldfastReport
import HoldfastScenario

/// Combines operations into scenarios.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Combine operations into small scenarios, each done by an actor of its own at the same time.",
    discussion: """
      With --out the scenarios are written, with --explore each is explored, otherwise they are listed. --bound is 1 \
      and --executions of each scenario 2000 unless given; these, --time, --faults and --policy need --explore. Exit \
      codes: 0 done and nothing is found, 1 a finding, 2 usage or input that cannot be used.
      """)

  @Option(
    help: ArgumentHelp("What to combine, separated by commas; all unless given.", valueName: "names"))
  var operations: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("How many operations each scenario combines, 1 to 3.", valueName: "n"),
    transform: NumberOption.whole(ScenarioGenerator.sizes))
  var actors = 2

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Pages of the region that they are about, 1 or 2.", valueName: "n"),
    transform: NumberOption.whole(ScenarioGenerator.pageCounts))
  var pages = 1

  /// Of what kind the region's memory is.
  enum MemoryWord: String, ExpressibleByArgument, CaseIterable {
    case `private`, memfd, huge

    var memory: ScenarioGenerator.Memory {
      switch self {
      case .private: .private
      case .memfd: .memfd
      case .huge: .huge
      }
    }
  }

  @Option(help: "Of what kind the region's memory is; huge pages have four small ones here.")
  var memory = MemoryWord.private

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Take a random sample of this many scenarios.", valueName: "n"),
    transform: NumberOption.whole(1...Int.max))
  var sample: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("With --sample: where the random numbers begin (default 1).", valueName: "n"),
    transform: NumberOption.whole(0...UInt64.max))
  var seed: UInt64?

  @Option(
    help: ArgumentHelp(
      "Write a file for each scenario into this folder, over none that says something else.",
      valueName: "folder"))
  var out: String?

  @Flag(help: "List the operations instead.")
  var list = false

  @Flag(help: "Explore each scenario, and print a line for it.")
  var explore = false

  @OptionGroup var limits: SearchOptions

  func validate() throws {
    if seed != nil, sample == nil { throw ValidationError("--seed needs --sample") }
    if limits.isGiven, !explore {
      throw ValidationError("--bound, --executions, --time, --faults and --policy need --explore")
    }
  }

  func run() throws {
    if list {
      try Console.write(GenerateText.list(GeneratedOperation.all, palette: Console.palette))
      return
    }
    let generator = ScenarioGenerator(try chosen(), actors: actors, pages: pages, memory: memory.memory)
    let scenarios = sample.map { generator.sample($0, seed: seed ?? 1) } ?? generator.scenarios
    if let out { try write(scenarios, to: out) }
    if explore {
      try exploreAll(scenarios)
    } else if out == nil {
      for scenario in scenarios { try Console.write(scenario.name + "\n") }
    }
  }

  private func chosen() throws(Failure) -> [GeneratedOperation] {
    guard let operations else { return GeneratedOperation.all }
    var chosen: [GeneratedOperation] = []
    for word in operations.split(separator: ",") {
      guard let operation = GeneratedOperation.named(String(word)) else {
        throw .badInput(
          Failure.unknown("operation", String(word), allowed: GeneratedOperation.all.map(\.name)))
      }
      chosen.append(operation)
    }
    guard !chosen.isEmpty else { throw .badInput("--operations names none, expected at least one") }
    return chosen
  }

  private func write(_ scenarios: [ScenarioGenerator.Generated], to folder: String) throws {
    var isFolder = false
    if FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), !isFolder {
      throw Failure.badInput("\(folder): found a file, expected a folder")
    }
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let files = scenarios.map { (path: "\(folder)/\($0.name).yaml", text: Data($0.yaml.utf8)) }
      for file in files {
        if let old = FileManager.default.contents(atPath: file.path), old != file.text {
          throw Failure.badInput(
            "\(file.path): found a file that says something else, expected a folder to write it into")
        }
      }
      for file in files { try file.text.write(to: URL(filePath: file.path)) }
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure.badInput("\(folder): the scenarios cannot be written there: \(error)")
    }
    try Console.write(GenerateText.written(scenarios.count, to: folder))
  }

  // MARK: Exploring

  private func exploreAll(_ scenarios: [ScenarioGenerator.Generated]) throws {
    let begin = ContinuousClock.now
    let end = limits.time.map { begin + .seconds($0) }
    var sums = GenerateText.Sums()
    try Console.write(GenerateText.head)
    for generated in scenarios {
      let left = end.map { $0 - ContinuousClock.now }
      if let left, left <= .zero { break }
      let report = try explore(generated, within: left)
      sums.add(report)
      try Console.write(GenerateText.row(generated.name, report, palette: Console.palette))
    }
    try Console.write(GenerateText.conclusion(sums, of: scenarios.count, palette: Console.palette))
    throw Failure.said(exitCode: sums.failing == 0 ? 0 : 1)
  }

  private func explore(
    _ generated: ScenarioGenerator.Generated, within time: Duration?
  ) throws -> ExploreReport {
    var options = limits.exploreOptions
    options.search = .bounded(upTo: limits.bound ?? 1)
    options.executions = limits.executions ?? 2000
    options.time = time
    let scenario: Scenario
    do throws(ScenarioError) {
      scenario = try Scenario(yaml: generated.yaml, file: "\(generated.name).yaml")
    } catch {
      throw Failure.internalError("\(error)")
    }
    return try Failure.rethrow { () throws(RunFailure) in
      try ScenarioExplorer.explore(scenario, options)
    }
  }
}
