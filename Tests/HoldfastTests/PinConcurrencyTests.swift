import Interleaving
import TestThreads
import Testing

@testable import Holdfast

/// Threads that work on the same memory at once; the recount afterwards says whether anything was lost.
@Suite struct PinConcurrencyTests {
  /// What one thread does in a round: chosen by a generator, so that a failure can be told.
  private static func act(
    _ rig: PinRig, _ process: Process, _ start: VirtualAddress, pages: Int, _ random: inout Seeded,
    isOwner: Bool
  ) {
    let machine = rig.machine
    let page = Int.random(in: 0..<pages, using: &random)
    let count = Int.random(in: 1...min(4, pages - page), using: &random)
    let at = start + page * 4096
    let entry: PinEntry = isOwner ? (Bool.random(using: &random) ? .fast : .slow) : .remote
    switch Int.random(in: 0..<8, using: &random) {
    case 0, 1:
      if let pins = try? machine.pin(
        process, at: at, pages: count, flags: .write, entry: entry, of: rig.process)
      {
        pins.unpin(0..<1)
      }
    case 2, 3:
      // A page that somebody else holds cannot move: that failure is allowed, a pin of a movable page is not.
      if let pins = try? machine.pin(
        process, at: at, pages: count, flags: [.write, .longterm], entry: entry, of: rig.process)
      {
        for i in 0..<pins.count where machine.memmap.page(pins[i]).zone.kind == .movable {
          Issue.record("\(pins[i]) is pinned long term in ZONE_MOVABLE")
        }
      }
    case 4:
      if let gets = try? machine.get(process, at: at, pages: count, entry: entry, of: rig.process) {
        gets.put()
      }
    case 5: if isOwner { try? machine.advise(process, AddressRange(start: at, pages: count), .dontNeed) }
    case 6: if isOwner { _ = try? machine.touch(process, at, write: true) }
    default:
      _ = machine.movePages(
        process, of: rig.process, at: at, pages: count, to: Int.random(in: 0...1, using: &random))
    }
  }

  private static func twoNodes(policy: PlacementPolicy) throws -> PinRig {
    try PinRig(policy: policy) {
      $0.explicitZones = [
        extent(.normal, 0, 96), extent(.movable, 96, 256), extent(.normal, 256, 352, node: 1),
        extent(.movable, 352, 512, node: 1),
      ]
      $0.nodes = [
        NodeConfiguration(memory: [frames(0, 256)]), NodeConfiguration(memory: [frames(256, 512)]),
      ]
    }
  }

  @Test(
    "two processors pin, unpin, migrate, touch and drop the same pages, then the tables agree (chapter 12)",
    arguments: [PlacementPolicy.linux6_1, .linuxMainline, .movableV4])
  func samePages(_ policy: PlacementPolicy) throws {
    for kind in [PageKind.anonymous, .sharedAnonymous, .hugePMD] {
      let rig = try Self.twoNodes(policy: policy)
      let start = try rig.make(kind)
      let processes = [rig.process, try rig.machine.createProcess(name: "other", processor: 1)]
      try together(2, rounds: 2000) { thread, rounds in
        var random = Seeded(UInt64(thread + 1))
        for _ in rounds {
          Self.act(rig, processes[thread], start, pages: rig.unit, &random, isOwner: thread == 0)
        }
      }
      rig.machine.lru.drainAll(for: rig.process)
      rig.check("\(policy.name) \(kind.rawValue)")
      #expect(rig.acquired == rig.released, "\(policy.name) \(kind.rawValue), pins")
      rig.machine.exit(rig.process)
      rig.check("\(policy.name) \(kind.rawValue), exited")
    }
  }

  @Test("two processors, each with its own memory and some of it shared, under pressure of migration")
  func differentPages() throws {
    let rig = try Self.twoNodes(policy: .linux6_1)
    let machine = rig.machine
    let object = try machine.createObject(kind: .memfd, pages: 8, for: rig.process)
    let shared = MappingKind.object(object)
    let mine = try rig.map(8, shared)
    let other = try machine.createProcess(name: "other", processor: 1)
    let theirs = try machine.map(other, pages: 8, kind: shared)
    try together(2, rounds: 1500) { thread, rounds in
      var random = Seeded(UInt64(thread + 7))
      let process = thread == 0 ? rig.process : other
      for round in rounds {
        // Own memory comes and goes.
        if let own = try? machine.map(process, pages: 4) {
          if let pins = try? machine.pin(process, at: own, pages: 4, flags: [.write, .longterm]) {
            #expect(pins.count == 4, "round \(round)")
          }
          try? machine.unmap(process, AddressRange(start: own, pages: 4))
        }
        let page = Int.random(in: 0..<8, using: &random)
        let at = (thread == 0 ? mine : theirs) + page * 4096
        if let pins = try? machine.pin(process, at: at, pages: 1, flags: [.write, .longterm]) {
          if machine.memmap.page(pins[0]).zone.kind == .movable {
            Issue.record("round \(round): in ZONE_MOVABLE")
          }
        }
        try? machine.advise(process, AddressRange(start: at, pages: 1), .dontNeed)
        _ = machine.movePages(process, of: process, at: at, pages: 1, to: round % 2)
      }
    }
    machine.lru.drainAll(for: rig.process)
    rig.check("different pages")
    machine.exit(other)
    machine.exit(rig.process)
    rig.check("exited")
  }

  @Test("a remote pin and the end of the process race; whoever comes last takes the memory apart")
  func remoteExit() throws {
    let rig = try PinRig(.movable, frames: 512)
    let machine = rig.machine
    let driver = try machine.createProcess(name: "driver", processor: 1)
    let target = try machine.createProcess(name: "target")
    machine.exit(target)
    try together(2, rounds: 1500) { thread, rounds in
      for round in rounds {
        if thread == 0 {
          // Rows are taken again in turn: this is the process that the other thread pins.
          guard let process = try? machine.createProcess(name: "target") else { continue }
          #expect(process.id == target.id, "round \(round)")
          _ = try? machine.map(process, pages: 4, at: .fixed(VirtualAddress(page: 64)))
          _ = try? machine.touch(process, VirtualAddress(page: 64 + UInt64(round % 4)), write: true)
          machine.exit(process)
        } else {
          let flags: PinFlags = round % 2 == 0 ? .write : [.write, .longterm]
          let accounting: PinAccounting = round % 3 == 0 ? .pinned : .none
          if let pins = try? machine.pin(
            driver, at: VirtualAddress(page: 64), pages: 4, flags: flags, entry: .remote, of: target,
            accounting: accounting)
          {
            if pins.count > 4 { Issue.record("\(pins.count) pages") }
          }
        }
      }
    }
    machine.lru.drainAll(for: rig.process)
    rig.check("remote exit")
    #expect(machine.pinHolders.count == 0, "holders")
    #expect(rig.acquired == rig.released, "pins")
    machine.exit(driver)
    rig.check("exited")
  }
}
