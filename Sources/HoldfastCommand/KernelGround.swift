import FoundationEssentials
import HoldfastLinux
import HoldfastScenario

/// A real kernel to run scenarios on.
///
/// A guest is kept for the next scenario that asks for the same machine, unless the last one may have changed the
/// machine for good. Owned by one thread, which is also what a `Guest` asks for.
final class KernelGround {
  /// Which kernel.
  enum Place {
    /// The guest's, in QEMU.
    case guest
    /// This host's own, for what it can do without harm.
    case host
  }

  /// What came of asking for runs.
  enum Answer {
    /// One report per run.
    case runs([RunReport], on: KernelIdentity)
    /// The kernel was lost in a run, such as by a deadline; says how.
    case lost(String)
    /// The kernel's machine cannot be such as the scenario asks for; says why.
    case refused(String, on: KernelIdentity)
  }

  /// The policy of the guest's kernel.
  static let policy = PolicyName.linux61

  /// How long one run may take: half of the steps that wait for a signal, under emulation.
  private static let secondsPerRun = 240

  /// A guest that an optional can hold.
  private final class Box {
    let machine: GuestMachine
    var guest: Guest
    init(_ machine: GuestMachine, _ guest: consuming Guest) {
      self.machine = machine
      self.guest = guest
    }
  }

  private var kept: Box?
  private var kernel: GuestKernel?
  private var initramfs: Initramfs?

  /// Runs a scenario `repeats` times.
  func runs(
    _ scenario: Scenario, policy: PolicyName, repeats: Int, on place: Place
  ) throws(Failure) -> Answer {
    switch place {
    case .host: return try Self.onHost(scenario, policy, repeats)
    case .guest: return try inGuest(scenario, policy, repeats)
    }
  }

  private static func onHost(
    _ scenario: Scenario, _ policy: PolicyName, _ repeats: Int
  ) throws(Failure) -> Answer {
    do throws(LinuxRunFailure) {
      var reports: [RunReport] = []
      for _ in 0..<repeats {
        reports.append(try LinuxRunner.run(scenario, policy: policy, reach: .host))
      }
      let kernel = KernelIdentity(release: LinuxRunner.kernelRelease, config: "unknown", qemu: nil)
      return .runs(reports, on: kernel)
    } catch {
      throw .cannotRun(error.description)
    }
  }

  private func inGuest(
    _ scenario: Scenario, _ policy: PolicyName, _ repeats: Int
  ) throws(Failure) -> Answer {
    let kernel = try locatedKernel()
    let identity = try Failure.rethrow { () throws(GuestError) in
      KernelIdentity(
        release: kernel.release, config: try kernel.configurationHash(), qemu: try Guest.qemuVersion())
    }
    let machine: GuestMachine
    do throws(GuestRefusal) {
      machine = try GuestMachine(scenario)
    } catch {
      return .refused(error.description, on: identity)
    }
    guard let bytes = FileManager.default.contents(atPath: scenario.file) else {
      throw .badInput("\(scenario.file): found nothing, expected the scenario that was read before")
    }
    let text = String(decoding: bytes, as: UTF8.self)
    var reports: [RunReport] = []
    // What a run does to memory blocks, or to a CMA area, it does for good.
    let runsPerGuest = scenario.changesMachine ? 1 : repeats
    while reports.count < repeats {
      let box = try guest(machine, kernel)
      let request = RunRequest(file: scenario.file, text: text, policy: policy, repeat: runsPerGuest)
      do throws(GuestRunError) {
        reports += try box.guest.run(request, within: Self.secondsPerRun * runsPerGuest)
      } catch {
        kept = nil
        switch error {
        case .guest(let lost): return .lost(lost.description)
        case .scenario(let failure): return .refused(failure.message, on: identity)
        }
      }
      if scenario.changesMachine { kept = nil }
    }
    return .runs(reports, on: identity)
  }

  private func locatedKernel() throws(Failure) -> GuestKernel {
    if let kernel { return kernel }
    let located = try Failure.rethrow { () throws(GuestError) in try GuestKernel.locate() }
    kernel = located
    return located
  }

  private func packedInitramfs() throws(GuestError) -> Initramfs {
    if let initramfs { return initramfs }
    let packed = try Initramfs()
    initramfs = packed
    return packed
  }

  private func guest(_ machine: GuestMachine, _ kernel: GuestKernel) throws(Failure) -> Box {
    if let kept, kept.machine == machine { return kept }
    kept = nil
    let box = try Failure.rethrow { () throws(GuestError) in
      Box(machine, try Guest(machine, kernel: kernel, initramfs: try packedInitramfs()))
    }
    kept = box
    return box
  }
}

extension Scenario {
  /// Whether a run leaves a machine behind that is not the one it began with.
  fileprivate var changesMachine: Bool {
    actors.contains { actor in
      actor.steps.contains { step in
        switch step.verb {
        case .offline, .online, .add, .remove, .allocateContiguous, .fail: true
        default: false
        }
      }
    }
  }
}
