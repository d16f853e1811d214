import CLinux
import Glibc
import HoldfastScenario
import SystemPackage

/// What a guest is given before a scenario runs, and what is put back after it.
enum KernelSettings {
  /// The guest's swap device.
  static let swapDevice = "/dev/vdb"

  /// Huge pages for the regions that want some, and swap space where pages are to be swapped out.
  static func prepare(_ scenario: Scenario, reach: LinuxRunner.Reach) throws(LinuxRunFailure) {
    let maps = scenario.actors.flatMap(\.steps).compactMap { step in
      if case .map(let map) = step.verb { map } else { nil }
    }
    let huge = maps.filter(\.kind.isHugetlb).reduce(0) { sum, map in
      guard case .size(let size) = map.source else { return sum }
      return sum + (Int(clamping: size.pages) + 511) / 512
    }
    let swaps = scenario.actors.flatMap(\.steps).contains { step in
      if case .advise(_, .pageOut) = step.verb { true } else { false }
    }
    guard huge > 0 || swaps else { return }
    guard reach == .guest else { return }
    if huge > 0 {
      // A copy on write, a fork and a migration need another one each.
      let wanted = 2 * huge + 2
      let got: Int
      do throws(HostReadError) { got = try KernelControls.setHugetlbPool(wanted) } catch {
        throw LinuxRunFailure(error.description)
      }
      guard got >= wanted else {
        throw LinuxRunFailure("the guest has room for \(got) of \(wanted) huge pages")
      }
    }
    if swaps {
      do throws(Errno) { try KernelControls.enableSwap(on: swapDevice) } catch {
        throw LinuxRunFailure("\(swapDevice) cannot be swapped to: \(error)")
      }
    }
  }

  /// Undoes what scenarios leave behind, so that the next one begins as this one did.
  static func restore(reach: LinuxRunner.Reach) {
    guard reach == .guest else { return }
    try? AllocationFault.remove()
    _ = try? KernelControls.setHugetlbPool(0)
    try? HostFiles.write("2", to: "/sys/kernel/mm/ksm/run")
    try? KernelControls.disableSwap(on: swapDevice)
  }
}

/// The kernel that a run was made on.
enum KernelRelease {
  /// The machine in short.
  static func summary(_ map: KernelMap) -> MachineSummary {
    MachineSummary(
      origin: .live, source: "Linux \(LinuxRunner.kernelRelease)",
      frames: map.zones.reduce(0) { $0 + UInt64($1.present) },
      blockBytes: UInt64(map.blockPages) << 12, nodes: Set(map.zones.map(\.node)).count,
      cpus: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
  }
}
