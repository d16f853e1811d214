import CLinux
import Glibc
public import HoldfastScenario

/// A running guest: QEMU, a kernel and our agent in it.
///
/// It leaves nothing behind. QEMU's files have no names, and the kernel kills QEMU when the thread that
/// started it ends. A guest therefore must be used and dropped by the thread that made it.
public struct Guest: ~Copyable {
  /// Lines of the console that an error shows.
  private static let tailLines = 30

  /// The agent's first message.
  public let ready: GuestReady
  /// From QEMU's start until then.
  public let bootTime: Duration
  private var qemu: HostProgram
  private var agent: LineChannel
  private var monitor: Monitor
  private let console: HostFile

  /// Boots a guest; it has `seconds` to get ready.
  public init(
    _ machine: GuestMachine, kernel: GuestKernel, initramfs: Initramfs, bootWithin seconds: Int = 120
  ) throws(GuestError) {
    let start = ContinuousClock.now
    let deadline = start + .seconds(seconds)
    let path = try Self.qemuPath()
    let image = try HostFile.open(kernel.image)
    let archive = try HostFile.memory("initramfs")
    try archive.append(initramfs.bytes)
    let disk = try Self.formattedDisk()
    let swap = try HostFile.temporary(bytes: GuestMachine.diskBytes)
    let console = try HostFile.memory("console")
    let agentPair = try LineChannel.pair()
    var agent = LineChannel(owning: agentPair.ours)
    let agentEnd = HostFile(owning: agentPair.theirs)
    let monitorPair = try LineChannel.pair()
    var monitor = Monitor(owning: monitorPair.ours)
    let monitorEnd = HostFile(owning: monitorPair.theirs)

    let boot = GuestBoot(
      kernel: "/proc/self/fd/3", initramfs: "/proc/self/fd/4", disk: "/proc/self/fd/5",
      swap: "/proc/self/fd/9",
      console: "file,path=/proc/self/fd/6", agent: 7, monitor: 8,
      environment: Self.environment(try kernel.configurationHash()))
    // QEMU's own messages go where the console goes.
    var qemu = try HostProgram(
      path, machine.arguments(boot),
      descriptors: [
        nil, console.descriptor, console.descriptor, image.descriptor, archive.descriptor, disk.descriptor,
        console.descriptor, agentEnd.descriptor, monitorEnd.descriptor, swap.descriptor,
      ])
    // QEMU has its own copies. Its end ends the streams only if no other copy is open.
    _ = consume agentEnd
    _ = consume monitorEnd

    let arrival = try agent.next(until: deadline)
    guard case .line(let line) = arrival else {
      throw Self.lost(arrival, &qemu, console, "without having booted", seconds)
    }
    guard case .ready(let ready) = try GuestProtocol.message(GuestMessage.self, line) else {
      throw .protocolBroken("found \(String(decoding: line.prefix(200), as: UTF8.self)), expected \"ready\"")
    }
    try monitor.greet()
    self.ready = ready
    bootTime = ContinuousClock.now - start
    self.qemu = qemu
    self.agent = agent
    self.monitor = monitor
    self.console = console
  }

  /// Runs a scenario the number of times requested, within `seconds` in all; `onStep` gets the ended steps.
  public mutating func run(
    _ request: RunRequest, within seconds: Int = 120, onStep: (StepRecord) -> Void = { _ in }
  ) throws(GuestRunError) -> [RunReport] {
    do {
      return try reports(request, seconds, onStep)
    } catch let error as GuestError {
      throw .guest(error)
    } catch let failure as GuestFailure {
      throw .scenario(failure)
    } catch {
      throw .scenario(GuestFailure("\(error)"))
    }
  }

  /// Asks the guest to end, and waits a short time for that.
  public consuming func halt() {
    guard let line = try? GuestProtocol.line(HostMessage.halt), agent.send(line) else { return }
    if !qemu.hasEnded(within: 5) { _ = qemu.kill() }
  }

  /// Sends a command to QEMU's monitor.
  mutating func ask(_ request: MonitorRequest) throws(GuestError) -> MonitorReply {
    try monitor.perform(request)
  }

  private mutating func reports(
    _ request: RunRequest, _ seconds: Int, _ onStep: (StepRecord) -> Void
  ) throws -> [RunReport] {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var reports: [RunReport] = []
    try tell(.run(request))
    while reports.count < request.repeat {
      let arrival = try agent.next(until: deadline)
      guard case .line(let line) = arrival else {
        throw Self.lost(arrival, &qemu, console, "in \(request.file)", seconds)
      }
      switch try GuestProtocol.message(GuestMessage.self, line) {
      case .step(let record): onStep(record)
      case .report(let report): reports.append(report)
      case .monitor(let request): try tell(.monitor(try ask(request)))
      case .failure(let failure): throw failure
      case .ready: throw GuestError.protocolBroken("found \"ready\" again: the agent has been started anew")
      }
    }
    return reports
  }

  private mutating func tell(_ message: HostMessage) throws(GuestError) {
    guard agent.send(try GuestProtocol.line(message)) else {
      throw Self.lost(.end, &qemu, console, "", 0)
    }
  }

  /// The error for a guest that does not answer or has ended; ends it.
  private static func lost(
    _ arrival: LineChannel.Arrival, _ qemu: inout HostProgram, _ console: borrowing HostFile,
    _ when: String, _ seconds: Int
  ) -> GuestError {
    if case .timeout = arrival {
      _ = qemu.kill()
      return .deadline(when, seconds: seconds, console: console.tail(lines: tailLines))
    }
    // It may be about to end, with its last lines still to come.
    let ending = qemu.hasEnded(within: 5) ? qemu.wait() : qemu.kill()
    let place = when.isEmpty ? "" : " \(when)"
    let what =
      ending == .status(0)
      ? "the guest's kernel or its init ended\(place)" : "QEMU ended with \(ending)\(place)"
    return .ended(what, console: console.tail(lines: tailLines))
  }

  static func environment(_ configurationHash: String) -> [String] {
    ["LD_LIBRARY_PATH=\(Initramfs.libraries)", "\(GuestInit.marker)=\(configurationHash)"]
  }

  /// QEMU's version, `7.2.22`.
  public static func qemuVersion() throws(GuestError) -> String {
    let (_, text) = try HostProgram.output(of: try qemuPath(), ["--version"])
    let words = text.split(separator: "\n").first?.split(separator: " ") ?? []
    guard let index = words.firstIndex(of: "version"), index + 1 < words.count else {
      throw .host("QEMU does not say its version")
    }
    return String(words[index + 1])
  }

  static func qemuPath() throws(GuestError) -> String {
    guard let path = HostProgram.find("qemu-system-x86_64") else {
      throw .missing("QEMU (qemu-system-x86_64) is not installed", command: GuestKernel.setupCommand)
    }
    return path
  }

  /// A disk with an empty ext4, for regions of kind file.
  static func formattedDisk() throws(GuestError) -> HostFile {
    guard let mkfs = HostProgram.find("mkfs.ext4") else {
      throw .missing("mkfs.ext4 is not installed", command: GuestKernel.setupCommand)
    }
    let disk = try HostFile.temporary(bytes: GuestMachine.diskBytes)
    var program = try HostProgram(
      mkfs, ["-q", "-F", "/proc/self/fd/3"], descriptors: [nil, nil, nil, disk.descriptor])
    let ending = program.wait()
    guard ending == .status(0) else { throw .host("mkfs.ext4 ended with \(ending)") }
    return disk
  }

}

/// Why a scenario gave no reports.
public enum GuestRunError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The guest was lost.
  case guest(GuestError)
  /// The agent refused the scenario.
  case scenario(GuestFailure)

  /// The sentence of either.
  public var description: String {
    switch self {
    case .guest(let error): error.description
    case .scenario(let failure): failure.description
    }
  }
}
