import ArgumentParser
import FoundationEssentials
import HoldfastLab
import HoldfastReport
import HoldfastScenario

/// Holds the engine against a real kernel.
struct ConformCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "conform",
    abstract: "Run scenarios on a real kernel, and see whether the engine allows every state it ends in.",
    discussion: """
      The engine runs a scenario under every order of precedence of its actors (of more than five: file order and \
      its rotations), in which an actor goes on until it has to wait, or gives way after every step. The states \
      that it ends in are those that are allowed. Recordings of the kernel's states are in Conformance/, and Conformance/differences.yaml \
      explains those that the engine forbids.

      Exit codes: 0 every state is allowed or explained, 1 some are forbidden, 2 input that cannot be used, a \
      recording of another text or an explanation that nothing needs, 3 there is no kernel to run \
      on, or it was lost.
      """)

  @Argument(help: "Scenario files, or names of those below Scenarios/; all that are recorded unless given.")
  var scenarios: [String] = []

  @Flag(help: "Compare with the recordings in Conformance/ instead of running the kernel.")
  var recorded = false

  @Flag(help: "Write what the kernel showed to Conformance/, in place of older recordings.")
  var record = false

  @Flag(help: "Print Documentation/Conformance.md, from the recordings.")
  var table = false

  @Option(
    name: .customLong("repeat"), parsing: .unconditional,
    help: ArgumentHelp("How often the kernel runs each scenario.", valueName: "n"),
    transform: NumberOption.whole(1...100_000))
  var repeats = 10

  @Flag(help: "Print the comparison as JSON.")
  var json = false

  func validate() throws {
    if record, recorded || table { throw ValidationError("--record excludes --recorded and --table") }
    if table, json || !scenarios.isEmpty {
      throw ValidationError("--table is of all recordings, and Markdown: it excludes scenarios and --json")
    }
  }

  func run() throws {
    let differences = try ConformFolder.differences()
    let (report, lost) =
      recorded || table ? (try compareRecordings(differences), 0) : try compareKernel(differences)
    for difference in report.staleDifferences {
      Console.warn(
        "\(difference.location): \(difference.text) of \(difference.scenario) explains no recorded state")
    }
    if table {
      try Console.write(ConformTable.render(report, differences: differences))
    } else {
      try Console.write(
        json ? try JSONText.render(report) : ConformText.render(report, palette: Console.palette))
    }
    throw Failure.said(exitCode: report.exitCode == 0 && lost > 0 ? 3 : report.exitCode)
  }

  // MARK: Recordings

  private func compareRecordings(_ differences: [KnownDifference]) throws(Failure) -> ConformReport {
    let shipped = try Self.shipped()
    var judge = ConformJudge(differences)
    var entries: [ConformReport.Entry] = []
    let chosen = try chosen()
    let names = chosen.isEmpty ? try ConformFolder.recorded() : chosen.map(\.name)
    for name in names {
      let log = try ConformFolder.load(name)
      guard let scenario = (chosen.isEmpty ? shipped : chosen).first(where: { $0.name == name }) else {
        entries.append(ConformJudge.orphan(log))
        continue
      }
      entries.append(try Self.judge(&judge, log, scenario))
    }
    return ConformReport(
      entries: entries, staleDifferences: judge.staleDifferences(scenarios: Set(shipped.map(\.name) + names)))
  }

  private static func judge(
    _ judge: inout ConformJudge, _ log: ConformanceLog, _ scenario: Scenario
  ) throws(Failure) -> ConformReport.Entry {
    let policy = log.header.policy
    return try Failure.rethrow { () throws(RunFailure) in
      try judge.judge(log, of: scenario) { leftOut throws(RunFailure) in
        try AllowedStates.collect(scenario, policy: policy, leavingOut: leftOut)
      }
    }
  }

  // MARK: The kernel

  /// The comparison, and for how many scenarios the kernel was lost.
  private func compareKernel(
    _ differences: [KnownDifference]
  ) throws(Failure) -> (report: ConformReport, lost: Int) {
    var judge = ConformJudge(differences)
    var entries: [ConformReport.Entry] = []
    var lost = 0
    let ground = KernelGround()
    for scenario in try scenarios.isEmpty ? Self.known() : chosen() {
      guard let log = try observe(scenario, on: ground) else {
        lost += 1
        continue
      }
      if record { try ConformFolder.write(log) }
      entries.append(try Self.judge(&judge, log, scenario))
    }
    // What one day's runs do not show may show in others: only recordings make a difference stale.
    return (ConformReport(entries: entries, staleDifferences: []), lost)
  }

  /// What the kernel shows; nil if it was lost, which is said and keeps none of the others from being run.
  private func observe(
    _ scenario: Scenario, on ground: KernelGround
  ) throws(Failure) -> ConformanceLog? {
    let day = Date.now.formatted(.iso8601.year().month().day())
    let policy = KernelGround.policy
    switch try ground.runs(scenario, policy: policy, repeats: repeats, on: .guest) {
    case .runs(let reports, let kernel):
      guard let log = ConformanceLog(reports, of: scenario, on: kernel, recorded: day) else {
        throw .internalError("the kernel's ground did not run \(scenario.name)")
      }
      return log
    case .lost(let how):
      Console.complain("\(scenario.name): \(how)")
      return nil
    case .refused(let why, let kernel):
      return ConformanceLog(refused: why, scenario: scenario, policy: policy, on: kernel, recorded: day)
    }
  }

  // MARK: Scenarios

  private func chosen() throws(Failure) -> [Scenario] {
    var result: [Scenario] = []
    for word in scenarios {
      let scenario = try ScenarioFiles.load(word)
      if result.contains(where: { $0.name == scenario.name }) {
        throw .badInput("\"\(scenario.name)\" is given twice")
      }
      result.append(scenario)
    }
    return result
  }

  /// The shipped ones that have a recording: others are about what no kernel's interface offers.
  private static func known() throws(Failure) -> [Scenario] {
    let recorded = try ConformFolder.recorded()
    return try shipped().filter { recorded.contains($0.name) }
  }

  /// The shipped ones, of which every one must be readable.
  private static func shipped() throws(Failure) -> [Scenario] {
    var all: [Scenario] = []
    for path in try ScenarioFiles.list(below: ScenarioFiles.folder) {
      all.append(try ScenarioFiles.load(path))
    }
    return all
  }
}
