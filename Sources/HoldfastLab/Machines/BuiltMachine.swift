import Holdfast
import HoldfastLinux
import HoldfastScenario
import Interleaving

/// A machine that is ready for the actors, and where it comes from.
struct BuiltMachine {
  let machine: Machine
  let summary: MachineSummary

  init(
    _ scenario: Scenario, _ options: RunOptions, _ policy: PlacementPolicy, _ log: TraceLog?
  ) throws(RunFailure) {
    let backing: FrameBacking = options.ground == .memory ? .memfd : .none
    var sink: TraceSink?
    if let log { sink = { event in log.record(event) } }
    switch options.machine {
    case .configured:
      let configuration: MachineConfiguration
      do {
        configuration = try MachineConfiguration(scenario.machine, policy: policy, backing: backing)
        machine = try Machine(configuration, trace: sink)
      } catch {
        throw RunFailure.badInput("\(scenario.file): \(error)")
      }
      summary = Self.summary(machine, .configured, source: nil, changes: [])
    case .live:
      (machine, summary) = try Self.fromHost(.live, .live, scenario, policy, backing, sink)
    case .snapshot(let directory):
      (machine, summary) = try Self.fromHost(
        .directory(directory), .snapshot, scenario, policy, backing, sink)
    }
  }

  private static func fromHost(
    _ files: HostFiles, _ origin: MachineSummary.Origin, _ scenario: Scenario, _ policy: PlacementPolicy,
    _ backing: FrameBacking, _ sink: TraceSink?
  ) throws(RunFailure) -> (Machine, MachineSummary) {
    let snapshot: HostSnapshot
    do { snapshot = try HostSnapshot.read(from: files) } catch {
      // If a live host cannot be read, the ground cannot run here; a bad copy is bad input.
      throw origin == .live ? RunFailure.cannotRun("\(error)") : RunFailure.badInput("\(error)")
    }
    var host = HostMachine(snapshot, policy: policy, backing: backing)
    do {
      try host.reserveAreas(scenario.machine)
      let machine = try Machine(host.configuration, trace: sink)
      try host.occupy(machine)
      try host.apply(scenario.machine.liveChanges, to: machine)
      let source =
        switch files {
        case .live: "Linux \(snapshot.kernelRelease ?? "of unknown version")"
        case .directory(let path): path
        }
      return (machine, summary(machine, origin, source: source, changes: host.changes))
    } catch let error as ConfigurationError {
      throw RunFailure.badInput("the host's machine cannot be modelled: \(error)")
    } catch let error as HostMachineError {
      throw RunFailure.cannotRun(error.description)
    } catch {
      throw RunFailure.internalError("\(error)")
    }
  }

  private static func summary(
    _ machine: Machine, _ origin: MachineSummary.Origin, source: String?, changes: [String]
  ) -> MachineSummary {
    let present = machine.zones.reduce(UInt64(0)) { $0 + machine.buddy.zone($1).present.load() }
    return MachineSummary(
      origin: origin, source: source, frames: present,
      blockBytes: UInt64(machine.geometry.blockFrames * pageSize), nodes: machine.configuration.nodes.count,
      cpus: machine.configuration.processors, changes: changes)
  }
}
