import Holdfast
import HoldfastScenario

/// A machine that is explored: small, with a processor for each actor, and its processes made.
struct ExploredMachine {
  /// Most bytes of state.
  static let largest = 64 << 10

  let machine: Machine
  let policy: PolicyName
  /// By the name of the actor that owns it.
  private(set) var processes: [String: Process] = [:]
  /// By actor.
  private(set) var threads: [String: Process] = [:]
  /// The processor of each actor.
  let processors: [String: Int]

  /// Builds the machine of a scenario.
  ///
  /// - Throws: `RunFailure` where the scenario cannot be run, or its machine is too large to be explored.
  init(_ scenario: Scenario, policy policyName: PolicyName, without safeguards: [String]) throws(RunFailure) {
    let missing = EngineLimits.missing(in: scenario)
    guard missing.isEmpty else {
      throw RunFailure.cannotRun(
        "\(scenario.name): the engine does not model \(missing.joined(separator: ", "))")
    }
    guard let policy = PlacementPolicy(name: policyName.rawValue) else {
      throw RunFailure.internalError("the engine does not know the policy \(policyName)")
    }
    self.policy = policyName
    var without: Set<Safeguard> = []
    for name in safeguards {
      guard let safeguard = Safeguard(name: name) else {
        throw RunFailure.badInput(
          "--without: found \"\(name)\", expected one of "
            + Safeguard.allCases.map(\.name).joined(separator: ", "))
      }
      without.insert(safeguard)
    }
    let (spec, processors) = Self.spread(scenario)
    do {
      var configuration = try MachineConfiguration(spec, policy: policy, backing: .none)
      let hasDevices = scenario.actors.contains {
        $0.steps.contains { [.container, .device].contains($0.verb.word) }
      }
      configuration.limits = hasDevices ? .explored.withDevices : .explored
      configuration.without = without
      let adds = scenario.actors.contains { $0.steps.contains { $0.verb.word == .add } }
      if !adds { configuration.hotplugFrames = 0 }
      let size = try Machine.stateSize(of: configuration)
      guard size <= Self.largest else {
        throw RunFailure.badInput(
          "\(scenario.file): the state of its machine takes \(size) bytes, expected at most \(Self.largest) "
            + "to explore it; a machine of 64 frames with \"page-tables: 2\" and \"block: 16 frames\" fits")
      }
      machine = try Machine(configuration)
    } catch let error as ConfigurationError {
      throw RunFailure.badInput("\(scenario.file): \(error)")
    } catch let error as RunFailure {
      throw error
    } catch {
      throw RunFailure.internalError("\(error)")
    }
    self.processors = processors
    try createProcesses(scenario)
  }

  private mutating func createProcesses(_ scenario: Scenario) throws(RunFailure) {
    // Children of forks come when they are forked, and their threads with them.
    let children = Set(scenario.actors.filter { $0.forkOf != nil }.map(\.name))
    let actors = scenario.actors.filter { !children.contains($0.process) }
    // Threads after processes, whatever the order in the file.
    for actor in actors.filter({ $0.sharing == nil }) + actors.filter({ $0.sharing != nil }) {
      let processor = processors[actor.name] ?? 0
      do {
        if let owner = actor.sharing.flatMap({ processes[$0] }) {
          threads[actor.name] = try machine.createThread(of: owner, processor: processor)
        } else {
          processes[actor.name] = try machine.createProcess(
            name: actor.name, processor: processor, memlockLimit: actor.memlock.engineBytes,
            capabilities: actor.mayLockMemory ? .ipcLock : [])
        }
      } catch {
        throw RunFailure.badInput("\(actor.location): \(error)")
      }
    }
  }

  /// The scenario's machine with a processor for each actor, since two that act at once need two.
  ///
  /// An actor stays on its node; where a node has fewer processors than actors it gets more.
  private static func spread(_ scenario: Scenario) -> (MachineSpec, processors: [String: Int]) {
    var spec = scenario.machine
    var nodeOf: [Int] = []
    for (node, each) in spec.nodes.enumerated() { nodeOf += Array(repeating: node, count: each.cpus) }
    var actors: [[String]] = spec.nodes.map { _ in [] }
    for actor in scenario.actors {
      actors[nodeOf[min(actor.cpu, nodeOf.count - 1)]].append(actor.name)
    }
    var processors: [String: Int] = [:]
    var first = 0
    for node in spec.nodes.indices {
      for (index, name) in actors[node].enumerated() { processors[name] = first + index }
      // Processors without an actor would be drained and summed for nothing.
      spec.nodes[node].cpus = max(1, actors[node].count)
      first += spec.nodes[node].cpus
    }
    return (spec, processors)
  }
}
