import Holdfast
import HoldfastScenario
import Interleaving

/// A worker of an exploration: a machine of its own, and the scenario's program on it.
final class ScenarioWorker {
  let machine: ExploredMachine
  let run: ExploredRun
  let program: ExploredProgram

  /// Builds the machine.
  ///
  /// - Throws: `RunFailure` where the scenario cannot be explored.
  init(_ scenario: Scenario, _ options: ExploreOptions) throws(RunFailure) {
    guard !scenario.actors.isEmpty else {
      throw RunFailure.badInput("\(scenario.file): there is nothing to explore without actors")
    }
    let most = ExploredProgram.maximumActors / (options.storeBuffers ? 2 : 1)
    guard scenario.actors.count <= most else {
      throw RunFailure.badInput(
        "\(scenario.file): found \(scenario.actors.count) actors, expected at most \(most) to explore them"
          + (options.storeBuffers ? " with store buffers" : ""))
    }
    let machine = try ExploredMachine(
      scenario, policy: options.policy ?? scenario.policy, without: options.without)
    // A store that waits in a buffer is not yet in the tables that are checked after a step.
    let run = ExploredRun(
      scenario, machine, findsFailures: options.faults == 0, checksSteps: !options.storeBuffers)
    self.machine = machine
    self.run = run
    program = ExploredProgram(
      identity: "\(scenario.textHash) \(machine.policy) \(options.without.sorted()) \(options.faults) "
        + "\(options.storeBuffers ? "buffered " : "")\(BuildIdentity.hash)",
      actors: scenario.actors.indices.map { number in
        ExploredProgram.Actor(name: scenario.actors[number].name) { run.act(number) }
      },
      stepNames: run.stepNames, restore: { run.restore() })
  }

  /// This worker's part of a search.
  var job: ExplorationJob {
    ExplorationJob(program, check: run.violation, surround: { body in self.run.listening { body() } })
  }

  /// Runs something that explores, and turns its error into a `RunFailure`.
  func exploring<Result>(_ body: () throws(ExplorationError) -> Result) throws(RunFailure) -> Result {
    do throws(ExplorationError) {
      return try run.listening { () throws(ExplorationError) in try body() }
    } catch {
      throw RunFailure.internalError("\(error)")
    }
  }

  /// What a word is that an operation named; empty if it is not known.
  func name(of address: UInt) -> String {
    run.name(of: address) ?? machine.machine.observation.stateName(at: address)
  }

  /// A sentence with names instead of addresses, which differ from run to run.
  func named(_ text: String) -> String {
    text.split(separator: " ", omittingEmptySubsequences: false).map { word in
      let digits = word.dropFirst(2).prefix { $0.isHexDigit }
      guard word.hasPrefix("0x"), let address = UInt(digits, radix: 16) else { return String(word) }
      let name = name(of: address)
      return name.isEmpty ? String(word) : name + word.dropFirst(2 + digits.count)
    }.joined(separator: " ")
  }

  /// The operations of an execution, with what they did to their words.
  ///
  /// The execution is repeated, and every word looked at before and after the operation that names it.
  func operations(
    of schedule: Schedule, _ settings: ExplorationSettings
  ) throws(RunFailure) -> [ExploreReport.ExecutedOperation] {
    let machine = machine.machine
    var before: [UInt8] = []
    var values: [String?] = []
    var program = program
    let restore = program.restore
    program.restore = {
      restore()
      before = Array(machine.state)
    }
    let report = try exploring { () throws(ExplorationError) in
      try Exploration.run(program, strategy: .replay(schedule), settings: settings) { moment in
        if moment.isEnd { return nil }
        while values.count + 1 < moment.step { values.append(nil) }
        values.append(
          machine.observation.stateChange(
            at: moment.address, since: before, isWrite: moment.kind.changesItsWord))
        before.withUnsafeMutableBytes { $0.copyMemory(from: machine.state) }
        return nil
      }
    }
    return report.steps.enumerated().map { index, step in
      ExploreReport.ExecutedOperation(
        actor: step.actor, step: step.name, kind: step.kind, word: name(of: step.address),
        value: index < values.count ? values[index] : nil)
    }
  }
}

extension PointKind {
  /// Whether the operation may change the word that it names.
  fileprivate var changesItsWord: Bool {
    switch self {
    case .load, .plainLoad, .awaitClear: false
    default: true
    }
  }
}
