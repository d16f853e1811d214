import ArgumentParser
import Glibc
import HoldfastLinux
import HoldfastScenario

/// The command and its verbs.
struct HoldfastCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "holdfast",
    abstract:
      "Pins pages for DMA in a machine's memory, and shows whether that memory can still be taken away.",
    discussion: """
      A scenario says what programs do with memory and what is expected of it; Documentation/Scenarios.md \
      describes the language. Results go to standard output, warnings and progress to standard error.

      Exit codes: 0 every expectation holds, 1 some do not, 2 usage or input that cannot be used, 3 this host \
      lacks something, 4 an internal error.
      """,
    version: "holdfast 0.1.0",
    subcommands: [
      RunCommand.self, CompareCommand.self, ConformCommand.self, ExploreCommand.self, PromoteCommand.self,
      GenerateCommand.self, ExperimentCommand.self, InvariantsCommand.self, SafeguardsCommand.self,
      PoliciesCommand.self,
      ScenariosCommand.self, SnapshotCommand.self, GuestCommand.self, GupTestVerb.self,
    ])
}

@main
enum Entry {
  static func main() {
    if GuestInit.isNeeded { GuestInit.main() }
    do {
      try refuseUnknownVerb(CommandLine.arguments.dropFirst().first)
      var arguments = Array(CommandLine.arguments.dropFirst())
      if arguments.first == GupTestVerb.configuration.commandName {
        arguments = GupTestVerb.unbundled(arguments)
      }
      var command = try HoldfastCommand.parseAsRoot(arguments)
      try command.run()
    } catch {
      exit(Failure.report(error))
    }
  }

  /// Names the verbs that exist; the parser would only report an unexpected argument.
  private static func refuseUnknownVerb(_ word: String?) throws(Failure) {
    guard let word, !word.hasPrefix("-") else { return }
    let verbs =
      HoldfastCommand.configuration.subcommands.compactMap { $0.configuration.commandName } + ["help"]
    guard !verbs.contains(word) else { return }
    throw .badInput(Failure.unknown("command", word, allowed: verbs))
  }
}
