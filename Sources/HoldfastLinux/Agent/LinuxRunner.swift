import Glibc
public import HoldfastScenario

/// Runs scenarios on the Linux kernel that this program runs on: every step as the system call, or the write to a
/// file of the kernel, that it stands for.
///
/// Each actor with a process of its own is a process here, each `thread-of` a thread. The coordinator lets them
/// proceed in the order that `holdfast run` gives them on the engine: the first actor in file order that can,
/// until it has to wait. A step that does not answer for two seconds counts as waiting, and others proceed.
public enum LinuxRunner {
  /// How far the kernel may be changed.
  public enum Reach: Sendable {
    /// A guest of ours: everything.
    case guest
    /// Somebody's machine: nothing but memory of the actors' own.
    case host
  }

  /// A question to the machine's monitor, which lives outside of the kernel.
  public typealias Monitor = (MachineRequest) -> MachineReply

  /// What `uname -r` prints.
  public static var kernelRelease: String {
    var name = utsname()
    uname(&name)
    return withUnsafeBytes(of: &name.release) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  /// Runs a scenario once and reports what the kernel did.
  ///
  /// The caller has one thread at most, because actors begin as forks of it.
  ///
  /// - Throws: `LinuxRunFailure` if it cannot begin.
  public static func run(
    _ scenario: Scenario, policy: PolicyName, reach: Reach, onStep: (StepRecord) -> Void = { _ in },
    monitor: Monitor? = nil
  ) throws(LinuxRunFailure) -> RunReport {
    if let area = scenario.machine.contiguousAreas.dropFirst().first {
      throw LinuxRunFailure(
        "\(scenario.name): cannot be built on Linux: a second CMA area, \(area.name): the kernel's command line "
          + "makes one")
    }
    return try withoutActuallyEscaping(onStep) { onStep throws(LinuxRunFailure) in
      let run = try LinuxRun(scenario, policy: policy, reach: reach, onStep: onStep, monitor: monitor)
      return try run.run()
    }
  }
}

/// Why a scenario could not be run on a kernel.
public struct LinuxRunFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// The sentence.
  public let description: String

  /// Makes a failure.
  public init(_ description: String) { self.description = description }
}
