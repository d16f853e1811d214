import Holdfast
import HoldfastLab
import Interleaving
import Testing

/// Every invariant of a step is broken by hand once, in the word that its check is told of.
@Suite struct StepInvariantTests {
  /// A machine with memory of every kind, in order, and the addresses of its words.
  private final class Rig {
    let machine: Machine
    let process: Process
    let checks: StepChecks
    let map: StateMap
    let address: VirtualAddress
    /// A pinned page, another one of the same process, a folio, a free page, and one that holds a page table.
    let frame: FrameNumber
    let other: FrameNumber
    let huge: FrameNumber
    var pins: [Box] = []

    init() throws {
      var configuration = MachineConfiguration.small(frames: 128, movable: 32)
      configuration.cmaAreas = [CMAConfiguration(name: "camera", frames: 8)]
      configuration.limits = configuration.limits.withDevices
      machine = try Machine(configuration)
      process = try machine.createProcess(name: "vmm", memlockLimit: .max)
      address = try machine.map(process, pages: 2)
      frame = try machine.touch(process, address, write: true)
      other = try machine.touch(process, address + UInt64(pageSize), write: true)
      let large = try machine.map(process, pages: 8)
      try machine.advise(process, AddressRange(start: large, pages: 8), .hugePage)
      huge = machine.memmap.head(of: try machine.touch(process, large, write: true))
      pins.append(Box(try machine.pin(process, at: address, pages: 1)))
      machine.lru.drainAll(for: process)
      checks = StepChecks(machine)
      checks.processes = [process]
      map = machine.observation.stateMap
    }

    /// The first frame of a type.
    func first(_ type: PageType) -> FrameNumber {
      var found = FrameNumber.none
      machine.observation.forEachFrameWithMetadata {
        if found == .none, machine.memmap.page($0).type == type { found = $0 }
      }
      return found
    }

    func pageWord(_ frame: FrameNumber, _ field: any RowField) -> Int {
      map.layout.frames.offset(frame.index) + field.offset
    }

    func zoneWord(_ kind: ZoneKind, _ field: any RowField) -> Int {
      map.layout.zones.offset(ZoneID(node: 0, kind: kind).rawValue) + field.offset
    }

    func entryWord(_ slot: EntrySlot) -> Int { entryWord(slot.table.index, slot.index) }

    func entryWord(_ table: Int, _ index: Int) -> Int {
      map.layout.tablePages.offset(table) + TablePageRow.entries.offset(index)
    }

    /// The entry that maps the pinned page.
    func slot() throws -> EntrySlot {
      try #require(machine.pageTables.leafSlot(machine.spaces.space(process.space), address.page))
    }

    func moveToMovable(_ frame: FrameNumber) {
      let word = machine.memmap.page(frame).flagWord
      word.store(
        word.load() & ~(7 << PageFlags.zoneShift) | UInt64(ZoneKind.movable.number) << PageFlags.zoneShift)
    }

    func check(_ kind: PointKind, _ offset: Int) -> InvariantViolation? {
      checks.check(kind, UInt(bitPattern: map.base + offset), by: 0)
    }
  }

  private struct Breach: CustomTestStringConvertible {
    let invariant: String
    let kind: PointKind
    /// Damages the machine; returns the word that a step has just named.
    let breakIt: @Sendable (Rig) throws -> Int
    var testDescription: String { invariant }

    init(
      _ invariant: String, _ kind: PointKind = .readModifyWrite,
      _ breakIt: @escaping @Sendable (Rig) throws -> Int
    ) {
      self.invariant = invariant
      self.kind = kind
      self.breakIt = breakIt
    }
  }

  private static let breaches: [Breach] = [
    Breach("counts-not-negative") { rig in
      rig.machine.memmap.page(rig.frame).refcount.store(-1)
      return rig.pageWord(rig.frame, PageRow.refcount)
    },
    Breach("free-not-in-use") { rig in
      let free = rig.first(.buddy)
      rig.machine.memmap.page(free).refcount.store(1)
      return rig.pageWord(free, PageRow.refcount)
    },
    Breach("mappings-are-references") { rig in
      rig.machine.memmap.page(rig.frame).mapcount.store(100_000)
      return rig.pageWord(rig.frame, PageRow.mapcount)
    },
    Breach("pins-are-references") { rig in
      rig.machine.memmap.page(rig.huge).pincount.store(1000)
      return rig.pageWord(rig.huge, PageRow.pincount)
    },
    Breach("listed-is-referenced") { rig in
      rig.machine.memmap.page(rig.frame).mapcount.store(0)
      rig.machine.memmap.page(rig.frame).refcount.store(0)
      return rig.pageWord(rig.frame, PageRow.flags)
    },
    Breach("exclusive-once") { rig in
      rig.machine.memmap.page(rig.frame).mapcount.store(2)
      return rig.pageWord(rig.frame, PageRow.flags)
    },
    Breach("writable-is-exclusive") { rig in
      rig.machine.memmap.page(rig.frame).clear(.anonExclusive)
      return rig.pageWord(rig.frame, PageRow.flags)
    },
    Breach("migrating-is-locked", .store) { rig in
      let slot = try rig.slot()
      rig.machine.pageTables.setEntry(
        slot, .migration(.migrationWrite, rig.frame, young: true, dirty: true, huge: false))
      return rig.entryWord(slot)
    },
    Breach("mapped-is-allocated", .store) { rig in
      rig.machine.memmap.page(rig.frame).refcount.store(0)
      return rig.entryWord(try rig.slot())
    },
    Breach("walked-is-live", .load) { rig in rig.entryWord(40, 0) },
    Breach("table-placement") { rig in
      let table = rig.first(.table)
      rig.moveToMovable(table)
      return rig.pageWord(table, PageRow.flags)
    },
    Breach("scope-placement", .store) { rig in
      _ = rig.process.savePinScope()
      rig.machine.memmap.page(rig.other).refcount.store(1)
      return rig.pageWord(rig.other, PageRow.refcount)
    },
    Breach("offline-is-unused") { rig in
      rig.machine.blocks.block(rig.machine.block(of: rig.frame)).state = .offline
      return rig.pageWord(rig.frame, PageRow.refcount)
    },
    Breach("zero-page-is-zero", .store) { rig in
      rig.machine.memmap.page(rig.machine.zeroPageFrame).contentTag = 7
      return rig.pageWord(rig.machine.zeroPageFrame, PageRow.contentTag)
    },
    Breach("pinned-is-held") { rig in
      rig.machine.memmap.page(rig.frame).refcount.store(3)
      return rig.pageWord(rig.frame, PageRow.refcount)
    },
    Breach("pin-coherence", .store) { rig in
      let slot = try rig.slot()
      let bits = PageTableEntry.present | PageTableEntry.user | PageTableEntry.writable
      rig.machine.pageTables.setEntry(slot, .leaf(rig.other, bits))
      return rig.entryWord(slot)
    },
    Breach("longterm-placement", .release) { rig in
      rig.pins.append(
        Box(
          try rig.machine.pin(
            rig.process, at: rig.address + UInt64(pageSize), pages: 1, flags: [.write, .longterm])))
      rig.moveToMovable(rig.pins[1].pins[0])
      return rig.map.layout.global.start + GlobalRow.ledgerLock.offset
    },
    Breach("exclusive-is-alone", .release) { rig in
      let id = try #require(rig.machine.mirrors.open(of: RowID(rawValue: 1)))
      _ = rig.machine.mirrors.enter(0, rig.frame, into: rig.machine.mirrors.mirror(id))
      return rig.map.layout.mirrors.offset(1) + MirrorRow.lock.offset
    },
    Breach("free-lists-whole", .release) { rig in
      rig.machine.buddy.zone(ZoneID(node: 0, kind: .normal)).free.fetchAdd(1)
      return rig.zoneWord(.normal, ZoneRow.lock)
    },
    Breach("area-blocks-stay", .release) { rig in
      rig.machine.buddy.setPageblockType(of: rig.machine.cma.area(0).base, .movable)
      return rig.zoneWord(.normal, ZoneRow.lock)
    },
    Breach("per-cpu-lists-whole", .release) { rig in
      rig.machine.allocator.perCPULists(0, ZoneID(node: 0, kind: .normal)).count += 1
      return rig.map.layout.perCPULists.offset(ZoneKind.normal.number) + PerCPUListsRow.lock.offset
    },
    Breach("lru-lists-whole", .release) { rig in
      rig.machine.memmap.page(rig.first(.table)).set(.lru)
      return rig.map.layout.nodes.start + NodeRow.lruLock.offset
    },
    Breach("zone-counts-ordered") { rig in
      rig.machine.buddy.zone(ZoneID(node: 0, kind: .normal)).managed.fetchAdd(1 << 20)
      return rig.zoneWord(.normal, ZoneRow.managed)
    },
  ]

  @Test("an invariant of a step notices its breach in the word that the step has named", arguments: breaches)
  private func notices(breach: Breach) throws {
    let rig = try Rig()
    let word = try LockOrder.atRest("the test runs nothing beside") { try breach.breakIt(rig) }
    let found = rig.check(breach.kind, word)
    #expect(found?.invariant == breach.invariant, "\(found?.description ?? "nothing")")
    // The machine is not whole any more: neither pins nor processes can end in order.
    _ = Unmanaged.passRetained(rig)
  }

  @Test("nothing is found in any word of a machine in order")
  func inOrder() throws {
    let rig = try Rig()
    for word in stride(from: 0, to: rig.map.layout.tablePages.start, by: 4) {
      for kind in [PointKind.readModifyWrite, .store, .release] {
        if let found = rig.check(kind, word) { Issue.record("\(kind) of word \(word): \(found)") }
      }
    }
    for table in 1...rig.machine.pools.usedRows(.tablePages) {
      for index in 0..<rig.machine.geometry.tableEntries {
        let word = rig.entryWord(table, index)
        if let found = rig.check(.store, word) { Issue.record("entry \(index) of table \(table): \(found)") }
      }
    }
    // What is given back at the moment, and what was unmapped, is not looked for.
    rig.checks.releasing = 1
    rig.machine.memmap.page(rig.frame).refcount.store(3)
    #expect(rig.check(.readModifyWrite, rig.pageWord(rig.frame, PageRow.refcount)) == nil)
    _ = Unmanaged.passRetained(rig)
  }

  @Test("every invariant of a step has a name of its own, a source, a statement, a moment and a breach")
  func listed() {
    #expect(Set(StepInvariant.all.map(\.name)).count == StepInvariant.all.count)
    #expect(
      StepInvariant.all.allSatisfy { !$0.source.isEmpty && !$0.statement.isEmpty && !$0.moment.isEmpty })
    #expect(StepInvariant.all.map(\.name) == Self.breaches.map(\.invariant))
    #expect(Set(StepInvariant.all.map(\.name)).isDisjoint(with: Invariant.all.map(\.name)))
  }

  private final class Box {
    let pins: PinnedPages
    init(_ pins: consuming PinnedPages) { self.pins = pins }
  }
}
