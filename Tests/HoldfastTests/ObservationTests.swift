import Interleaving
import Testing

@testable import Holdfast

/// What the machine says of itself in the kernel's own text.
@Suite struct ObservationTests {
  /// A machine of 32 frames, half of them movable, with a CMA area, two pages mapped, one of them moved by a pin.
  private static func tiny() throws -> PinRig {
    let rig = try PinRig(.movable, frames: 32) {
      $0.nodes[0].processors = 1
      $0.cmaAreas = [CMAConfiguration(name: "video", frames: 4, base: FrameNumber(8))]
    }
    let start = try rig.map(2)
    for page in 0..<2 { try rig.machine.touch(rig.process, start + page * 4096, write: true) }
    rig.machine.lru.drainAll(for: rig.process)
    let pins = try rig.machine.pin(rig.process, at: start, pages: 1, flags: [.write, .longterm])
    pins.unpin()
    rig.machine.lru.drainAll(for: rig.process)
    for zone in rig.machine.zones { rig.machine.allocator.drainPerCPULists(zone) }
    return rig
  }

  /// The lines of a text; a blank at the end of one, which the kernel prints too, shows as a bar.
  private static func lines(_ text: String) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).map {
      $0.hasSuffix(" ") ? $0 + "|" : String($0)
    }
  }

  @Test("the kernel's texts of a tiny machine, word for word (rules 10.1 to 10.3)")
  func texts() throws {
    let rig = try Self.tiny()
    for (name, text, expected) in [
      ("vmstat", rig.machine.vmstatText, Self.vmstat), ("zoneinfo", rig.machine.zoneinfoText, Self.zoneinfo),
      ("buddyinfo", rig.machine.buddyinfoText, Self.buddyinfo),
      ("pagetypeinfo", rig.machine.pagetypeinfoText, Self.pagetypeinfo),
    ] {
      #expect(text.hasSuffix("\n"), "\(name)")
      let (found, wanted) = (Self.lines(text).dropLast(), Self.lines(expected))
      #expect(found.count == wanted.count, "\(name), lines")
      for (number, pair) in zip(found, wanted).enumerated() {
        #expect(pair.0 == pair.1, "\(name) line \(number + 1)")
      }
    }
    rig.check("texts")
  }

  @Test("what is not negative to a reader, and where counting stops (rules 10.1, 10.3)")
  func limits() throws {
    let rig = try Self.tiny()
    let cell = rig.machine.processor(0).count(.writeback, node: 0)
    cell.addAsOwner(UInt64(bitPattern: -5))
    #expect(rig.machine.vmstat.first { $0.name == "nr_writeback" }?.value == 0, "a negative sum")
    cell.addAsOwner(5)
    let list = rig.machine.buddy.zone(ZoneID(node: 0, kind: .movable)).freeList(order: 4, .movable)
    for (count, shown) in [(99_999, " 99999 "), (100_000, ">100000 "), (100_001, ">100000 ")] {
      let before = atRest { list.count }
      atRest { list.count = count }
      let row = rig.machine.pagetypeinfoText.split(separator: "\n").first {
        $0.contains("Movable, type      Movable")
      }
      #expect(row?.hasSuffix(shown) == true, "\(count) blocks")
      atRest { list.count = before }
    }
  }

  /// KPF_* bits by number.
  private static let bits = [
    "locked", "error", "referenced", "uptodate", "dirty", "lru", "active", "slab", "writeback", "reclaim",
    "buddy",
    "mmap", "anon", "swapcache", "swapbacked", "head", "tail", "huge", "unevictable", "hwpoison", "nopage",
    "ksm",
    "thp", "offline", "zero", "idle", "pgtable", "27", "28", "29", "30", "31", "reserved", "mlocked",
    "exclusive",
    "private", "private2", "owner",
  ]

  private static func names(_ word: UInt64) -> String {
    bits.enumerated().filter { word & (1 << UInt64($0.offset)) != 0 }.map(\.element).joined(separator: " ")
  }

  /// Of each kind: the words of its first page and of a tail, its mapcount, and the upper bits of pagemap.
  private static let words: [PageKind: (first: String, tail: String?, mapcount: UInt64, pagemap: UInt64)] = [
    .zeroPage: ("zero reserved", nil, 0, 0x80),
    .anonymous: ("uptodate lru mmap anon swapbacked exclusive", nil, 1, 0x81),
    .afterFork: ("uptodate lru mmap anon swapbacked", nil, 1, 0x81),
    .sharedAnonymous: ("uptodate dirty lru mmap swapbacked", nil, 1, 0xa1),
    .memfd: ("uptodate dirty lru mmap swapbacked", nil, 1, 0xa1),
    .memfdPrivate: ("uptodate dirty lru mmap swapbacked", nil, 1, 0xa1),
    .hugetlb: ("uptodate mmap anon head huge exclusive", "uptodate mmap anon tail huge", 1, 0x81),
    .hugetlbShared: ("uptodate dirty mmap head huge", "uptodate dirty mmap tail huge", 1, 0xa1),
    .hugePMD: (
      "uptodate lru mmap anon swapbacked head thp exclusive", "uptodate lru mmap anon swapbacked tail thp", 1,
      0x81
    ),
    .hugePTE: (
      "uptodate dirty lru mmap anon swapbacked head thp exclusive",
      "uptodate dirty lru mmap anon swapbacked tail thp exclusive", 1, 0x81
    ),
  ]

  @Test("kpageflags, kpagecount and pagemap of every kind of page; pins do not show (rules 10.4, 10.5)")
  func words() throws {
    for kind in PageKind.allCases {
      let rig = try PinRig()
      let machine = rig.machine
      let start = try rig.make(kind)
      guard let frame = rig.frame(start), let expected = Self.words[kind] else {
        #expect(kind == .hole, "no frame")
        #expect(machine.pagemapWord(rig.process, start) == 0, "a hole")
        continue
      }
      // A pin makes the page after a fork exclusive.
      for isPinned in kind == .afterFork ? [false] : [false, true] {
        let what = "\(kind.rawValue) pinned \(isPinned)"
        let pins = isPinned ? try machine.pin(rig.process, at: start, pages: 1, flags: [], entry: .slow) : nil
        #expect(Self.names(machine.kpageflags(frame)) == expected.first, "\(what)")
        if let tail = expected.tail {
          #expect(Self.names(machine.kpageflags(frame + 1)) == tail, "\(what), tail")
        }
        #expect(machine.kpagecount(frame) == expected.mapcount, "\(what), mapcount")
        let word = machine.pagemapWord(rig.process, start)
        #expect(word >> 56 == expected.pagemap, "\(what), pagemap")
        #expect(FrameNumber(Int(word & (1 << 55 - 1))) == frame, "\(what), pagemap frame")
        pins?.unpin()
      }
    }
    let rig = try PinRig(.movable)
    let machine = rig.machine
    func flags(_ frame: FrameNumber) -> String { Self.names(machine.kpageflags(frame)) }
    #expect(flags(FrameNumber(200)) == "buddy", "a free chunk")
    #expect(flags(FrameNumber(201)) == "buddy", "the rest of one")
    #expect(flags(FrameNumber(1 << 20)) == "nopage", "beyond the machine")
    #expect(flags(machine.pageTables.tableMeta(rig.space.rootTable).frame) == "pgtable", "a page table")
    #expect(try flags(machine.allocate(slab: true, by: rig.process)) == "slab", "a slab")
    let compound = try machine.allocate(order: 2, gfp: [.kernel, .compound], by: rig.process)
    #expect(flags(compound) == "head", "a driver's compound page")
    #expect(flags(compound + 1) == "tail", "its tail")
    try machine.offline(BlockID(rawValue: 15), by: rig.process)
    #expect(flags(FrameNumber(250)) == "nopage", "an offline block")
    let large = try Machine(MachineConfiguration(frames: 1 << 17))
    #expect(
      Self.names(large.kpageflags(FrameNumber(1 << 16))) == "buddy", "free since boot, without metadata")
    // An entry under migration shows as swapped.
    let start = try rig.make(.anonymous)
    let frame = try #require(rig.frame(start))
    machine.folios.get(frame)
    #expect(rig.page(frame).lock.tryLock(), "locked")
    #expect(machine.migration.replaceMappings(of: frame, groupIsHeld: false, on: 0), "replaced")
    #expect(machine.pagemapWord(rig.process, start) == 1 << 62, "under migration")
    machine.migration.restoreMappings(from: frame, to: frame, groupIsHeld: false, on: 0)
    rig.page(frame).lock.unlock()
    machine.folios.put(frame, on: 0)
    rig.check("words")
  }

  @Test("page dumps have the shape of their kernel (rule 1.12)", arguments: PlacementPolicy.all)
  func dumps(_ policy: PlacementPolicy) throws {
    let rig = try PinRig(policy: policy)
    for (kind, index) in [(PageKind.anonymous, 0), (.hugePMD, 1)] {
      let start = try rig.make(kind)
      let pins = try rig.machine.pin(rig.process, at: start, pages: 2, flags: .write)
      let found = rig.machine.dump(pins[index], reason: "gup_test failure")
      let expected =
        Self.lines(Self.dumps[policy.name]?[kind] ?? "") + ["page dumped because: gup_test failure"]
      #expect(found.count == expected.count, "\(kind.rawValue), lines")
      for pair in zip(found, expected) { #expect(pair.0 == pair.1, "\(kind.rawValue)") }
      #expect(rig.machine.dump(pins[index]).count == expected.count - 1, "no reason, no line for it")
    }
    let isMainline = PinCountingTests.isMainline(policy)
    let table = rig.machine.dump(rig.machine.pageTables.tableMeta(rig.space.rootTable).frame)
    #expect(table.contains("page_type: 0xfffffdff(table)") == isMainline, "a page table")
    let slab = rig.machine.dump(try rig.machine.allocate(slab: true, by: rig.process))
    #expect(slab.contains { $0.hasPrefix("flags: ") && $0.contains("slab|") }, "a slab")
    let cma = try PinRig(.cma, policy: policy)
    let frame = try #require(cma.frame(try cma.make(.anonymous)))
    #expect(cma.machine.dump(frame)[1].hasSuffix(") CMA"), "in a CMA pageblock")
    #expect(
      rig.machine.dump(FrameNumber(1 << 20))[0].hasSuffix(" is uninitialized and poisoned"), "no descriptor")
  }

  @Test("what is reported while a page is faulted in, pinned, moved and unpinned, in order")
  func trace() throws {
    let trace = PinTrace()
    let rig = try PinRig(.movable, trace: trace)
    let start = try rig.map(1)
    trace.events = []
    try rig.machine.touch(rig.process, start, write: true)
    let pins = try rig.machine.pin(rig.process, at: start, pages: 1, flags: [.write, .longterm])
    pins.unpin()
    let found = trace.events.map { event -> String in
      switch event {
      case .fault(let process, let address, let write, let frame):
        "fault of \(process) at \(address) write \(write): \(frame ?? .none)"
      case .pin(let process, let address, let pages, let flags):
        "pin of \(process) at \(address): \(pages) flags \(flags.rawValue)"
      case .unpin(let process, let pages): "unpin of \(process): \(pages)"
      case .isolate(let frame, let succeeded): "isolate \(frame) \(succeeded)"
      case .migrate(let from, let to, let pages, let reason):
        "migrate \(from) to \(to ?? .none): \(pages) \(reason)"
      case .drain(let all): "drain \(all ? "all" : "local")"
      case .offlinePass, .block, .cma: "something else"
      }
    }
    let expected = [
      "fault of 1 at 0xff000 write true: pfn:0x80", "drain local", "drain all", "isolate pfn:0x80 true",
      "migrate pfn:0x80 to pfn:0x14: 1 longterm_pin", "pin of 1 at 0xff000: 1 flags \(0x50001)",
      "unpin of 1: 1",
    ]
    #expect(found.joined(separator: "; ") == expected.joined(separator: "; "), "trace")
  }
}
