import ArgumentParser
import HoldfastLab
import HoldfastScenario

/// What a scenario runs on.
struct GroundOptions: ParsableArguments {
  /// A machine that is not the scenario's own.
  enum MachineWord: String, ExpressibleByArgument, CaseIterable {
    case live
  }

  /// What backs a frame.
  enum FramesWord: String, ExpressibleByArgument, CaseIterable {
    case none, memfd
  }

  @Option(
    help: ArgumentHelp("Build the machine from this host (live); else the scenario says what it is."))
  var machine: MachineWord?

  @Option(
    help: ArgumentHelp("Build the machine from a folder that 'holdfast snapshot' wrote.", valueName: "dir"))
  var machineFrom: String?

  @Option(help: "Whether frames hold real memory (memfd), or only descriptors (none).")
  var frames = FramesWord.none

  func validate() throws {
    if machine != nil, machineFrom != nil {
      throw ValidationError("--machine and --machine-from exclude each other")
    }
  }

  /// Whether any of these options was given.
  var isGiven: Bool { machine != nil || machineFrom != nil || frames != .none }

  /// Options of a run on this ground.
  var runOptions: RunOptions {
    var options = RunOptions()
    if let machineFrom {
      options.machine = .snapshot(directory: machineFrom)
    } else if machine == .live {
      options.machine = .live
    }
    options.ground = frames == .memfd ? .memory : .model
    return options
  }
}
