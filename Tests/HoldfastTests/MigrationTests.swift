import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// Folios that move, and those that stay: at which stage, for which reason, and with nothing changed.
@Suite struct MigrationTests {
  /// Isolates the folio behind an address and migrates it; what came of it.
  ///
  /// Folios that stay are put back.
  static func migrate(
    _ rig: PinRig, _ start: VirtualAddress, mode: MigrationMode = .sync, gfp: GFPFlags = .highUserMovable,
    node: Int? = nil
  ) throws -> MigrationOutcome {
    let head = rig.machine.memmap.head(of: try #require(rig.frame(start)))
    var list = FolioList()
    #expect(rig.machine.migration.isolate(head, on: 0), "isolated")
    list.pushLast(head, in: rig.machine.memmap)
    let outcome = rig.machine.migration.migratePages(
      &list, reason: .systemCall, mode: mode, target: .allocate(gfp: gfp, node: node), for: rig.process)
    #expect(list.count == outcome.remaining, "folios left on the list")
    #expect((list.count > 0) == !outcome.isComplete, "the list and the result agree")
    while let head = list.popFirst(in: rig.machine.memmap) { rig.machine.migration.putBack(head, on: 0) }
    rig.machine.lru.drainAll(for: rig.process)
    return outcome
  }

  @Test("who else refers to a folio decides, for every kind (rules 7.3, 12.24 to 12.26, 12.30 to 12.32)")
  func expectedReferences() throws {
    for kind in PageKind.owned + [.memfdPrivate] {
      for extra in ["none", "get", "pin", "two gets", "cleared mapping"] {
        for backing in [FrameBacking.none, .memfd] {
          let what = "\(kind.rawValue), \(extra), \(backing)"
          let trace = PinTrace()
          let rig = try PinRig(trace: trace) { $0.backing = backing }
          let machine = rig.machine
          let start = try rig.make(kind)
          let old = machine.memmap.head(of: try #require(rig.frame(start)))
          let size = machine.memmap.folioPages(old)
          var pins: PinnedPages?
          var gets: GottenPages?
          let canPin = kind != .memfdPrivate
          switch extra {
          case "get": gets = try machine.get(rig.process, at: start, pages: 1, flags: [])
          case "two gets": gets = try machine.get(rig.process, at: start, pages: rig.unit, flags: [])
          case "pin": pins = try machine.pin(rig.process, at: start, pages: 1, flags: canPin ? .write : [])
          case "cleared mapping":
            // Mapped again by the next access: the cache alone holds what an object has.
            try machine.advise(rig.process, AddressRange(start: start, pages: rig.unit), .dontNeed)
          default: break
          }
          let before = rig.state()
          trace.events = []
          let moves = extra == "none" || extra == "cleared mapping"
          if extra == "cleared mapping" {
            guard rig.page(old).refcount.load() > 0, rig.page(old).mapping.object != nil else { continue }
            var list = FolioList()
            #expect(machine.migration.isolate(old, on: 0), "\(what), isolated")
            list.pushLast(old, in: machine.memmap)
            let outcome = machine.migration.migratePages(
              &list, reason: .compaction, mode: .sync, target: .allocate(gfp: .highUserMovable, node: nil),
              for: rig.process)
            #expect(outcome.succeededPages == size, "\(what)")
            machine.lru.drainAll(for: rig.process)
            rig.check(what)
            #expect(
              try machine.check(rig.process, start, pages: rig.unit, pattern: 0x51) == nil,
              "\(what), contents")
            continue
          }
          let outcome = try Self.migrate(rig, start)
          #expect(outcome.isComplete == moves, "\(what)")
          #expect(outcome.succeededPages == (moves ? size : 0), "\(what), pages moved")
          #expect(outcome.failedPages == (moves ? 0 : size), "\(what), pages not moved")
          #expect(machine.total(.pgmigrateSuccess) == UInt64(moves ? size : 0), "\(what), pgmigrate_success")
          #expect(machine.total(.pgmigrateFail) == UInt64(moves ? 0 : size), "\(what), pgmigrate_fail")
          let isHuge = kind == .hugePMD || kind == .hugePTE
          #expect(
            machine.total(.thpMigrationSuccess) == (isHuge && moves ? 1 : 0), "\(what), thp_migration_success"
          )
          #expect(
            machine.total(.thpMigrationFail) == (isHuge && !moves ? 1 : 0), "\(what), thp_migration_fail")
          #expect(machine.total(.isolatedAnon) + machine.total(.isolatedFile) == 0, "\(what), isolated")
          #expect((rig.frame(start) == old) == !moves, "\(what), moved")
          if moves {
            #expect(rig.page(old).refcount.load() == 0, "\(what), the source is free")
          } else {
            #expect(trace.failedMoves == Migration.migrationPasses, "\(what), passes")
            let isRefused = extra == "pin" && rig.page(old).mapping.isAnonymous
            let stage = isRefused ? MigrationStage.unmap : .references
            #expect(outcome.attempts[stage.rawValue] == 10, "\(what), attempts")
            #expect(outcome.failures.first?.stage == stage, "\(what), stage")
            #expect(outcome.failures.first?.maybePinned == (extra == "pin"), "\(what), maybe pinned")
            #expect(rig.state() == before, "\(what), state")
          }
          rig.check(what)
          #expect(
            try machine.check(rig.process, start, pages: rig.unit, pattern: 0x51) == nil, "\(what), contents")
          pins.take()?.unpin()
          gets.take()?.put()
          if !moves {
            #expect(try Self.migrate(rig, start).isComplete, "\(what), once let go")
            rig.check(what + ", once let go")
            #expect(
              try machine.check(rig.process, start, pages: rig.unit, pattern: 0x51) == nil,
              "\(what), contents")
          }
        }
      }
    }
  }

  @Test("data that an owner keeps with a page of an object accounts for one reference (rule 7.3)")
  func ownerData() throws {
    for kind in PageKind.owned {
      let rig = try PinRig()
      let machine = rig.machine
      let head = machine.memmap.head(of: try #require(rig.frame(try rig.make(kind))))
      let before = machine.folios.expectedReferences(of: head)
      rig.page(head).set(.hasPrivate)
      machine.folios.get(head)
      let expected = machine.folios.expectedReferences(of: head)
      let hasObject = rig.page(head).mapping.object != nil
      #expect(expected.ownerData == (hasObject ? 1 : 0), "\(kind.rawValue)")
      #expect(expected.total == before.total + expected.ownerData, "\(kind.rawValue)")
      let stuck = machine.migration.describeStuck(head, pages: 1)
      #expect(stuck.references == stuck.expected + (hasObject ? 0 : 1), "\(kind.rawValue)")
      rig.page(head).clear(.hasPrivate)
      machine.folios.put(head, on: 0)
    }
  }

  @Test("a batch hides a page and a reference; a drain shows both (rules 1.4, 7.7)")
  func batches() throws {
    for kind in [PageKind.anonymous, .sharedAnonymous] {
      let rig = try PinRig()
      let machine = rig.machine
      let start = try rig.map(1, kind == .anonymous ? .privateAnonymous : .sharedAnonymous)
      let frame = try machine.touch(rig.process, start, write: true)
      let page = rig.page(frame)
      let own: Int32 = kind == .anonymous ? 1 : 2
      #expect(page.refcount.load() == own + 1, "\(kind.rawValue), fresh")
      #expect(!page.has(.lru), "\(kind.rawValue), fresh")
      rig.check("\(kind.rawValue), fresh")
      #expect(!machine.migration.isolate(frame, on: 0), "\(kind.rawValue), in a batch")
      #expect(machine.total(.isolationFailures) == 1, "\(kind.rawValue), counted")
      machine.lru.drain(processor: 1, on: 0)
      #expect(!page.has(.lru), "\(kind.rawValue), another processor's drain")
      machine.lru.drain(for: rig.process)
      #expect(page.refcount.load() == own, "\(kind.rawValue), drained")
      #expect(page.has(.lru), "\(kind.rawValue), drained")
      #expect(try Self.migrate(rig, start).isComplete, "\(kind.rawValue), migrates")
      rig.check("\(kind.rawValue), migrated")
    }
    // A batch holds 15; the 15th flushes it, as does a large folio, and nothing waits while batches are off.
    let rig = try PinRig()
    let machine = rig.machine
    let start = try rig.map(40)
    for page in 0..<14 { try machine.touch(rig.process, start + page * 4096, write: true) }
    #expect(atRest { machine.processor(0).batchCount } == 14, "fourteen")
    try machine.touch(rig.process, start + 14 * 4096, write: true)
    #expect(atRest { machine.processor(0).batchCount } == 0, "fifteen")
    try machine.touch(rig.process, start + 15 * 4096, write: true)
    #expect(atRest { machine.processor(0).batchCount } == 1, "sixteen")
    let huge = try rig.map(4)
    try machine.advise(rig.process, AddressRange(start: huge, pages: 4), .hugePage)
    try machine.touch(rig.process, huge, write: true)
    #expect(atRest { machine.processor(0).batchCount } == 0, "a large folio")
    machine.lru.disableBatches(for: rig.process)
    machine.lru.disableBatches(for: rig.process)
    for nesting in 0..<3 {
      try machine.touch(rig.process, start + (16 + nesting) * 4096, write: true)
      #expect(
        atRest { machine.processor(0).batchCount } == (nesting < 2 ? 0 : 1), "disabled \(2 - nesting) times")
      if nesting < 2 { machine.lru.enableBatches() }
    }
    rig.check("batches")
  }

  @Test("locks and writeback: who waits, who tries again, who gives up (rule 7.2)")
  func locksAndWriteback() throws {
    for mode in [MigrationMode.async, .syncLight, .sync, .syncNoCopy] {
      let what = "\(mode)"
      let trace = PinTrace()
      let rig = try PinRig(trace: trace)
      let start = try rig.make(.anonymous)
      let frame = try #require(rig.frame(start))
      rig.page(frame).set(.writeback)
      let busy = try Self.migrate(rig, start, mode: mode)
      let isSync = mode == .sync || mode == .syncNoCopy
      #expect(busy.attempts[MigrationStage.writeback.rawValue] == (isSync ? 10 : 1), "\(what), writeback")
      #expect(busy.remaining == 1, "\(what), writeback")
      rig.page(frame).clear(.writeback)
      if mode == .async {
        #expect(rig.page(frame).lock.tryLock(), "\(what)")
        let locked = try Self.migrate(rig, start, mode: mode)
        #expect(locked.attempts[MigrationStage.lock.rawValue] == 10, "\(what), locked")
        rig.page(frame).lock.unlock()
      } else {
        // Given back before the fourth pass would wait for it.
        trace.events = []
        #expect(rig.page(frame).lock.tryLock(), "\(what)")
        trace.watch = { event in
          guard case .migrate(_, nil, _, _) = event, trace.failedMoves == 3 else { return }
          rig.page(frame).lock.unlock()
        }
        let waited = try Self.migrate(rig, start, mode: mode)
        #expect(waited.isComplete, "\(what), lock given back")
        #expect(waited.attempts[MigrationStage.lock.rawValue] == 3, "\(what), lock")
      }
      rig.check(what)
    }
  }

  @Test("flags go along, and entries keep what they allowed (rules 7.2, 7.4)")
  func carried() throws {
    let carried: [PageFlags] = [
      .referenced, .uptodate, .dirty, .active, .workingset, .ownerPrivate, .unevictable, .mlocked,
    ]
    for kind in PageKind.owned {
      for flag in carried {
        if kind.isHugetlb, flag == .active || flag == .unevictable { continue }
        let what = "\(kind.rawValue) \(flag.rawValue)"
        let rig = try PinRig()
        let start = try rig.make(kind)
        let old = rig.machine.memmap.head(of: try #require(rig.frame(start)))
        let entries = (0..<rig.unit).map { rig.entryBits(start + $0 * 4096) }
        let head = rig.page(old)
        // What decides about the list changes only while the folio is on none.
        var list = FolioList()
        #expect(rig.machine.migration.isolate(old, on: 0), "\(what), isolated")
        head.set(flag)
        list.pushLast(old, in: rig.machine.memmap)
        _ = rig.machine.migration.migratePages(
          &list, reason: .systemCall, mode: .sync, target: .allocate(gfp: .highUserMovable, node: nil),
          for: rig.process)
        rig.machine.lru.drainAll(for: rig.process)
        let new = rig.machine.memmap.head(of: try #require(rig.frame(start)))
        #expect(new != old, "\(what), moved")
        #expect(rig.page(new).has(flag), "\(what), carried")
        #expect((0..<rig.unit).map { rig.entryBits(start + $0 * 4096) } == entries, "\(what), entries")
        rig.check(what)
      }
    }
  }

  @Test("a folio that everyone let go of while it was isolated counts as moved (rule 7.2)")
  func freedUnderUs() throws {
    for kind in [PageKind.anonymous, .hugePMD, .sharedAnonymous] {
      let rig = try PinRig()
      let machine = rig.machine
      let start = try rig.make(kind)
      let head = try #require(rig.frame(start))
      let size = machine.memmap.folioPages(head)
      #expect(machine.migration.isolate(head, on: 0), "\(kind.rawValue), isolated")
      try machine.unmap(rig.process, AddressRange(start: start, pages: rig.unit))
      #expect(rig.page(head).refcount.load() == 1, "\(kind.rawValue), only isolated")
      var list = FolioList()
      list.pushLast(head, in: machine.memmap)
      let outcome = machine.migration.migratePages(
        &list, reason: .memoryHotplug, mode: .sync, target: .allocate(gfp: .highUserMovable, node: nil),
        for: rig.process)
      #expect(outcome.isComplete, "\(kind.rawValue)")
      #expect(outcome.succeededPages == size, "\(kind.rawValue), pages")
      #expect(rig.page(head).refcount.load() == 0, "\(kind.rawValue), free")
      rig.check(kind.rawValue)
    }
  }
}

extension PinRig {
  /// An entry without its frame.
  func entryBits(_ address: VirtualAddress) -> UInt64 {
    space.pageTableLock.withLock {
      (machine.pageTables.leafSlot(space, address.page)?.entry.rawValue ?? 0) & 0xfff
    }
  }
}
