import ArgumentParser
import HoldfastLabExplored
import HoldfastScenario

/// How far an exploration goes, and under which rules.
struct SearchOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Whose pinning rules hold, instead of the scenario's.", valueName: "name"),
    transform: PolicyWords.policy)
  var policy: PolicyName?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Most preemptions of an execution; with random priorities, how often they change, plus one.",
      valueName: "n"), transform: NumberOption.whole(0...1000))
  var bound: Int?

  @Option(
    parsing: .unconditional, help: ArgumentHelp("Most executions.", valueName: "n"),
    transform: NumberOption.whole(1...Int.max))
  var executions: Int?

  @Option(
    parsing: .unconditional, help: ArgumentHelp("Most seconds in total.", valueName: "seconds"),
    transform: NumberOption.seconds)
  var time: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Let up to this many allocations, isolations, page locks, copies, unmaps and charges of an execution fail.",
      valueName: "n"), transform: NumberOption.whole(0...100))
  var faults: Int?

  /// Whether any of these options was given.
  var isGiven: Bool {
    policy != nil || bound != nil || executions != nil || time != nil || faults != nil
  }

  /// Options of an exploration within these limits.
  var exploreOptions: ExploreOptions {
    var options = ExploreOptions()
    options.policy = policy
    options.executions = executions
    options.time = time.map { .seconds($0) }
    options.faults = faults ?? 0
    return options
  }
}
