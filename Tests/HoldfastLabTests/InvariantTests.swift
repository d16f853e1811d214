import Holdfast
import HoldfastLab
import Interleaving
import Testing

/// Every invariant is broken by hand once: one that cannot fail proves nothing.
@Suite struct InvariantTests {
  /// A machine with memory of every kind, in order.
  private struct Rig {
    let machine: Machine
    let process: Process
    let frame: FrameNumber
    let huge: FrameNumber
    let pins: Box

    init() throws {
      var configuration = MachineConfiguration.small(frames: 128, movable: 32)
      configuration.limits = TableLimits()
      machine = try Machine(configuration)
      process = try machine.createProcess(name: "vmm", memlockLimit: .max)
      let small = try machine.map(process, pages: 4)
      frame = try machine.touch(process, small, write: true)
      let large = try machine.map(process, pages: 8)
      try machine.advise(process, AddressRange(start: large, pages: 8), .hugePage)
      huge = machine.memmap.head(of: try machine.touch(process, large, write: true))
      pins = Box(try machine.pin(process, at: small, pages: 1))
      machine.lru.drainAll(for: process)
    }
  }

  private struct Breach: CustomTestStringConvertible {
    let invariant: String
    let breakIt: @Sendable (Machine, FrameNumber, FrameNumber) -> Void
    var testDescription: String { invariant }
  }

  private static let breaches: [Breach] = [
    Breach(invariant: "reference-count") { machine, frame, _ in
      machine.memmap.page(frame).refcount.fetchAdd(1)
    },
    Breach(invariant: "reference-floor") { machine, frame, _ in machine.memmap.page(frame).refcount.store(1)
    },
    Breach(invariant: "map-count") { machine, frame, _ in machine.memmap.page(frame).mapcount.fetchAdd(1) },
    Breach(invariant: "pin-count") { machine, _, huge in machine.memmap.page(huge).pincount.fetchAdd(1) },
    Breach(invariant: "pinned-is-seen") { machine, frame, _ in machine.memmap.page(frame).refcount.store(1000)
    },
    Breach(invariant: "pin-statistics") { machine, _, _ in
      machine.processor(0).count(.follPinAcquired, node: 0).addAsOwner(1)
    },
    Breach(invariant: "anon-exclusive") { machine, frame, _ in
      machine.memmap.page(frame).clear(.anonExclusive)
    },
    Breach(invariant: "group-lists-mappers") { machine, frame, _ in machine.memmap.page(frame).index += 1 },
    Breach(invariant: "held-page-belongs") { machine, frame, _ in machine.memmap.page(frame).mapping = .none
    },
    Breach(invariant: "pinned-exclusive") { machine, frame, _ in
      machine.memmap.page(frame).clear(.anonExclusive)
    },
    Breach(invariant: "pin-address") { machine, _, _ in
      machine.ledger.forEachRecord { record, _ in record.startPage += 1 }
    },
    Breach(invariant: "count-sign") { machine, frame, _ in machine.memmap.page(frame).pincount.store(-1) },
    Breach(invariant: "charged-pages") { machine, _, _ in machine.global.userLockedPages.fetchAdd(1) },
    Breach(invariant: "charge-of-a-pin") { machine, _, _ in
      machine.ledger.forEachRecord { record, _ in record.charged += 1 }
    },
    Breach(invariant: "free-is-unused") { machine, _, _ in
      machine.memmap.page(firstFree(machine)).mapcount.store(1)
    },
    Breach(invariant: "free-counts") { machine, _, _ in
      machine.buddy.zone(ZoneID(node: 0, kind: .normal)).free.fetchAdd(1)
    },
    Breach(invariant: "nothing-isolated") { machine, frame, _ in _ = machine.migration.isolate(frame, on: 0)
    },
    Breach(invariant: "lru-lists") { machine, frame, _ in machine.memmap.page(frame).clear(.lru) },
    Breach(invariant: "no-frame-lost") { machine, _, _ in machine.memmap.page(firstFree(machine)).type = .none
    },
    Breach(invariant: "lists-enabled") { machine, _, _ in machine.global.lruBatchesDisabled.fetchAdd(1) },
    Breach(invariant: "blocks-settled") { machine, frame, _ in
      machine.blocks.block(machine.block(of: frame)).state = .goingOffline
    },
    Breach(invariant: "offline-is-empty") { machine, frame, _ in
      machine.blocks.block(machine.block(of: frame)).state = .offline
    },
    Breach(invariant: "movable-zone") { machine, _, _ in
      machine.observation.forEachFrameWithMetadata {
        if machine.memmap.page($0).type == .table { seemMovable(machine.memmap.page($0)) }
      }
    },
    Breach(invariant: "zone-counts") { machine, _, _ in
      machine.buddy.zone(ZoneID(node: 0, kind: .normal)).managed.fetchAdd(1 << 20)
    },
    Breach(invariant: "migration-entries") { machine, frame, _ in machine.memmap.page(frame).set(.locked) },
    Breach(invariant: "exclusive-is-unmapped") { machine, frame, _ in
      if let id = machine.mirrors.open(of: RowID(rawValue: 1)) {
        _ = machine.mirrors.enter(0, frame, into: machine.mirrors.mirror(id))
      }
    },
    Breach(invariant: "page-tables") { machine, frame, _ in machine.memmap.page(frame).type = .table },
    Breach(invariant: "resident-pages") { machine, _, _ in
      machine.processor(0).count(.anonPages, node: 0).addAsOwner(1)
    },
  ]

  /// Makes a page look as if it lay in ZONE_MOVABLE.
  private static func seemMovable(_ page: Page) {
    page.flagWord.store(
      page.flagWord.load() & ~(7 << PageFlags.zoneShift) | UInt64(ZoneKind.movable.number)
        << PageFlags.zoneShift)
  }

  private static func firstFree(_ machine: Machine) -> FrameNumber {
    var found = FrameNumber.none
    machine.observation.forEachFrameWithMetadata {
      if found == .none, machine.memmap.page($0).type == .buddy { found = $0 }
    }
    return found
  }

  @Test("an invariant notices its breach, and nothing before", arguments: breaches)
  private func notices(breach: Breach) throws {
    let rig = try Rig()
    #expect(Invariant.violations(of: rig.machine) == [])
    LockOrder.atRest("the test runs nothing beside") {
      breach.breakIt(rig.machine, rig.frame, rig.huge)
    }
    let names = Set(Invariant.violations(of: rig.machine).map(\.invariant))
    #expect(names.contains(breach.invariant), "noticed only by \(names)")
    // The machine is not whole any more: neither pins nor processes can end in order.
    _ = Unmanaged.passRetained(Keeper(rig))
  }

  @Test("a pin that the policy forbids is noticed")
  func placement() throws {
    var configuration = MachineConfiguration.small(frames: 64, movable: 32)
    configuration.limits = TableLimits()
    let machine = try Machine(configuration)
    let process = try machine.createProcess(name: "vmm")
    let address = try machine.map(process, pages: 1)
    let pins = try machine.pin(process, at: address, pages: 1, flags: [.write, .longterm])
    #expect(Invariant.violations(of: machine) == [])
    // The frame's zone is in its flags: as if it had moved into ZONE_MOVABLE under the pin.
    let word = machine.memmap.page(pins[0]).flagWord
    Self.seemMovable(machine.memmap.page(pins[0]))
    #expect(Invariant.violations(of: machine).contains { $0.invariant == "pin-placement" })
    word.store(word.load() & ~(7 << 51) | UInt64(ZoneKind.normal.number) << 51)
    pins.unpin()
  }

  @Test("a page that an area has handed out and that is free again is noticed")
  func handedOut() throws {
    var configuration = MachineConfiguration.small(frames: 64)
    configuration.cmaAreas = [CMAConfiguration(name: "camera", frames: 8)]
    let machine = try Machine(configuration)
    let process = try machine.createProcess(name: "driver")
    let range = try machine.cmaAllocate(area: 0, count: 1, by: process)
    #expect(Invariant.violations(of: machine, kernelFrames: [range.start]) == [])
    machine.memmap.page(range.start).type = .buddy
    #expect(
      Invariant.violations(of: machine, kernelFrames: [range.start]).contains {
        $0.invariant == "cma-bitmap"
      })
  }

  @Test("a pin of the zero page for writing is noticed")
  func zeroPage() throws {
    let machine = try Machine(.small(frames: 64))
    let process = try machine.createProcess(name: "reader")
    let address = try machine.map(process, pages: 1)
    let pins = try machine.pin(process, at: address, pages: 1, flags: [])
    #expect(pins[0] == machine.zeroPageFrame)
    #expect(Invariant.violations(of: machine) == [])
    machine.ledger.forEachRecord { record, _ in record.flags.insert(.write) }
    #expect(Invariant.violations(of: machine).contains { $0.invariant == "zero-page-is-read" })
    machine.ledger.forEachRecord { record, _ in record.flags.remove(.write) }
    pins.unpin()
  }

  @Test("a huge page of the pool that no path could isolate is noticed")
  func migratable() throws {
    let machine = try Machine(.small(frames: 64))
    let process = try machine.createProcess(name: "database")
    try machine.reserveHugePages(node: 0, count: 1, for: process)
    let address = try machine.map(process, pages: 4, kind: .hugetlb)
    let head = machine.memmap.head(of: try machine.touch(process, address, write: true))
    #expect(Invariant.violations(of: machine) == [])
    machine.memmap.page(head).isHugetlbMigratable = false
    #expect(Invariant.violations(of: machine).contains { $0.invariant == "pool-migratable" })
  }

  @Test("a translation that no pin is behind, and a charge that no page is behind, are noticed")
  func devices() throws {
    var configuration = MachineConfiguration.small(frames: 64)
    configuration.limits = TableLimits()
    let machine = try Machine(configuration)
    let process = try machine.createProcess(name: "vmm")
    let address = try machine.map(process, pages: 2)
    let container = try machine.openContainer()
    try machine.attach(DeviceDescription(name: "nic"), to: container, by: process)
    try machine.mapDMA(container, DMAMap(address, at: 0, length: 8192), by: process)
    let row = machine.devices.container(container.id)
    let mapping = machine.devices.mapping(row.lock.withLock { row.root })
    func notices(_ invariant: String) -> Bool {
      Invariant.violations(of: machine).contains { $0.invariant == invariant }
    }
    #expect(Invariant.violations(of: machine) == [])
    row.lock.withLock { mapping.size = 4096 }
    #expect(notices("translated-is-pinned"))
    row.lock.withLock {
      mapping.size = 8192
      mapping.locked += 1
    }
    #expect(notices("charge-of-a-mapping") && notices("charged-pages"))
    row.lock.withLock { mapping.locked -= 1 }
    machine.closeContainer(container)
    #expect(Invariant.violations(of: machine) == [])
  }

  @Test("every invariant has a name of its own, a source, a statement, and a breach")
  func listed() {
    // The last one needs a machine without a safeguard: row 29 of the catalogue breaks it.
    let elsewhere = [
      "pin-placement", "cma-bitmap", "zero-page-is-read", "pool-migratable", "zero-page-uncounted",
      "translated-is-pinned", "charge-of-a-mapping",
    ]
    #expect(Set(Invariant.all.map(\.name)) == Set(Self.breaches.map(\.invariant) + elsewhere))
    #expect(Set(Invariant.all.map(\.name)).count == Invariant.all.count)
    #expect(Invariant.all.allSatisfy { !$0.source.isEmpty && !$0.statement.isEmpty })
  }

  private final class Keeper {
    let rig: Rig
    init(_ rig: Rig) { self.rig = rig }
  }

  private final class Box {
    let pins: PinnedPages
    init(_ pins: consuming PinnedPages) { self.pins = pins }
  }
}
