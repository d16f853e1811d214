import Holdfast

/// What the table calls the engine's side.
let engine = "Holdfast"

extension MachineConfiguration {
  /// The twin's machine: one node, all of it ZONE_NORMAL, no bytes behind the frames unless asked for.
  static func bench(pages: Int = zonePages, processors: Int = 2, bytes: Bool = false) -> MachineConfiguration
  {
    var configuration = MachineConfiguration(frames: pages, processors: processors)
    configuration.dmaLimit = FrameNumber(0)
    configuration.dma32Limit = FrameNumber(0)
    configuration.backing = bytes ? .memfd : .none
    return configuration
  }
}

/// A machine and one process on each of its processors: thread i of a side acts for process i.
final class EngineMachine: Sendable {
  let machine: Machine
  private let ids: [UncheckedProcess]

  init(_ configuration: MachineConfiguration) throws {
    let machine = try Machine(configuration)
    self.machine = machine
    ids = try (0..<configuration.processors).map {
      UncheckedProcess(try machine.createProcess(name: "bench \($0)", processor: $0))
    }
  }

  /// The process that thread `thread` acts for.
  func process(_ thread: Int = 0) -> Process { ids[thread].process }
}

/// A process's handle, kept where threads can reach it; each acts for its own process only.
private struct UncheckedProcess: @unchecked Sendable {
  let process: Process

  init(_ process: Process) { self.process = process }
}
