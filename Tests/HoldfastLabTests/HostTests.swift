import Foundation
import Holdfast
import HoldfastLab
import HoldfastLinux
import HoldfastScenario
import SystemPackage
import Testing

/// Where the engine meets the host that it runs on.
@Suite struct HostTests {
  @Test("the host refuses to take a block's memory back while it pins a byte of it itself")
  func sealSeesPins() throws {
    var configuration = MachineConfiguration(frames: 1 << 16)
    configuration.movable = .movablecore(frames: 1 << 15)
    configuration.backing = .memfd
    let machine = try Machine(configuration)
    let process = try machine.createProcess(name: "admin")
    let frame = try machine.allocate(order: 0, gfp: .highUserMovable, by: process)
    let bytes = try #require(machine.bytes(of: frame))
    bytes.storeBytes(of: 1, as: UInt8.self)
    let pin = HeldByHost(bytes)
    if let missing = pin.error {
      #expect(missing == .noFunction || missing == .notPermitted)
      print("left out: this host has no io_uring (\(missing))")
      return
    }
    // The engine's own frame is free; that the host's kernel pins the memory behind it, it cannot know.
    try machine.free(frame, by: process)
    let block = machine.block(of: frame)
    try machine.offline(block, by: process, limits: OfflineLimits(passes: 10))
    do {
      try machine.removeMemory(block)
      Issue.record("removed under a pin")
    } catch {
      #expect(error.errno == .resourceBusy)
      #expect(machine.state(of: block) == .offline)
    }
    pin.release()
    try machine.removeMemory(block)
    #expect(machine.state(of: block) == .absent)
  }

  /// A pin of the host's kernel in a box.
  private final class HeldByHost {
    private var pin: HostPin?
    private(set) var error: Errno?

    init(_ bytes: UnsafeMutableRawBufferPointer) {
      do throws(Errno) { pin = try HostPin(bytes) } catch { self.error = error }
    }

    func release() { pin = nil }
  }

  @Test("a region takes a live process's layout: its areas, and what is resident in them")
  func like() throws {
    let id = ProcessInfo.processInfo.processIdentifier
    let text = """
      scenario: like-me
      summary: a region with the layout of the process that runs this test
      machine: {memory: 16GiB}
      actors:
        - name: me
          memlock: unlimited
          steps:
            - map: {region: all, like: \(id)}
              label: mapped
              must: ok
      expect:
        - {step: mapped, equals: ok}
        - {process: me, value: resident, at-least: 1024}
      """
    let report = try ScenarioRunner.run(Scenario(yaml: text, file: "like-me.yaml"), RunOptions())
    #expect(report.outcome == .holds, "\(report.verdicts) \(report.steps.compactMap(\.error))")
  }
}
