import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// The scenario table of spec 6.8, for every policy.
@Suite("Placement of long-term pins")
struct PlacementTests {
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
  static func forbidden(_ policy: PlacementPolicy) -> [Ground] { column(policy) == .a ? [.cma] : [.cma, .movable] }

  /// Kinds that a write pin takes as they are; after a fork the fault comes first, which copies a page that
  /// somebody else refers to.
  static let settled = PageKind.owned.filter { $0 != .afterFork }

  static func isOn(_ ground: Ground, _ frame: FrameNumber, _ machine: Machine) -> Bool {
    switch ground {
    case .normal: machine.page(frame).zone.kind == .normal && machine.pageblockType(of: frame) != .cma
    case .movable: machine.page(frame).zone.kind == .movable
    case .cma: machine.pageblockType(of: frame) == .cma
    }
  }

  @Test(
    "S0, S1: unreferenced pages of every kind leave where they may not stay; contents go along (spec 6.8)",
    arguments: PlacementPolicy.all)
  func moves(_ policy: PlacementPolicy) throws {
    for ground in Ground.allCases {
      for kind in PageKind.owned {
        for entry in [PinEntry.fast, .slow] {
          let what = "\(policy.name) \(ground.rawValue) \(kind.rawValue) \(entry.rawValue)"
          let rig = try PinRig(ground, policy: policy)
          let start = try rig.make(kind)
          let old = try #require(rig.frame(start))
          same(Self.isOn(ground, old, rig.machine), true, what + ", begins there")
          let pins = try rig.machine.pin(
            rig.process, at: start, pages: rig.unit, flags: [.write, .longterm], entry: entry)
          same(pins.count, rig.unit, what)
          let hasMoved = Self.forbidden(policy).contains(ground)
          same(pins[0] != old, hasMoved, what + ", moved")
          for i in 0..<rig.unit {
            same(rig.frame(start + i * 4096), pins[i], what + ", page \(i)")
            same(rig.machine.isLongtermPinnable(pins[i]), true, what + ", pinnable \(i)")
          }
          if hasMoved, Self.column(policy) != .a {
            same(Self.isOn(.normal, pins[0], rig.machine), true, what + ", ends in ZONE_NORMAL")
          }
          same(try rig.machine.check(rig.process, start, pages: rig.unit, pattern: 0x51), nil, what + ", contents")
          same(rig.process.scope, [], what + ", scope")
          rig.check(what)
          pins.unpin()
          rig.check(what + ", unpinned")
        }
      }
    }
  }

  @Test(
    "pages faulted in by the pin come from where they may stay; the scope ends with it (spec 2.12, 6.2)",
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
          same(Self.isOn(.normal, pins[i], rig.machine), !stays, what + ", page \(i)")
        }
        same(trace.events.contains { if case .migrate = $0 { true } else { false } }, false, what + ", migrated")
        same(rig.process.scope, [], what + ", scope")
        rig.check(what)
        pins.unpin()
        // Outside the scope the same memory is served as ever.
        let next = try rig.map(1)
        same(Self.isOn(ground, try rig.machine.touch(rig.process, next, write: true), rig.machine), true, what)
      }
    }
    let rig = try PinRig(.movable, policy: policy)
    let outer = rig.process.savePinScope()
    let start = try rig.map(1)
    _ = try rig.machine.pin(rig.process, at: start, pages: 1, flags: [.write, .longterm])
    same(rig.process.scope, .pin, "an inner restore does not end the outer scope")
    rig.process.restorePinScope(outer)
    same(rig.process.scope, [], "the outer restore does")
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
  static func pin(_ rig: PinRig, _ start: VirtualAddress, _ entry: PinEntry, _ flags: PinFlags = [.write, .longterm])
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
    "S2, two pinners: an extra reference or pin that stays (spec 6.8)", arguments: PlacementPolicy.all)
  func extraReference(_ policy: PlacementPolicy) throws {
    for ground in Self.forbidden(policy) {
      for kind in PageKind.owned {
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
                other, at: start, pages: 1, entry: .remote, of: rig.process, purpose: PinPurpose("rdma"))
            } else {
              gets = try machine.get(
                other, at: start, pages: 1, entry: .remote, of: rig.process, purpose: PinPurpose("rdma"))
            }
            let before = rig.state()
            let seen = Self.pin(rig, start, entry)
            let failedPages = machine.total(.pgmigrateFail)
            let size = UInt64(machine.folioPages(frame))
            switch Self.column(policy) {
            case .a, .b:
              same(seen.result, .inPlace, what)
              same(trace.failedMoves, 10, what + ", passes")
            case .c:
              same(seen.result, .fails(.resourceBusy), what)
              same(machine.total(.longtermRetries), 10, what + ", retries")
              same(trace.failedMoves, 110, what + ", passes")
              same(failedPages, 11 * size, what + ", pgmigrate_fail")
            default:
              same(seen.result, .fails(.noMemory), what)
              same(machine.total(.longtermRetries), 0, what + ", retries")
              same(trace.failedMoves, 10, what + ", passes")
              same(failedPages, size, what + ", pgmigrate_fail")
            }
            if let error = seen.error {
              same(error.stage, .migrate, what + ", stage")
              same(error.frame, machine.head(of: frame), what + ", frame")
              same(error.holders.map(\.purpose), ["rdma"], what + ", holders")
              same(error.holders.first?.isPin, isPin, what + ", holder")
              if case .notMigrated(let failures) = error.cause {
                // An exclusive page that is pinned does not even lose its mapping.
                let isRefused = policy.tracksExclusive && isPin && rig.head(frame).mapping.isAnonymous
                same(failures.map(\.stage), [isRefused ? .unmap : .references], what + ", migration stage")
              } else {
                Issue.record("\(what): \(error.cause)")
              }
              // The page went through a batch; apart from that everything is as before.
              machine.drainLRUAll(for: rig.process)
              same(rig.state(), before, what + ", state")
            }
            rig.check(what)
            pins.take()?.unpin()
            gets.take()?.put()
            machine.drainLRUAll(for: rig.process)
            same(Self.pin(rig, start, entry).result, .moved, what + ", once the other let go")
            rig.check(what + ", once the other let go")
          }
        }
      }
    }
  }

  @Test(
    "S3: a page that somebody else has isolated; a fatal signal ends the loop (spec 6.8)",
    arguments: PlacementPolicy.all)
  func neverIsolated(_ policy: PlacementPolicy) throws {
    for ground in Self.forbidden(policy) {
      for kind in Self.settled {
        let what = "\(policy.name) \(ground.rawValue) \(kind.rawValue)"
        let trace = PinTrace()
        let rig = try PinRig(ground, policy: policy, trace: trace)
        let machine = rig.machine
        let start = try rig.make(kind)
        let head = machine.head(of: try #require(rig.frame(start)))
        same(machine.isolate(head, on: 0), true, what + ", isolated")
        trace.events = []
        trace.watch = { event in
          guard case .isolate(_, false) = event, trace.failedIsolations == 300 else { return }
          rig.process.raise(fatal: true)
        }
        let seen = Self.pin(rig, start, .fast)
        switch Self.column(policy) {
        case .a, .b, .window: same(seen.result, .inPlace, what)
        case .c:
          same(seen.result, .fails(.resourceBusy), what)
          same(seen.error?.cause, .notIsolated(folios: 1, passes: 101), what + ", cause")
          same(seen.error?.stage, .isolate, what + ", stage")
          same(machine.total(.longtermRetries), 100, what + ", retries")
          same(trace.failedIsolations, 101, what + ", isolations")
        case .d, .e, .f:
          same(seen.result, .fails(.interrupted), what)
          same(seen.error?.cause, .interrupted, what + ", cause")
          same(machine.total(.longtermRetries), 300, what + ", retries")
        }
        rig.process.clearSignals()
        rig.check(what, isolated: [head])
        same(rig.process.scope, [], what + ", scope")
        machine.putBack(head, on: 0)
        machine.drainLRUAll(for: rig.process)
        same(Self.pin(rig, start, .fast).result, .moved, what + ", once put back")
        rig.check(what + ", once put back")
      }
    }
  }

  @Test("S4: no memory for the target (spec 6.8)", arguments: PlacementPolicy.all)
  func noTarget(_ policy: PlacementPolicy) throws {
    for ground in Self.forbidden(policy) {
      for kind in Self.settled {
        let what = "\(policy.name) \(ground.rawValue) \(kind.rawValue)"
        let rig = try PinRig(ground, policy: policy)
        let machine = rig.machine
        let start = try rig.make(kind)
        let before = rig.state()
        machine.injectFailures(.allocation, count: 1000)
        let seen = Self.pin(rig, start, .fast)
        machine.injectFailures(.allocation, count: 0)
        switch Self.column(policy) {
        case .a, .b: same(seen.result, .inPlace, what)
        case .c:
          same(seen.result, .fails(.noMemory), what)
          same(machine.total(.longtermRetries), 10, what + ", retries")
        default:
          same(seen.result, .fails(.noMemory), what)
          same(machine.total(.longtermRetries), 0, what + ", retries")
        }
        if let error = seen.error {
          guard case .noTarget = error.cause else {
            Issue.record("\(what): \(error.cause)")
            continue
          }
          machine.drainLRUAll(for: rig.process)
          same(rig.state(), before, what + ", state")
        }
        rig.check(what)
      }
    }
  }

  @Test("S4 with memory really used up: the pin fails, and works when there is room again")
  func exhausted() throws {
    let rig = try PinRig(.movable)
    let machine = rig.machine
    let start = try rig.make(.anonymous)
    var taken: [FrameNumber] = []
    while let frame = try? machine.allocate(gfp: [.kernel, .noWarn, .noRetry], by: rig.process) {
      taken.append(frame)
    }
    let seen = Self.pin(rig, start, .fast)
    same(seen.result, .fails(.noMemory), "no room")
    same(seen.error?.stage, .migrate, "stage")
    // What faults allocate in the scope has no place either.
    let hole = try rig.map(1)
    same(Self.pin(rig, hole, .slow).error?.stage, .fault, "a hole")
    for frame in taken { try machine.free(frame, by: rig.process) }
    machine.drainLRUAll(for: rig.process)
    same(Self.pin(rig, start, .fast).result, .moved, "room again")
    rig.check("exhausted")
  }

  @Test("S5: a read-only pin of untouched memory, with the zero page in ZONE_NORMAL and ZONE_MOVABLE (spec 6.8)")
  func zeroPage() throws {
    for policy in PlacementPolicy.all {
      for isMovable in [false, true] {
        for kind in [PageKind.hole, .zeroPage] {
          let what = "\(policy.name) zero page movable \(isMovable) \(kind.rawValue)"
          let rig = try PinRig(.movable, policy: policy) {
            $0.zeroPage = isMovable ? FrameNumber(200) : FrameNumber(3)
          }
          let machine = rig.machine
          let start = try rig.make(kind)
          let before = rig.counts(machine.zeroPageFrame)
          let pins = try machine.pin(rig.process, at: start, pages: 1, flags: .longterm, entry: .fast)
          let isZeroPage = pins[0] == machine.zeroPageFrame
          switch Self.column(policy) {
          case .a, .b, .d, .e: same(isZeroPage, true, what)
          case .c, .f, .window: same(isZeroPage, false, what)
          }
          let isCounted = isZeroPage && Self.column(policy) != .e
          let bias = policy == .linux5_5 ? 1 : 1024
          same(rig.counts(machine.zeroPageFrame)[0], before[0] + (isCounted ? bias : 0), what + ", references")
          if !isZeroPage { same(machine.page(pins[0]).zone.kind, .normal, what + ", a real page") }
          rig.check(what)
          pins.unpin()
          same(rig.counts(machine.zeroPageFrame), before, what + ", unpinned")
          rig.check(what + ", unpinned")
        }
      }
    }
  }

  @Test("S7: an extra reference that goes away after some failures (spec 6.8)", arguments: PlacementPolicy.all)
  func shortReference(_ policy: PlacementPolicy) throws {
    for failures in [1, 9, 10, 15, 109, 110] {
      for ground in Self.forbidden(policy) {
        let what = "\(policy.name) \(ground.rawValue) released after \(failures) failures"
        let trace = PinTrace()
        let rig = try PinRig(ground, policy: policy, trace: trace)
        let start = try rig.make(.anonymous)
        let frame = try #require(rig.frame(start))
        rig.page(frame).refcount.fetchAdd(1)
        var isHeld = true
        trace.watch = { event in
          guard case .migrate(_, nil, _, _) = event, trace.failedMoves == failures else { return }
          isHeld = false
          rig.page(frame).refcount.fetchAdd(-1)
        }
        let seen = Self.pin(rig, start, .fast)
        switch Self.column(policy) {
        case .a, .b: same(seen.result, failures < 10 ? .moved : .inPlace, what)
        case .c: same(seen.result, failures < 110 ? .moved : .fails(.resourceBusy), what)
        default: same(seen.result, failures < 10 ? .moved : .fails(.noMemory), what)
        }
        if isHeld { rig.page(frame).refcount.fetchAdd(-1) }
        rig.check(what)
      }
    }
  }

  @Test("a page in an ISOLATE pageblock may be pinned up to 5.18, and moves away from then on (spec 6.1)")
  func isolatePageblock() throws {
    for policy in PlacementPolicy.all {
      let rig = try PinRig(.normal, policy: policy)
      let machine = rig.machine
      let start = try rig.make(.hugePMD)
      let old = try #require(rig.frame(start))
      let block = FrameRange(start: old, count: rig.unit)
      try machine.isolateRange(block, for: .movable, memoryOffline: false, by: rig.process)
      let seen = Self.pin(rig, start, .fast)
      let moves = policy.forbidden == .cmaIsolateAndMovable
      same(moves, policy == .linux6_1 || PinCountingTests.isMainline(policy), policy.name)
      same(seen.result, moves ? .moved : .inPlace, policy.name)
      machine.undoIsolation(block, to: .movable)
      rig.check(policy.name)
    }
  }

  @Test(
    "K5.10's step over compound pages misses small pages between PTE-mapped parts of one (spec 6.3)",
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
    machine.drainLRUAll(for: rig.process)
    same(Self.isOn(.cma, small, machine), true, "\(policy.name), begins in CMA")
    same(rig.page(small).isLarge || rig.page(small).isTail, false, "\(policy.name), small")
    let pins = try machine.pin(rig.process, at: start, pages: rig.unit, flags: [.write, .longterm])
    same(pins[1] == small, policy.collectsByStep, "\(policy.name), the small page stays in CMA")
    same(policy.collectsByStep, [.a, .b].contains(Self.column(policy)), "\(policy.name), steps")
    same(machine.isLongtermPinnable(pins[0]), true, "\(policy.name), the large one moved")
    rig.check(policy.name)
  }

  @Test("an interrupted pin gives everything back (spec 5.6)")
  func interrupted() throws {
    for entry in PinEntry.allCases where entry != .fastOnly {
      let rig = try PinRig()
      let start = try rig.make(.anonymous)
      let hole = try rig.map(2)
      rig.process.raise(fatal: true)
      let isResidentTaken = entry == .fast
      // The lockless walk does not look at signals, the slow path does before every page.
      let resident = PinArgumentTests.take(rig, start, .write, entry, isPin: true)
      same(resident.count, isResidentTaken ? 1 : nil, entry.rawValue)
      let error = PinArgumentTests.take(rig, hole, pages: 2, .write, entry, isPin: true)
      same(error.errno, .interrupted, entry.rawValue)
      same(error.stage, .signal, entry.rawValue)
      rig.check(entry.rawValue)
    }
  }
}
