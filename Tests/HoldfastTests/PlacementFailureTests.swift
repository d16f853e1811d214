import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// Rows of the table in which pages cannot move, or not at once.
extension PlacementTests {
  @Test(
    "S3: a page that somebody else has isolated; a fatal signal ends the loop (rule 6.8)",
    arguments: PlacementPolicy.all)
  func neverIsolated(_ policy: PlacementPolicy) throws {
    for ground in Self.forbidden(policy) {
      for kind in Self.settled(policy) {
        let what = "\(policy.name) \(ground.rawValue) \(kind.rawValue)"
        let trace = PinTrace()
        let rig = try PinRig(ground, policy: policy, trace: trace)
        let machine = rig.machine
        let start = try rig.make(kind)
        let head = machine.memmap.head(of: try #require(rig.frame(start)))
        #expect(machine.migration.isolate(head, on: 0), "\(what), isolated")
        trace.events = []
        trace.watch = { event in
          guard case .isolate(_, false) = event, trace.failedIsolations == 300 else { return }
          rig.process.raise(fatal: true)
        }
        let seen = Self.pin(rig, start, .fast)
        switch Self.column(policy) {
        case .a, .b, .window: #expect(seen.result == .inPlace, "\(what)")
        case .c:
          #expect(seen.result == .fails(.resourceBusy), "\(what)")
          #expect(seen.error?.cause == .notIsolated(folios: 1, passes: 101), "\(what), cause")
          #expect(seen.error?.stage == .isolate, "\(what), stage")
          #expect(machine.total(.longtermRetries) == 100, "\(what), retries")
          #expect(trace.failedIsolations == 101, "\(what), isolations")
        case .d, .e, .f:
          #expect(seen.result == .fails(.interrupted), "\(what)")
          #expect(seen.error?.cause == .interrupted, "\(what), cause")
          #expect(machine.total(.longtermRetries) == 300, "\(what), retries")
        }
        rig.process.clearSignals()
        rig.check(what, isolated: [head])
        #expect(rig.process.scope == [], "\(what), scope")
        machine.migration.putBack(head, on: 0)
        machine.lru.drainAll(for: rig.process)
        #expect(Self.pin(rig, start, .fast).result == .moved, "\(what), once put back")
        rig.check(what + ", once put back")
      }
    }
  }

  @Test("S4: no memory for the target (rule 6.8)", arguments: PlacementPolicy.all)
  func noTarget(_ policy: PlacementPolicy) throws {
    for ground in Self.forbidden(policy) {
      for kind in Self.settled(policy) {
        let what = "\(policy.name) \(ground.rawValue) \(kind.rawValue)"
        let rig = try PinRig(ground, policy: policy)
        let machine = rig.machine
        let start = try rig.make(kind)
        let before = rig.state()
        machine.injectFailures(.allocation, count: 1000)
        let seen = Self.pin(rig, start, .fast)
        machine.injectFailures(.allocation, count: 0)
        switch Self.column(policy) {
        case .a, .b: #expect(seen.result == .inPlace, "\(what)")
        case .c:
          #expect(seen.result == .fails(.noMemory), "\(what)")
          #expect(machine.total(.longtermRetries) == 10, "\(what), retries")
        default:
          #expect(seen.result == .fails(.noMemory), "\(what)")
          #expect(machine.total(.longtermRetries) == 0, "\(what), retries")
        }
        if let error = seen.error {
          guard case .noTarget = error.cause else {
            Issue.record("\(what): \(error.cause)")
            continue
          }
          machine.lru.drainAll(for: rig.process)
          #expect(rig.state() == before, "\(what), state")
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
    #expect(seen.result == .fails(.noMemory), "no room")
    #expect(seen.error?.stage == .migrate, "stage")
    // What faults allocate in the scope has no place either.
    let hole = try rig.map(1)
    #expect(Self.pin(rig, hole, .slow).error?.stage == .fault, "a hole")
    for frame in taken { try machine.free(frame, by: rig.process) }
    machine.lru.drainAll(for: rig.process)
    #expect(Self.pin(rig, start, .fast).result == .moved, "room again")
    rig.check("exhausted")
  }

  @Test(
    "S5: a read-only pin of untouched memory, with the zero page in ZONE_NORMAL and ZONE_MOVABLE (rule 6.8)")
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
          case .a, .b, .d, .e: #expect(isZeroPage, "\(what)")
          case .c, .f, .window: #expect(!isZeroPage, "\(what)")
          }
          let isCounted = isZeroPage && Self.column(policy) != .e
          let bias = policy == .linux5_5 ? 1 : 1024
          #expect(
            rig.counts(machine.zeroPageFrame)[0] == before[0] + (isCounted ? bias : 0), "\(what), references")
          if !isZeroPage {
            #expect(machine.memmap.page(pins[0]).zone.kind == .normal, "\(what), a real page")
          }
          rig.check(what)
          pins.unpin()
          #expect(rig.counts(machine.zeroPageFrame) == before, "\(what), unpinned")
          rig.check(what + ", unpinned")
        }
      }
    }
  }

  @Test(
    "S7: an extra reference that goes away after some failures (rule 6.8)", arguments: PlacementPolicy.all)
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
        case .a, .b: #expect(seen.result == (failures < 10 ? .moved : .inPlace), "\(what)")
        case .c: #expect(seen.result == (failures < 110 ? .moved : .fails(.resourceBusy)), "\(what)")
        default: #expect(seen.result == (failures < 10 ? .moved : .fails(.noMemory)), "\(what)")
        }
        if isHeld { rig.page(frame).refcount.fetchAdd(-1) }
        rig.check(what)
      }
    }
  }

  @Test(
    "the fast entry point keeps its lockless prefix when the rest fails; the slow one gives it back (rule 5.7)"
  )
  func prefix() throws {
    for policy in [PlacementPolicy.movableV4, .linux5_13, .linux6_1, .linuxMainline] {
      for entry in [PinEntry.fast, .slow] {
        let what = "\(policy.name) \(entry.rawValue)"
        let rig = try PinRig(.movable, policy: policy)
        let machine = rig.machine
        let start = try rig.make(.anonymous)
        // The first page is where it may stay; the third one has another reference.
        do { _ = try machine.pin(rig.process, at: start, pages: 1, flags: [.write, .longterm]) }
        let busy = try #require(rig.frame(start + 2 * 4096))
        let other = try machine.get(rig.process, at: start + 2 * 4096, pages: 1)
        let error = policy == .movableV4 ? Errno.resourceBusy : .noMemory
        do {
          let pins = try machine.pin(
            rig.process, at: start, pages: 4, flags: [.write, .longterm], entry: entry)
          #expect(entry == .fast, "\(what)")
          #expect(pins.count == 1, "\(what)")
          #expect(pins.shortfall?.errno == error, "\(what), shortfall")
          #expect(pins.shortfall?.frame == busy, "\(what), frame")
          rig.check(what)
        } catch {
          #expect(entry == .slow, "\(what)")
        }
        #expect(rig.acquired == rig.released, "\(what), pins")
        rig.check(what + ", given back")
        // Nobody wants pages of the end: a short count, after the pages that are there have moved.
        other.put()
        machine.lru.drainAll(for: rig.process)
        let short = try machine.pin(
          rig.process, at: start, pages: 5, flags: [.write, .longterm], entry: .slow)
        #expect(short.count == 4, "\(what), the end of the area")
        #expect(short.shortfall?.cause == .noArea, "\(what), the end of the area")
        for i in 0..<4 { #expect(rig.page(short[i]).zone.kind == .normal, "\(what), page \(i)") }
        rig.check(what + ", the end of the area")
      }
    }
  }
}
