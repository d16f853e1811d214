import ArgumentParser
import HoldfastLinux
import HoldfastScenario

/// The guest: a real kernel to hold the model against.
struct GuestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "guest", abstract: "Build, try and enter the guest, a virtual machine with a real kernel.",
    subcommands: [Build.self, Check.self, Shell.self])

  /// Builds the kernel.
  struct Build: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "build", abstract: "Build the guest's kernel once, from Debian's package with its source.")

    @Option(
      help: ArgumentHelp("Keep the kernel's source, built, for its own tests.", valueName: "dir"))
    var keepSource: String?

    func run() throws {
      var isBuilt = false
      let kernel = try Failure.rethrow { () throws(GuestError) in
        try GuestKernel.build(keepingSourceIn: keepSource) { text in
          isBuilt = true
          Console.complain(text)
        }
      }
      let how = isBuilt ? "is built" : "is there already"
      try Console.write("Linux \(kernel.release) \(how): \(kernel.folder)\n")
    }
  }

  /// Boots a guest, and says how long that took.
  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "check", abstract: "Boot the guest, and say how long it took to get ready.")

    @OptionGroup
    var machine: MachineOptions

    func run() throws {
      let (ready, time) = try Failure.rethrow { () throws(GuestError) in
        let guest = try Guest(
          machine.machine, kernel: try GuestKernel.locate(), initramfs: try Initramfs())
        let result = (guest.ready, guest.bootTime)
        guest.halt()
        return result
      }
      let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
      let tenths = Int((seconds * 10).rounded())
      try Console.write("Linux \(ready.kernel) is ready after \(tenths / 10).\(tenths % 10) s\n")
    }
  }

  /// Gives a prompt in a guest.
  struct Shell: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "shell", abstract: "Boot the guest with a prompt on this terminal; Ctrl-A X ends it.")

    @OptionGroup
    var machine: MachineOptions

    func run() throws {
      let status = try Failure.rethrow { () throws(GuestError) in
        try GuestShell.run(machine.machine, kernel: try GuestKernel.locate())
      }
      throw Failure.said(exitCode: status)
    }
  }

  /// What the guest is like where no scenario says it.
  struct MachineOptions: ParsableArguments {
    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("Memory above what the kernel and the agent need, in MiB.", valueName: "MiB"),
      transform: NumberOption.whole(128...16384))
    var memory: UInt64 = 1024

    @Option(
      parsing: .unconditional,
      help: ArgumentHelp("How much of it is ZONE_MOVABLE, in MiB.", valueName: "MiB"),
      transform: NumberOption.whole(0...16384))
    var movable: UInt64 = 0

    @Option(parsing: .unconditional, help: "Number of CPUs.", transform: NumberOption.whole(1...16))
    var cpus = 2

    func validate() throws {
      guard movable <= memory else { throw ValidationError("--movable exceeds --memory, \(memory) MiB") }
      guard movable.isMultiple(of: GuestMachine.blockBytes >> 20) else {
        throw ValidationError("--movable must be whole memory blocks of 128 MiB; found \(movable) MiB")
      }
    }

    var machine: GuestMachine {
      GuestMachine(
        memory: memory << 20, movableBlocks: Int((movable << 20) / GuestMachine.blockBytes), cpus: cpus)
    }
  }
}
