import HoldfastScenario
import Testing

@Suite struct DecodingTests {
  @Test("the main scenario decodes into what it says")
  func mainScenario() throws {
    let scenario = try Scenario(yaml: Examples.vfioGuest, file: "vfio-guest.yaml")
    #expect(scenario.seed == "000")
    #expect(scenario.policy == .linux61)
    #expect(scenario.machine.memory.description == "4 GiB")
    #expect(scenario.machine.block.bytes == 128 << 20)
    #expect(scenario.machine.liveChanges == [.online(blocks: 8, zone: .movable)])
    let pinned = try #require(scenario.step(labelled: "pinned"))
    #expect(pinned.actor.mayLockMemory && pinned.step.mustSucceed)
    #expect(pinned.step.location.line == 20)
    #expect(pinned.step.verb.summary == "pin long-term ram (write) by the fast path for vfio")
    #expect(scenario.actors[1].after == ["pinned"])
    let first = scenario.expectations[0]
    #expect(first.location.line == 32)
    #expect(first.text(under: .movableV3) == "result of step gone: not ENOMEM")
    #expect(first.terms(under: .pinBias) == .skip)
    #expect(
      scenario.expectations.map { $0.text(under: .linux510) } == [
        "result of step gone: EINTR",
        "pages of pin dma that are in zone Movable: all",
        "pages of ram that are moved since faulted: all, after pinned",
        "growth of nr_foll_pin_acquired - nr_foll_pin_released: 16384",
        "whole blocks of zone Movable that are offline: all",
        "owners of pins in blocks of zone Movable: vmm",
        "locked pages of process vmm: 16384",
        "contents of ram since faulted: unchanged",
        "present pages of zone Movable: at most 32768",
        "pages handed out of CMA area camera: 0",
      ])
  }

  @Test(
    "rules keep their text and order, and may be left out",
    arguments: [
      ("", []), ("rules: [6.8 S2, 12.21, 3.6, 6.10]", ["6.8 S2", "12.21", "3.6", "6.10"]),
      ("rules: 3", ["3"]),
    ])
  func rules(line: String, rules: [String]) throws {
    let yaml =
      "scenario: a\nsummary: b\nmachine: {memory: 1GiB}\nactors: [{name: one, steps: [exit]}]\n" + line
    #expect(try Scenario(yaml: yaml, file: "a.yaml").rules == rules)
  }
}
