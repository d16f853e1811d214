import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// What a pin and a reference count as, by policy and kind of page.
@Suite struct PinCountingTests {
  /// How rule 1.6 counts pins on a folio of an order.
  enum Rule { case reference, bias, exact }

  static func rule(_ policy: PlacementPolicy, order: Int) -> Rule {
    switch policy.name {
    case "linux-5.5": .reference
    case "pin-bias": .bias
    case "pin-exact", "linux-5.10", "movable-v3", "movable-v4", "linux-5.13": order > 1 ? .exact : .bias
    default: order > 0 ? .exact : .bias
    }
  }

  static func isMainline(_ policy: PlacementPolicy) -> Bool {
    policy == .linuxMainline || policy == .linux6_14
  }

  struct Case: CustomStringConvertible {
    var policy: PlacementPolicy
    var kind: PageKind
    var flags: PinFlags
    var entry: PinEntry
    var pages: Int
    /// Order of the large kinds.
    var order: Int

    var description: String {
      "\(policy.name) \(kind.rawValue) order \(order) flags \(flags.rawValue) \(entry.rawValue) \(pages) pages"
    }

    /// Whether the pin is one of the zero page.
    var isZeroPage: Bool {
      guard kind == .hole || kind == .zeroPage, !flags.contains(.write) else { return false }
      if !flags.contains(.longterm) { return true }
      return policy != .movableV4 && !PinCountingTests.isMainline(policy)
    }
  }

  @Test(
    "page kind x flags x entry point: references, pins and statistics of pin and unpin (rules 1.6 to 1.11)",
    arguments: PlacementPolicy.all)
  func counts(_ policy: PlacementPolicy) throws {
    for order in [1, 2] {
      for kind in PageKind.allCases {
        for flags in [PinFlags.write, [], [.write, .longterm], .longterm] {
          for entry in [PinEntry.fast, .slow] {
            for pages in [1, order == 2 ? 3 : 2] {
              try Self.run(
                Case(policy: policy, kind: kind, flags: flags, entry: entry, pages: pages, order: order))
            }
          }
        }
      }
    }
  }

  private static func run(_ it: Case) throws {
    let rig = try PinRig(policy: it.policy, frames: 64) { $0.geometry.tableBits = it.order }
    let machine = rig.machine
    let start = try rig.make(it.kind)
    // The first pin lets the page come into being, or be copied; the second one counts.
    let first = try machine.pin(rig.process, at: start, pages: it.pages, flags: it.flags, entry: it.entry)
    #expect(first.count == it.pages, "\(it), first")
    let frame = first[0]
    let head = rig.head(frame)
    #expect((frame == machine.zeroPageFrame) == it.isZeroPage, "\(it), zero page")
    for i in 0..<it.pages { #expect(rig.frame(start + i * 4096) == first[i], "\(it), page \(i)") }
    if it.policy.tracksExclusive, head.mapping.isAnonymous {
      // Only exclusive anonymous pages are ever pinned (rules 1.8, 1.13).
      let own = it.kind == .hugePTE ? rig.page(frame) : head
      #expect(own.has(.anonExclusive), "\(it), exclusive")
    }
    rig.check("\(it), pinned once")

    let before = rig.counts(frame)
    let (acquired, released) = (rig.acquired, rig.released)
    let second = try machine.pin(rig.process, at: start, pages: it.pages, flags: it.flags, entry: it.entry)
    let isLarge = head.isLarge
    let rule = rule(it.policy, order: isLarge ? it.order : 0)
    let isCounted = !(it.isZeroPage && it.policy.counting == .exactForLarge)
    let onHead = isLarge || it.isZeroPage ? it.pages : 1
    let references = rule == .bias ? onHead * 1024 : onHead
    let pins = rule == .exact ? onHead : 0
    let after = isCounted ? [before[0] + references, before[1] + pins] : before
    #expect(rig.counts(frame) == after, "\(it), counts")
    let counted = Int64(isCounted && rule != .reference ? it.pages : 0)
    #expect(rig.acquired - acquired == counted, "\(it), acquired")
    #expect(
      machine.folios.isMaybePinned(machine.memmap.head(of: frame)) == (isCounted && rule != .reference),
      "\(it), maybe pinned")
    rig.check("\(it), pinned twice")

    second.unpin()
    #expect(rig.counts(frame) == before, "\(it), counts after unpin")
    #expect(rig.released - released == counted, "\(it), released")
    first.unpin(0..<1)
    rig.check("\(it), one page of the first given back")
    first.unpin()
    #expect(!machine.folios.isMaybePinned(machine.memmap.head(of: frame)), "\(it), no longer pinned")
    #expect(head.pincount.load() == 0, "\(it), pincount at the end")
    #expect(rig.acquired == rig.released, "\(it), statistics at the end")
    rig.check("\(it), unpinned")
    machine.exit(rig.process)
    rig.check("\(it), exited")
  }

  @Test(
    "a reference counts one a page on the head, whatever the policy (rule 1.4)",
    arguments: PlacementPolicy.all)
  func references(_ policy: PlacementPolicy) throws {
    for kind in PageKind.resident {
      for entry in [PinEntry.fast, .slow] {
        for pages in [1, 4] {
          let what = "\(policy.name) \(kind.rawValue) \(entry.rawValue) \(pages) pages"
          let rig = try PinRig(policy: policy)
          let start = try rig.make(kind)
          let frame = try #require(rig.frame(start))
          let before = rig.counts(frame)
          let gets = try rig.machine.get(rig.process, at: start, pages: pages, flags: [], entry: entry)
          #expect(rig.counts(frame) == [before[0] + (kind.isLarge ? pages : 1), before[1]], "\(what)")
          #expect(rig.acquired == 0, "\(what), acquired")
          rig.check(what)
          gets.put(0..<1)
          gets.put()
          #expect(rig.counts(frame) == before, "\(what), put")
          #expect(rig.released == 0, "\(what), released")
          rig.check(what + ", put")
        }
      }
    }
  }

  @Test("maybe-pinned of a small page is its references, from 1024 on; of a large folio its pins (rule 1.10)")
  func falsePositives() throws {
    for policy in PlacementPolicy.all {
      for kind in [PageKind.anonymous, .hugePMD] {
        let rig = try PinRig(policy: policy)
        let frame = try #require(rig.frame(try rig.make(kind)))
        let page = rig.page(frame)
        let count = page.refcount.load()
        let isBias = Self.rule(policy, order: kind == .hugePMD ? 2 : 0) == .bias
        for (references, expected) in [
          (1023, false), (1024, true), (1_000_000, true), (Int32.max, true), (Int32.min, true), (-1, true),
        ] as [(Int32, Bool)] {
          page.refcount.store(references)
          #expect(
            rig.machine.folios.isMaybePinned(frame) == (isBias && expected),
            "\(policy.name) \(kind.rawValue) \(references) references")
        }
        page.refcount.store(count)
      }
    }
  }

  @Test("the 2^21st pin of a small page crosses into the sign, the next one is ENOMEM (rule 1.9)")
  func smallOverflow() throws {
    for entry in [PinEntry.fast, .slow] {
      for kind in [PageKind.anonymous, .memfd] {
        let what = "\(entry.rawValue) \(kind.rawValue)"
        let rig = try PinRig()
        let start = try rig.make(kind)
        let frame = try #require(rig.frame(start))
        let page = rig.page(frame)
        let own = page.refcount.load()
        // As many pins as there may be, but one.
        let others: Int32 = ((1 << 21) - 1) * 1024
        page.refcount.store(own &+ others)
        let crossing = try rig.machine.pin(rig.process, at: start, pages: 1, flags: .write, entry: entry)
        #expect(page.refcount.load() < 0, "\(what), crossed")
        #expect(rig.machine.folios.isMaybePinned(frame), "\(what), still seen")
        let acquired = rig.acquired
        let error = pinError {
          _ = try rig.machine.pin(rig.process, at: start, pages: 1, flags: .write, entry: entry)
        }
        #expect(error?.errno == .noMemory, "\(what)")
        #expect(error?.stage == .grab, "\(what)")
        #expect(error?.cause == .countOverflow(references: page.refcount.load()), "\(what)")
        #expect(error?.frame == frame, "\(what)")
        #expect(
          PinArgumentTests.take(rig, start, .write, entry, isPin: false).errno == .noMemory,
          "\(what), a reference")
        #expect(rig.acquired == acquired, "\(what), acquired")
        crossing.unpin()
        #expect(page.refcount.load() == own &+ others, "\(what), back")
        page.refcount.store(own)
        rig.check(what)
      }
    }
  }

  @Test(
    "the slow path takes a huge entry page by page up to 6.4, and whole since: so a count overflows midway, or not"
  )
  func hugeEntrySlowly() throws {
    for (policy, isWhole) in [(PlacementPolicy.linux6_1, false), (.linux6_14, true), (.linuxMainline, true)] {
      let rig = try PinRig(policy: policy)
      let machine = rig.machine
      let start = try rig.make(.hugePMD)
      let frame = try #require(rig.frame(start))
      let before = rig.counts(frame)
      let rest = rig.unit - 1
      let pins = try machine.pin(
        rig.process, at: start + pageSize, pages: rest, flags: .write, entry: .slow)
      #expect((0..<rest).allSatisfy { pins[$0] == frame + 1 + $0 }, "\(policy.name), frames")
      #expect(rig.counts(frame) == before.map { $0 + rest }, "\(policy.name), counts")
      #expect(rig.acquired - rig.released == rest, "\(policy.name), statistics")
      pins.unpin()
      #expect(rig.counts(frame) == before, "\(policy.name), back")
      rig.check(policy.name)

      let own = rig.page(frame).refcount.load()
      rig.page(frame).refcount.store(.max)
      let (acquired, released) = (rig.acquired, rig.released)
      if isWhole {
        let error = pinError {
          _ = try machine.pin(rig.process, at: start, pages: rig.unit, flags: .write, entry: .slow)
        }
        #expect(error?.errno == .badAddress && error?.stage == .grab, "\(policy.name)")
        #expect(
          rig.acquired - acquired == 1 && rig.released - released == 1, "\(policy.name), the first page")
      } else {
        let part = try machine.pin(rig.process, at: start, pages: rig.unit, flags: .write, entry: .slow)
        #expect(part.count == 1, "\(policy.name)")
        part.unpin()
      }
      #expect(rig.page(frame).refcount.load() == .max, "\(policy.name), given back")
      rig.page(frame).refcount.store(own)
      rig.check("\(policy.name), overflow")
    }
  }

  @Test("4096 pins of a huge page overflow the bias and not the exact count (rules 1.6, 1.9; seed 001)")
  func hugeOverflow() throws {
    for policy in [PlacementPolicy.pinBias, .pinExact, .linux6_1] {
      let rig = try PinRig(policy: policy, frames: 4096) {
        $0.geometry = Geometry()
        $0.geometry.sectionOrder = 12
        $0.geometry.blockOrder = 12
        $0.limits.pinRecords = 8192
        $0.limits.pinSlots = 1 << 22
      }
      let machine = rig.machine
      let start = try rig.make(.hugePMD)
      let frame = try #require(rig.frame(start))
      #expect(rig.page(frame).order == 9, "\(policy.name), order")
      let before = rig.counts(frame)
      let pins = UnsafeMutablePointer<PinnedPages>.allocate(capacity: 5000)
      defer { pins.deallocate() }
      var held = 0
      var error: PinError?
      while held < 5000, error == nil {
        do {
          (pins + held).initialize(
            to: try machine.pin(rig.process, at: start, pages: 512, flags: .write, entry: .fast))
          held += 1
        } catch let failure {
          error = failure
        }
      }
      if policy == .pinBias {
        // The mapping's own reference lets the 4096th pin cross into the sign; it is granted.
        #expect(held == 4096, "\(policy.name), pins")
        #expect(error?.errno == .noMemory, "\(policy.name), errno")
        #expect(error?.stage == .grab, "\(policy.name), stage")
        #expect(rig.page(frame).refcount.load() < 0, "\(policy.name), sign")
        #expect(machine.folios.isMaybePinned(frame), "\(policy.name), still seen")
      } else {
        #expect(held == 5000, "\(policy.name), pins")
        #expect(error?.errno == nil, "\(policy.name), errno")
        #expect(rig.counts(frame) == [before[0] + 5000 * 512, 5000 * 512], "\(policy.name), counts")
      }
      #expect(rig.acquired == Int64(held * 512), "\(policy.name), acquired")
      (pins).deinitialize(count: held)
      #expect(rig.counts(frame) == before, "\(policy.name), given back")
      #expect(rig.released == Int64(held * 512), "\(policy.name), released")
      rig.check(policy.name)
    }
  }

  @Test("unpinning finds the end of each folio, wherever a range begins and whatever was unpinned before")
  func foliosOfRange() throws {
    let rig = try PinRig(frames: 64) { $0.geometry.tableBits = 4 }
    let (machine, unit) = (rig.machine, rig.unit)
    let start = try rig.map(2 * unit)
    try machine.advise(rig.process, AddressRange(start: start, pages: 2 * unit), .hugePage)
    try machine.fill(rig.process, start, pages: 2 * unit, pattern: 0x51)
    let folios = [try #require(rig.frame(start)), try #require(rig.frame(start + unit * 4096))]
    #expect(folios.allSatisfy { rig.page($0).order == 4 })
    let before = folios.map(rig.counts)
    for first in 0..<2 * unit {
      for pages in 1...2 * unit - first {
        let what = "\(pages) pages from \(first)"
        let pins = try machine.pin(rig.process, at: start + first * 4096, pages: pages, entry: .fast)
        let lower = max(0, min(unit - first, pages))
        #expect(folios.map { Int(rig.page($0).pincount.load()) } == [lower, pages - lower], "\(what)")
        let hole = pages / 3
        pins.unpin(hole..<hole + 1)
        pins.unpin()
        #expect(folios.map(rig.counts) == before, "\(what), counts after unpin")
        #expect(rig.acquired == rig.released, "\(what), statistics")
      }
    }
    rig.check("unpinned")
  }

  @Test("a read-only pin first makes a page its own that is not: 6.1 and mainline (rules 5.8, 5.9)")
  func unshare() throws {
    for policy in PlacementPolicy.all {
      for hasExtra in [false, true] {
        let what = "\(policy.name) extra reference \(hasExtra)"
        let rig = try PinRig(policy: policy)
        let start = try rig.make(.afterFork)
        let old = try #require(rig.frame(start))
        if hasExtra { rig.page(old).refcount.fetchAdd(1) }
        let pins = try rig.machine.pin(rig.process, at: start, pages: 1, flags: [], entry: .fast)
        // Someone else's reference makes it a copy; without one the page itself becomes exclusive.
        #expect((pins[0] == old) == !(policy.tracksExclusive && hasExtra), "\(what)")
        #expect(rig.page(pins[0]).has(.anonExclusive) == policy.tracksExclusive, "\(what), exclusive")
        if policy.tracksExclusive {
          // And stays the one that the process writes to (bug 15).
          #expect(try rig.machine.touch(rig.process, start, write: true) == pins[0], "\(what), write")
        }
        if hasExtra { rig.machine.folios.put(old, on: 0) }
        rig.check(what)
      }
      let rig = try PinRig(policy: policy)
      let start = try rig.make(.memfdPrivate)
      let cached = try #require(rig.frame(start))
      for flags in [PinFlags.longterm, []] {
        let pins = try rig.machine.pin(rig.process, at: start, pages: 1, flags: flags, entry: .fast)
        // The forced write of v4 is the slow path's, which such a page does not need.
        let isCopied = Self.isMainline(policy)
        #expect(
          (pins[0] == cached) == !isCopied, "\(policy.name) private page of a memfd, flags \(flags.rawValue)")
        rig.check("\(policy.name) private page of a memfd")
      }
    }
  }
}
