import ArgumentParser
import HoldfastLinux
import HoldfastScenario

/// Saves the files that describe this host's memory.
struct SnapshotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot",
    abstract: "Save this host's memory layout, for 'run --machine-from' here or elsewhere.")

  @Argument(help: "An empty folder, or one to be made.")
  var dir: String

  func run() throws {
    try Console.write(Self.text(try Self.save(to: dir), in: dir))
  }

  private static func save(to directory: String) throws(Failure) -> HostSnapshot {
    do throws(HostReadError) {
      return try HostSnapshot.save(from: .live, to: directory)
    } catch {
      let isTarget = error.file == directory || error.file.hasPrefix(directory + "/")
      throw isTarget ? .badInput(error.description) : .cannotRun(error.description)
    }
  }

  private static func text(_ snapshot: HostSnapshot, in directory: String) -> String {
    let kernel = snapshot.kernelRelease.map { "kernel \($0)" } ?? "an unknown kernel"
    let online = snapshot.blocks.count { $0.state == .online }
    var text = "\(directory): the memory layout of this host, \(kernel)\n"
    text += "  \(snapshot.blocks.count) memory blocks of \(snapshot.blockSize >> 20) MiB, \(online) online\n"
    for zone in snapshot.zones where zone.present > 0 {
      text += "  node \(zone.node) zone \(zone.name): \(zone.present) pages present, \(zone.free) free\n"
    }
    for error in snapshot.missing { text += "  not saved: \(error)\n" }
    return text + "Use it with: holdfast run SCENARIO --machine-from \(directory)\n"
  }
}
