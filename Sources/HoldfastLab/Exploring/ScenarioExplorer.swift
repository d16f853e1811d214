import Holdfast
public import HoldfastScenario
import Interleaving

/// Explores the interleavings of a scenario's actors on the engine.
public enum ScenarioExplorer {
  /// Runs the scenario in every order that the search asks for.
  ///
  /// The machine is built once, and put back before each execution. Invariants are checked at the end of each.
  ///
  /// - Throws: `RunFailure` if the scenario cannot be explored, or a schedule is no use.
  public static func explore(_ scenario: Scenario, _ options: ExploreOptions) throws(RunFailure)
    -> ExploreReport
  {
    let machine = try ExploredMachine(
      scenario, policy: options.policy ?? scenario.policy, without: options.without)
    var exploration = try ScenarioExploration(scenario, machine, options)
    return try exploration.explore()
  }
}

/// One exploration: its passes, and what they found.
private struct ScenarioExploration {
  let scenario: Scenario
  let machine: ExploredMachine
  let options: ExploreOptions
  let run: ExploredRun
  let program: ExploredProgram
  var report: ExploreReport
  /// The first finding of each name.
  var findings: [Finding] = []
  var occurrences: [String: Int] = [:]
  let start = ContinuousClock.now

  init(_ scenario: Scenario, _ machine: ExploredMachine, _ options: ExploreOptions) throws(RunFailure) {
    guard !scenario.actors.isEmpty else {
      throw RunFailure.badInput("\(scenario.file): there is nothing to explore without actors")
    }
    guard scenario.actors.count <= ExploredProgram.maximumActors else {
      throw RunFailure.badInput(
        "\(scenario.file): found \(scenario.actors.count) actors, expected at most "
          + "\(ExploredProgram.maximumActors) to explore them")
    }
    self.scenario = scenario
    self.machine = machine
    self.options = options
    let run = ExploredRun(scenario, machine, findsFailures: options.faults == 0)
    self.run = run
    program = ExploredProgram(
      identity: "\(scenario.textHash) \(machine.policy) \(options.without.sorted()) \(options.faults) "
        + BuildIdentity.hash,
      actors: scenario.actors.indices.map { number in
        ExploredProgram.Actor(name: scenario.actors[number].name) { run.act(number) }
      },
      stepNames: run.stepNames, restore: { run.restore() })
    report = ExploreReport(scenario, policy: machine.policy, stateBytes: machine.machine.stateSize)
  }

  mutating func explore() throws(RunFailure) -> ExploreReport {
    for (strategy, name) in try searches() {
      guard try pass(strategy, name) else { break }
    }
    report.summarise(scenario)
    for finding in findings { report.findings.append(try shown(finding)) }
    return report
  }

  /// The searches to be made, in order.
  private func searches() throws(RunFailure) -> [(ExplorationStrategy, String)] {
    func bounded(_ bound: Int) -> [(ExplorationStrategy, String)] {
      (0...bound).map { (.preemptionBounded($0), "at most \($0) preemption\($0 == 1 ? "" : "s")") }
    }
    let exhaustive: [(ExplorationStrategy, String)] = [(.reduced, "one of each trace")]
    switch options.search {
    case .bounded(let bound): return bounded(bound)
    case .exhaustive: return exhaustive
    case .standard: return bounded(2) + exhaustive
    case .random(let seed): return [(.random(seed: seed), "random, seed \(seed)")]
    case .priorities(let depth, let seed):
      return [(.priorities(depth: depth, seed: seed), "random priorities of depth \(depth), seed \(seed)")]
    case .replay(let line):
      do throws(ExplorationError) {
        return [(.replay(try Schedule(line)), "the given schedule")]
      } catch {
        throw RunFailure.badInput("--replay: \(error)")
      }
    }
  }

  private var settings: ExplorationSettings {
    var settings = ExplorationSettings()
    settings.stopsAtFinding = options.stopsAtFinding
    settings.choiceBudget = options.faults
    settings.cancellation = options.stop?.flag
    return settings
  }

  /// Makes one search; false if it is the last.
  private mutating func pass(_ strategy: ExplorationStrategy, _ name: String) throws(RunFailure) -> Bool {
    var settings = settings
    if let time = options.time { settings.time = max(.zero, time - (ContinuousClock.now - start)) }
    if let executions = options.executions {
      settings.executions = max(0, executions - report.passes.reduce(0) { $0 + $1.executions })
    }
    var isReplay = false
    if case .replay = strategy { isReplay = true }
    let found: ExplorationReport
    do throws(ExplorationError) {
      found = try search(strategy, settings)
    } catch {
      throw isReplay ? RunFailure.badInput("--replay: \(error)") : RunFailure.internalError("\(error)")
    }
    let end: ExploreReport.End =
      switch found.end {
      case .exhausted: .exhausted
      case .boundReached: .boundReached
      case .finding, .replayed: .replayed
      case .executions: .executions
      case .time: .time
      case .cancelled: .interrupted
      }
    let elapsed = found.elapsed.components
    report.passes.append(
      ExploreReport.Pass(
        search: name, end: end, executions: found.counts.executions, completed: found.counts.completed,
        redundant: found.counts.redundant, steps: found.counts.steps, deepest: found.counts.deepest,
        seconds: Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18, states: run.takeStates().rows)
    )
    for finding in found.findings where !findings.contains(where: { $0.name == finding.name }) {
      findings.append(finding)
    }
    for (name, count) in found.occurrences { occurrences[name] = max(occurrences[name] ?? 0, count) }
    return end == .boundReached
  }

  private func search(
    _ strategy: ExplorationStrategy, _ settings: ExplorationSettings
  ) throws(ExplorationError) -> ExplorationReport {
    let run = run
    let program = program
    return try run.listening { () throws(ExplorationError) in
      try Exploration.run(program, strategy: strategy, settings: settings) { moment in
        moment.isEnd ? run.ended() : nil
      }
    }
  }

  // MARK: Findings

  /// A finding made small, in the words of the report.
  private func shown(_ finding: Finding) throws(RunFailure) -> ExploreReport.Finding {
    var finding = finding
    if case .replay = options.search {
    } else {
      finding = try minimised(finding)
    }
    return ExploreReport.Finding(
      kind: finding.kind.rawValue, name: finding.name, text: named(finding.text),
      occurrences: occurrences[finding.name] ?? 1, preemptions: finding.preemptions, runs: runs(of: finding),
      replay: finding.schedule.description)
  }

  private func minimised(_ finding: Finding) throws(RunFailure) -> Finding {
    let run = run
    let program = program
    let most = options.minimising
    let settings = settings
    do throws(ExplorationError) {
      return try run.listening { () throws(ExplorationError) in
        try Exploration.minimise(finding, of: program, settings: settings, executions: most) { moment in
          moment.isEnd ? run.ended() : nil
        }
      }
    } catch {
      throw RunFailure.internalError("\(error)")
    }
  }

  /// What a word is that an operation named; empty if nobody knows.
  private func name(of address: UInt) -> String {
    run.name(of: address) ?? machine.machine.stateName(at: address)
  }

  /// A sentence with names instead of addresses, which are other ones in every run.
  private func named(_ text: String) -> String {
    text.split(separator: " ", omittingEmptySubsequences: false).map { word in
      let digits = word.dropFirst(2).prefix { $0.isHexDigit }
      guard word.hasPrefix("0x"), let address = UInt(digits, radix: 16) else { return String(word) }
      let name = name(of: address)
      return name.isEmpty ? String(word) : name + word.dropFirst(2 + digits.count)
    }.joined(separator: " ")
  }

  /// The steps of an execution, those of one actor in one step of the scenario taken together.
  private func runs(of finding: Finding) -> [ExploreReport.Finding.Run] {
    var runs: [ExploreReport.Finding.Run] = []
    for (index, step) in finding.steps.enumerated() {
      let place = name(of: step.address)
      let last = place.isEmpty ? step.kind : "\(step.kind) \(place)"
      if let previous = runs.last, previous.actor == step.actor, previous.step == step.name {
        runs[runs.count - 1].count += 1
        runs[runs.count - 1].last = last
      } else {
        runs.append(
          ExploreReport.Finding.Run(
            actor: step.actor, step: step.name, first: index + 1, count: 1, last: last))
      }
    }
    return runs
  }
}
