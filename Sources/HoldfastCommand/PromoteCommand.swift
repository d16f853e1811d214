import ArgumentParser
import FoundationEssentials
import HoldfastLabExplored
import HoldfastReport
import HoldfastScenario

/// Rewrites the outcome files beside scenarios, or compares them with what exploring finds.
struct PromoteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "promote",
    abstract: "Write the outcomes of exploring a scenario into the .expected file beside it.",
    discussion: """
      Without arguments: every scenario below Scenarios/ that has such a file. The file names its policy \
      and its search; a new one is searched exhaustively, or with 2, 1 or 0 preemptions where that does not end \
      within \(Self.mostOfNew) executions. Exit codes: 0 done, or with --check no difference, 1 a difference, 2 usage or \
      input that cannot be used.
      """)

  /// Most executions of the search of a new file, so that many files can be held in a test.
  static let mostOfNew = 50_000

  @Argument(help: "Scenario files, or names of those below Scenarios/.")
  var scenarios: [String] = []

  @Flag(help: "Write nothing; print what differs.")
  var check = false

  func run() throws {
    var files = scenarios
    if files.isEmpty {
      files = try ScenarioFiles.list(below: ScenarioFiles.folder).filter { path in
        FileManager.default.fileExists(atPath: OutcomeFile.path(beside: path))
      }
      guard !files.isEmpty else {
        throw Failure.badInput(
          "no scenario below \(ScenarioFiles.folder)/ has an \(OutcomeFile.suffix) file; name one to make its file"
        )
      }
    }
    var differing = 0
    for file in files where try !promote(try ScenarioFiles.load(file)) { differing += 1 }
    if check, differing > 0 {
      try Console.write("\(differing) of \(files.count) differ; if they should: holdfast promote\n")
      throw Failure.said(exitCode: 1)
    }
  }

  /// Writes or compares one file; false if it differs.
  private func promote(_ scenario: Scenario) throws -> Bool {
    let path = OutcomeFile.path(beside: scenario.file)
    let old = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    let text: String
    if let old {
      let head: OutcomeFile
      do throws(ScenarioError) {
        head = try OutcomeFile(text: old, file: path)
      } catch {
        throw Failure(error)
      }
      guard let found = try explore(scenario, head, within: OutcomeFile.mostExecutions) else {
        throw Failure.badInput(
          "\(path): the search \"\(head.search)\" does not end within \(OutcomeFile.mostExecutions) executions; "
            + "expected one that does, such as \"at most 1 preemption\"")
      }
      text = found
    } else {
      guard !check else {
        throw Failure.badInput("\(path): there is no such file; holdfast promote \(scenario.file) makes it")
      }
      text = try firstText(scenario)
    }
    if old == text {
      try Console.write("same       \(path)\n")
      return true
    }
    if check {
      try Console.write("different  \(path)\n")
      for line in OutcomeFile.differences(from: old ?? "", to: text) { try Console.write("  \(line)\n") }
      return false
    }
    do {
      try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw Failure.badInput("\(path): cannot be written: \(error)")
    }
    try Console.write((old == nil ? "new        " : "rewritten  ") + path + "\n")
    return false
  }

  /// The text of a new file: the widest search that ends soon.
  private func firstText(_ scenario: Scenario) throws -> String {
    for search in [OutcomeFile.Search.exhaustive, .bounded(2), .bounded(1), .bounded(0)] {
      let head = OutcomeFile(policy: scenario.policy, search: search)
      if let text = try explore(scenario, head, within: Self.mostOfNew) { return text }
    }
    throw Failure.badInput(
      "\(scenario.file): found more than \(Self.mostOfNew) executions without a preemption, expected fewer")
  }

  /// The text of the file, or nil if its search does not end within that many executions.
  private func explore(_ scenario: Scenario, _ head: OutcomeFile, within executions: Int) throws -> String? {
    var options = ExploreOptions(head)
    options.executions = executions
    // The smallest execution of a finding is nothing that a file holds.
    options.minimising = 0
    let report = try Failure.rethrow { () throws(RunFailure) in
      try ScenarioExplorer.explore(scenario, options)
    }
    return report.isRepeatable ? head.text(report) : nil
  }
}
