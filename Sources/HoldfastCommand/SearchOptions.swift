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
    help: ArgumentHelp(
      "Most preemptions of an execution; with random priorities, how often they change, plus one.",
      valueName: "n"))
  var bound: Int?

  @Option(help: ArgumentHelp("Most executions.", valueName: "n"))
  var executions: Int?

  @Option(help: ArgumentHelp("Most seconds in total.", valueName: "seconds"))
  var time: Double?

  @Option(
    help: ArgumentHelp(
      "Let up to this many allocations, isolations, page locks, copies, unmaps and charges of an execution fail.",
      valueName: "n"))
  var faults: Int?

  func validate() throws {
    if let bound, !(0...1000).contains(bound) {
      throw ValidationError("--bound must be from 0 to 1000; found \(bound)")
    }
    if let executions, executions < 1 {
      throw ValidationError("--executions must be from 1; found \(executions)")
    }
    if let time, !(time > 0 && time <= 1_000_000) {
      throw ValidationError("--time must be above 0 and at most 1000000 seconds; found \(time)")
    }
    if let faults, !(0...100).contains(faults) {
      throw ValidationError("--faults must be from 0 to 100; found \(faults)")
    }
  }

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
