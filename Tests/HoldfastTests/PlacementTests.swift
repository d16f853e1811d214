import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// The scenario table of rule 6.8, for every policy.
@Suite struct PlacementTests {
  /// The column of the table that a policy is.
  enum Column: String { case a, b, c, d, e, f, window }

  static func column(_ policy: PlacementPolicy) -> Column {
    switch policy.name {
    case "linux-5.5", "pin-bias", "pin-exact", "linux-5.10": .a
    case "movable-v3": .b
    case "movable-v4": .c
    case "linux-5.13": .d
    case "linux-6.1": .e
    case "linux-6.14": .window
    default: .f
    }
  }

  /// Grounds that the policy forbids.
  static func forbidden(_ policy: PlacementPolicy) -> [Ground] {
    column(policy) == .a ? [.cma] : [.cma, .movable]
  }

  /// Kinds that a write pin takes as they are; after a fork the fault comes first, which copies a page that
  /// somebody else refers to.
  static func settled(_ policy: PlacementPolicy) -> [PageKind] { owned(policy).filter { $0 != .afterFork } }

  /// Kinds that the policy moves away: linux-6.1 refuses hugetlb pages, which `pool` looks at.
  static func owned(_ policy: PlacementPolicy) -> [PageKind] {
    PageKind.owned.filter { !policy.refusesHugetlbMoves || !$0.isHugetlb }
  }

  static func isOn(_ ground: Ground, _ frame: FrameNumber, _ machine: Machine) -> Bool {
    switch ground {
    case .normal:
      machine.memmap.page(frame).zone.kind == .normal && machine.buddy.pageblockType(of: frame) != .cma
    case .movable: machine.memmap.page(frame).zone.kind == .movable
    case .cma: machine.buddy.pageblockType(of: frame) == .cma
    }
  }

  @Test(
    "S0, S1: unreferenced pages of every kind leave where they may not stay; contents go along (rule 6.8)",
    arguments: PlacementPolicy.all)
  func moves(_ policy: PlacementPolicy) throws {
    for ground in Ground.allCases {
      for kind in Self.owned(policy) {
        for entry in [PinEntry.fast, .slow] {
          let what = "\(policy.name) \(ground.rawValue) \(kind.rawValue) \(entry.rawValue)"
          let rig = try PinRig(ground, policy: policy)
          let start = try rig.make(kind)
          let old = try #require(rig.frame(start))
          #expect(Self.isOn(ground, old, rig.machine), "\(what), begins there")
          let pins = try rig.machine.pin(
            rig.process, at: start, pages: rig.unit, flags: [.write, .longterm], entry: entry)
          #expect(pins.count == rig.unit, "\(what)")
          let hasMoved = Self.forbidden(policy).contains(ground)
          #expect((pins[0] != old) == hasMoved, "\(what), moved")
          for i in 0..<rig.unit {
            #expect(rig.frame(start + i * 4096) == pins[i], "\(what), page \(i)")
            #expect(rig.machine.folios.isLongtermPinnable(pins[i]), "\(what), pinnable \(i)")
          }
          if hasMoved, Self.column(policy) != .a {
            #expect(Self.isOn(.normal, pins[0], rig.machine), "\(what), ends in ZONE_NORMAL")
          }
          #expect(
            try rig.machine.check(rig.process, start, pages: rig.unit, pattern: 0x51) == nil,
            "\(what), contents")
          #expect(rig.process.scope == [], "\(what), scope")
          rig.check(what)
          pins.unpin()
          rig.check(what + ", unpinned")
        }
      }
    }
  }

  @Test(
    "pages faulted in by the pin come from where they may stay; the scope ends with it (rules 2.12, 6.2)",
    arguments: PlacementPolicy.all)
  func faultsInScope(_ policy: PlacementPolicy) throws {
    for ground in Ground.allCases {
      for entry in [PinEntry.fast, .slow] {
        let what = "\(policy.name) \(ground.rawValue) \(entry.rawValue)"
        let trace = PinTrace()
        let rig = try PinRig(ground, policy: policy, trace: trace)
        let start = try rig.map(3)
        let pins = try rig.machine.pin(
          rig.process, at: start, pages: 3, flags: [.write, .longterm], entry: entry)
        // Under (a) the scope only keeps CMA away: ZONE_MOVABLE is where such pages land first.
        let stays = Self.column(policy) == .a && ground == .movable
        for i in 0..<3 {
          #expect(Self.isOn(.normal, pins[i], rig.machine) == !stays, "\(what), page \(i)")
        }
        #expect(!trace.events.contains { if case .migrate = $0 { true } else { false } }, "\(what), migrated")
        #expect(rig.process.scope == [], "\(what), scope")
        rig.check(what)
        pins.unpin()
        // Outside the scope the same memory is served as ever.
        let next = try rig.map(1)
        #expect(
          try Self.isOn(ground, rig.machine.touch(rig.process, next, write: true), rig.machine), "\(what)")
      }
    }
    let rig = try PinRig(.movable, policy: policy)
    let outer = rig.process.savePinScope()
    let start = try rig.map(1)
    _ = try rig.machine.pin(rig.process, at: start, pages: 1, flags: [.write, .longterm])
    #expect(rig.process.scope == .pin, "an inner restore does not end the outer scope")
    rig.process.restorePinScope(outer)
    #expect(rig.process.scope == [], "the outer restore does")
  }

  /// What a row of the table says for a policy.
  enum Expected: Equatable {
    case moved, inPlace
    case fails(Errno)
  }

  struct Seen {
    var result = Expected.moved
    var error: PinError?
    var frame = FrameNumber.none
  }

  /// Pins one folio for a long time; what came of it.
  static func pin(
    _ rig: PinRig, _ start: VirtualAddress, _ entry: PinEntry, _ flags: PinFlags = [.write, .longterm]
  )
    -> Seen
  {
    let old = rig.frame(start)
    do {
      let pins = try rig.machine.pin(rig.process, at: start, pages: 1, flags: flags, entry: entry)
      return Seen(result: pins[0] == old ? .inPlace : .moved, frame: pins[0])
    } catch {
      return Seen(result: .fails(error.errno), error: error)
    }
  }

  @Test(
    "S2, two pinners: an extra reference or pin that stays (rule 6.8)", arguments: PlacementPolicy.all)
  func extraReference(_ policy: PlacementPolicy) throws {
    for ground in Self.forbidden(policy) {
      for kind in Self.owned(policy) {
        for isPin in [false, true] {
          for entry in [PinEntry.fast, .slow] {
            let what =
              "\(policy.name) \(ground.rawValue) \(kind.rawValue) \(isPin ? "pin" : "get") \(entry.rawValue)"
            let trace = PinTrace()
            let rig = try PinRig(ground, policy: policy, trace: trace)
            let machine = rig.machine
            let start = try rig.make(kind)
            let frame = try #require(rig.frame(start))
            let other = try machine.createProcess(name: "other", processor: 1)
            var pins: PinnedPages?
            var gets: GottenPages?
            if isPin {
              pins = try machine.pin(
                other, at: start, pages: 1, entry: .remote, of: rig.process, purpose: PinLabel("rdma"))
            } else {
              gets = try machine.get(
                other, at: start, pages: 1, entry: .remote, of: rig.process, purpose: PinLabel("rdma"))
            }
            let before = rig.state()
            let seen = Self.pin(rig, start, entry)
            let failedPages = machine.total(.pgmigrateFail)
            let size = UInt64(machine.memmap.folioPages(frame))
            switch Self.column(policy) {
            case .a, .b:
              #expect(seen.result == .inPlace, "\(what)")
              #expect(trace.failedMoves == 10, "\(what), passes")
            case .c:
              #expect(seen.result == .fails(.resourceBusy), "\(what)")
              #expect(machine.total(.longtermRetries) == 10, "\(what), retries")
              #expect(trace.failedMoves == 110, "\(what), passes")
              #expect(failedPages == 11 * size, "\(what), pgmigrate_fail")
            default:
              #expect(seen.result == .fails(.noMemory), "\(what)")
              #expect(machine.total(.longtermRetries) == 0, "\(what), retries")
              #expect(trace.failedMoves == 10, "\(what), passes")
              #expect(failedPages == size, "\(what), pgmigrate_fail")
            }
            if let error = seen.error {
              #expect(error.stage == .migrate, "\(what), stage")
              #expect(error.frame == machine.memmap.head(of: frame), "\(what), frame")
              #expect(error.holders.map(\.purpose) == ["rdma"], "\(what), holders")
              #expect(error.holders.first?.isPin == isPin, "\(what), holder")
              if case .notMigrated(let failures) = error.cause {
                // An exclusive page that is pinned does not even lose its mapping.
                let isRefused = policy.tracksExclusive && isPin && rig.head(frame).mapping.isAnonymous
                #expect(
                  failures.map(\.stage) == [isRefused ? .unmap : .references], "\(what), migration stage")
              } else {
                Issue.record("\(what): \(error.cause)")
              }
              // The page went through a batch; apart from that everything is as before.
              machine.lru.drainAll(for: rig.process)
              #expect(rig.state() == before, "\(what), state")
            }
            rig.check(what)
            pins.take()?.unpin()
            gets.take()?.put()
            machine.lru.drainAll(for: rig.process)
            #expect(Self.pin(rig, start, entry).result == .moved, "\(what), once the other let go")
            rig.check(what + ", once the other let go")
          }
        }
      }
    }
  }

  @Test("a page in an ISOLATE pageblock may be pinned up to 5.18, and moves away from then on (rule 6.1)")
  func isolatePageblock() throws {
    for policy in PlacementPolicy.all {
      let rig = try PinRig(.normal, policy: policy)
      let machine = rig.machine
      let start = try rig.make(.hugePMD)
      let old = try #require(rig.frame(start))
      let block = FrameRange(start: old, count: rig.unit)
      try machine.isolation.isolateRange(block, for: .movable, memoryOffline: false, by: rig.process)
      let seen = Self.pin(rig, start, .fast)
      let moves = policy.forbidden == .cmaIsolateAndMovable
      #expect(moves == (policy == .linux6_1 || PinCountingTests.isMainline(policy)), "\(policy.name)")
      #expect(seen.result == (moves ? .moved : .inPlace), "\(policy.name)")
      machine.isolation.undoIsolation(block, to: .movable)
      rig.check(policy.name)
    }
  }

  @Test(
    "5.10's step over compound pages misses small pages between PTE-mapped parts of one (rule 6.3)",
    arguments: PlacementPolicy.all)
  func sparseArray(_ policy: PlacementPolicy) throws {
    let rig = try PinRig(.cma, policy: policy)
    let machine = rig.machine
    let start = try rig.make(.hugePTE)
    // Page 1 of the range becomes a small page: the array is large, small, large, large.
    let hole = start + 4096
    try machine.advise(rig.process, AddressRange(start: hole, pages: 1), .dontNeed)
    try machine.advise(rig.process, AddressRange(start: start, pages: rig.unit), .noHugePage)
    let small = try machine.touch(rig.process, hole, write: true)
    machine.lru.drainAll(for: rig.process)
    #expect(Self.isOn(.cma, small, machine), "\(policy.name), begins in CMA")
    #expect(!(rig.page(small).isLarge || rig.page(small).isTail), "\(policy.name), small")
    let pins = try machine.pin(rig.process, at: start, pages: rig.unit, flags: [.write, .longterm])
    #expect((pins[1] == small) == policy.collectsByStep, "\(policy.name), the small page stays in CMA")
    #expect(policy.collectsByStep == [.a, .b].contains(Self.column(policy)), "\(policy.name), steps")
    #expect(machine.folios.isLongtermPinnable(pins[0]), "\(policy.name), the large one moved")
    rig.check(policy.name)
  }

  @Test("an interrupted pin gives everything back (rule 5.6)")
  func interrupted() throws {
    for entry in PinEntry.allCases where entry != .fastOnly {
      let rig = try PinRig()
      let start = try rig.make(.anonymous)
      let hole = try rig.map(2)
      rig.process.raise(fatal: true)
      let isResidentTaken = entry == .fast
      // The lockless walk does not look at signals, the slow path does before every page.
      let resident = PinArgumentTests.take(rig, start, .write, entry, isPin: true)
      #expect(resident.count == (isResidentTaken ? 1 : nil), "\(entry.rawValue)")
      let error = PinArgumentTests.take(rig, hole, pages: 2, .write, entry, isPin: true)
      #expect(error.errno == .interrupted, "\(entry.rawValue)")
      #expect(error.stage == .signal, "\(entry.rawValue)")
      rig.check(entry.rawValue)
    }
  }

  @Test("when batches are drained, and whose (rules 6.6, 6.7)")
  func drains() throws {
    for policy in PlacementPolicy.all {
      for batch in ["none", "own", "other", "large"] {
        let what = "\(policy.name), batch \(batch)"
        let rig = try PinRig(.cma, policy: policy)
        let machine = rig.machine
        let start = batch == "large" ? try rig.make(.hugePMD) : try rig.map(1)
        if batch != "large" {
          rig.process.processor = batch == "other" ? 1 : 0
          try machine.touch(rig.process, start, write: true)
          rig.process.processor = 0
        }
        if batch == "none" { machine.lru.drain(processor: 0, on: 0) }
        let before = [machine.total(.lruDrainLocal), machine.total(.lruDrainAll)]
        #expect(Self.pin(rig, start, .fast).result == .moved, "\(what)")
        let found = [
          Int(machine.total(.lruDrainLocal) - before[0]), Int(machine.total(.lruDrainAll) - before[1]),
        ]
        let isOffList = batch == "own" || batch == "other"
        switch Self.column(policy) {
        // Once a pass if a page is not on its list.
        case .a, .b, .d: #expect(found == [0, isOffList ? 1 : 0], "\(what)")
        // Unconditionally.
        case .c: #expect(found == [0, 1], "\(what)")
        // 6.1.192 counts its own pin of a small page as one reference: both levels, always.
        case .e: #expect(found == (batch == "large" ? [0, 0] : [1, 1]), "\(what)")
        // Only as far as needed.
        case .f, .window: #expect(found == [isOffList ? 1 : 0, batch == "other" ? 1 : 0], "\(what)")
        }
        rig.check(what)
      }
    }
  }

  @Test("in the scope, a hugetlb fault passes over huge pages on which the pin may not stay (rule 2.12)")
  func hugetlbPool() throws {
    for policy in PlacementPolicy.all {
      let rig = try PinRig(.movable, policy: policy)
      let machine = rig.machine
      try machine.reserveHugePages(node: 0, count: 1, for: rig.process)
      let start = try rig.map(rig.unit, .hugetlb)
      let stays = Self.column(policy) == .a
      let error = pinError {
        _ = try machine.pin(rig.process, at: start, pages: 1, flags: [.write, .longterm])
      }
      #expect(error?.stage == (stays ? nil : .fault), "\(policy.name)")
      #expect(error?.errno == (stays ? nil : .badAddress), "\(policy.name)")
      #expect((rig.frame(start) != nil) == stays, "\(policy.name), mapped")
      rig.check(policy.name)
      // An ordinary fault takes it, and then the pin moves it, or refuses it where it is (rule 5.5).
      try machine.touch(rig.process, start, write: true)
      if policy.refusesHugetlbMoves {
        let state = rig.state()
        for entry in [PinEntry.fast, .slow] {
          let seen = Self.pin(rig, start, entry)
          #expect(seen.result == .fails(.noMemory), "\(policy.name) \(entry.rawValue), after a touch")
          #expect(seen.error?.cause == .hugetlbMayNotStay, "\(policy.name) \(entry.rawValue), cause")
        }
        #expect(rig.state() == state, "\(policy.name), state")
        continue
      }
      let pins = try machine.pin(rig.process, at: start, pages: 1, flags: [.write, .longterm])
      #expect((rig.page(pins[0]).zone.kind == .movable) == stays, "\(policy.name), after a touch")
      rig.check("\(policy.name), after a touch")
    }
  }
}
