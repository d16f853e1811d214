import HoldfastLab
import Interleaving
import SystemPackage
import TestThreads
import Testing

@testable import Holdfast

/// What holds pages while their process forks, in the tables below.
enum ForkHold: String, CaseIterable, Sendable { case none, got, pinned }

/// A parent with pages of a kind, and what holds them.
private struct ForkRig {
  let rig: PinRig
  let kind: PageKind
  let start: VirtualAddress
  var machine: Machine { rig.machine }

  init(_ kind: PageKind, _ policy: PlacementPolicy) throws {
    rig = try PinRig(policy: policy)
    self.kind = kind
    start = try rig.make(kind, pattern: 1)
    if kind.isHugetlb { try machine.reserveHugePages(node: 0, count: 4, for: rig.process) }
  }

  /// Whether a fork copies what is held so at once.
  func isCopied(_ hold: ForkHold) -> Bool {
    guard hold == .pinned, !isShared else { return false }
    return rig.machine.policy.forkCopy == .all
      || rig.machine.policy.forkCopy == .outsidePools && kind != .hugetlb
  }

  var isShared: Bool { [.sharedAnonymous, .memfd, .hugetlbShared].contains(kind) }

  func frame(_ process: Process) -> FrameNumber? {
    let space = machine.spaces.space(process.space)
    return space.pageTableLock.withLock { machine.faults.mappedFrame(space, start.page) }
  }

  /// Does something while the pages are held.
  func whileHeld<Result>(_ hold: ForkHold, _ body: ([FrameNumber]) throws -> Result) throws -> Result {
    switch hold {
    case .none: return try body([])
    case .got:
      let got = try machine.get(rig.process, at: start, pages: rig.unit, entry: .slow)
      let frames = (0..<got.count).map { got[$0] }
      let result = Swift.Result { try body(frames) }
      got.put()
      return try result.get()
    case .pinned:
      let pinned = try machine.pin(rig.process, at: start, pages: rig.unit, entry: .slow)
      let frames = (0..<pinned.count).map { pinned[$0] }
      let result = Swift.Result { try body(frames) }
      pinned.unpin()
      return try result.get()
    }
  }
}

@Suite struct ForkTests {
  private static let kinds: [PageKind] = [
    .anonymous, .sharedAnonymous, .memfd, .hugetlb, .hugetlbShared, .hugePMD, .hugePTE,
  ]
  private static let policies: [PlacementPolicy] = [
    .linux5_5, .linux5_10, .linux5_13, .linux6_1, .linuxMainline,
  ]

  @Test(
    "rule 5.11: page kind x what holds the page x policy decides what the child gets, and whose the page is",
    arguments: kinds, ForkHold.allCases)
  func shares(kind: PageKind, hold: ForkHold) throws {
    for policy in Self.policies {
      let it = try ForkRig(kind, policy)
      let what = "\(kind) \(hold) \(policy)"
      let (machine, parent, unit) = (it.machine, it.rig.process, it.rig.unit)
      let before = it.frame(parent)
      try it.whileHeld(hold) { held in
        let child = try machine.fork(parent)
        #expect(it.frame(parent) == before, "\(what)")
        let isCopied = it.isCopied(hold)
        if it.isShared {
          #expect(it.frame(child) == nil, "\(what): faults map shared memory")
        } else {
          #expect((it.frame(child) == before) == !isCopied, "\(what)")
          #expect(it.rig.page(before!).has(.anonExclusive) == (isCopied && policy.tracksExclusive), "\(what)")
        }
        it.rig.check("\(what), forked")

        try machine.fill(parent, it.start, pages: unit, pattern: 9)
        #expect((it.frame(parent) == before) == (it.isShared || isCopied), "\(what): who writes first")
        let sees: UInt64 = it.isShared ? 9 : 1
        #expect(try machine.check(child, it.start, pages: unit, pattern: sees) == nil, "\(what)")
        #expect(it.isShared == (it.frame(child) == it.frame(parent)), "\(what)")
        if let first = held.first {
          #expect(machine.folios.contents(first, match: it.isShared || isCopied ? 9 : 1), "\(what): holder")
        }
        try machine.fill(child, it.start, pages: unit, pattern: 5)
        #expect(
          try machine.check(parent, it.start, pages: unit, pattern: it.isShared ? 5 : 9) == nil, "\(what)")
        it.rig.check("\(what), written")
        machine.exit(child)
        it.rig.check("\(what), child gone")
      }
      machine.exit(parent)
      it.rig.check("\(what), all gone")
    }
  }

  @Test(
    "rule 5.9: once the child is gone, policy x page kind x hold decides whether the parent keeps its page",
    arguments: [PageKind.anonymous, .hugePMD, .hugePTE, .hugetlb], ForkHold.allCases)
  func reuse(kind: PageKind, hold: ForkHold) throws {
    for policy in Self.policies {
      let it = try ForkRig(kind, policy)
      let (machine, parent) = (it.machine, it.rig.process)
      let before = it.frame(parent)
      try it.whileHeld(hold) { _ in
        let child = try machine.fork(parent)
        machine.exit(child)
        try machine.touch(parent, it.start, write: true)
        let isKept: Bool
        if it.isCopied(hold) || kind == .hugetlb || policy.reuse == .mappings {
          isKept = true
        } else if policy.reuse == .references, kind == .hugePMD {
          isKept = true
        } else {
          // Each entry of a split mapping has a reference on the folio.
          isKept = hold == .none && kind != .hugePTE
        }
        #expect((it.frame(parent) == before) == isKept, "\(kind) \(hold) \(policy)")
        it.rig.check("\(kind) \(hold) \(policy)")
      }
    }
  }

  @Test("rule 5.3: only a space that has pinned has its pages copied; a child begins without the mark")
  func mark() throws {
    let rig = try PinRig { $0.pinBias = 4 }
    let start = try rig.make(.anonymous)
    // As many references as the bias look like a pin.
    let got = try (0..<4).map { _ in
      HeldReference(try rig.machine.get(rig.process, at: start, pages: 1, entry: .slow))
    }
    let child = try rig.machine.fork(rig.process)
    let space = rig.machine.spaces.space(child.space)
    let shared = space.pageTableLock.withLock { rig.machine.faults.mappedFrame(space, start.page) }
    #expect(shared == rig.frame(start), "nothing was pinned")
    rig.machine.exit(child)
    try rig.machine.touch(rig.process, start, write: true)
    let again = try (0..<4).map { _ in
      HeldReference(try rig.machine.get(rig.process, at: start, pages: 1, entry: .slow))
    }
    try rig.machine.pin(rig.process, at: start + 4096, pages: 1, entry: .fast).unpin()
    let second = try rig.machine.fork(rig.process)
    let other = rig.machine.spaces.space(second.space)
    #expect(other.flags.load() & AddressSpace.hasPinned == 0)
    let copied = other.pageTableLock.withLock { rig.machine.faults.mappedFrame(other, start.page) }
    #expect(copied != rig.frame(start), "a needless copy, and harmless")
    for held in got + again { held.put() }
    rig.machine.exit(second)
    rig.check("mark")
  }

  @Test(
    "L-MA10: advice about forks x kind of area decides errno and what the child has there",
    arguments: [Advice.dontFork, .doFork, .wipeOnFork, .keepOnFork],
    [PageKind.anonymous, .sharedAnonymous, .memfd, .memfdPrivate, .hugetlb])
  func advice(advice: Advice, kind: PageKind) throws {
    let rig = try PinRig()
    let (machine, parent) = (rig.machine, rig.process)
    let start = try rig.make(kind, pattern: 1)
    let range = AddressRange(start: start, pages: rig.unit)
    let isRefused = advice == .wipeOnFork && kind != .anonymous
    var errno: Errno?
    do throws(AddressSpaceError) { try machine.advise(parent, range, advice) } catch { errno = error.errno }
    #expect(errno == (isRefused ? .invalidArgument : nil))
    let child = try machine.fork(parent)
    let areas = machine.areaUsage(of: child)
    if advice == .dontFork {
      #expect(!areas.contains { $0.start == start })
      #expect(throws: AddressSpaceError.self) { try machine.touch(child, start, write: false) }
      try machine.advise(parent, range, .doFork)
      let second = try machine.fork(parent)
      #expect(try machine.check(second, start, pages: 1, pattern: 1) == nil)
    } else {
      let pattern: UInt64 = advice == .wipeOnFork && !isRefused ? 0 : 1
      #expect(try machine.check(child, start, pages: 1, pattern: pattern) == nil)
      #expect(areas.contains { $0.start == start && $0.flags.contains(.wipeOnFork) == (pattern == 0) })
    }
    #expect(try machine.check(parent, start, pages: rig.unit, pattern: 1) == nil)
    rig.check("\(advice) \(kind)")
  }

  @Test("limits are inherited, charges are not")
  func charges() throws {
    let rig = try PinRig()
    let start = try rig.make(.anonymous)
    rig.process.memlockLimit = 64 << 12
    rig.process.capabilities = .ipcLock
    let pinned = try rig.machine.pin(
      rig.process, at: start, pages: 4, flags: [.write, .longterm], entry: .slow, accounting: .locked)
    let child = try rig.machine.fork(rig.process, name: "child", processor: 1)
    #expect(rig.machine.usage(of: rig.process).locked == 4 && rig.machine.usage(of: child).locked == 0)
    #expect(child.memlockLimit == 64 << 12 && child.capabilities == .ipcLock)
    #expect(child.name == "child" && child.processor == 1)
    #expect(rig.machine.usage(of: child).residentAnon == rig.machine.usage(of: rig.process).residentAnon)
    rig.machine.exit(child)
    pinned.unpin()
    #expect(rig.machine.usage(of: rig.process).locked == 0)
    rig.check("charges")
  }

  @Test("a fork that fails leaves no child, and everything else as it was but write-protected")
  func failures() throws {
    let kinds: [PageKind] = [.anonymous, .hugePMD, .hugetlb, .memfd]
    for point in [FailurePoint.allocation, .table] {
      for skip in 0..<8 {
        let rig = try PinRig()
        for kind in kinds { _ = try rig.make(kind) }
        try rig.machine.reserveHugePages(node: 0, count: 4, for: rig.process)
        let tables = rig.machine.pools.usedRows(.processes)
        let pinned = try rig.machine.pin(
          rig.process, at: try rig.make(.anonymous), pages: 2, entry: .slow)
        rig.machine.injectFailures(point, count: 1, after: skip)
        do throws(AddressSpaceError) {
          let child = try rig.machine.fork(rig.process)
          rig.machine.exit(child)
        } catch {
          #expect(error.operation == .fork, "\(point) \(skip): \(error)")
          #expect(error.errno == .noMemory || error.errno == .resourceTemporarilyUnavailable)
        }
        rig.machine.injectFailures(point, count: 0)
        #expect(rig.machine.processes.count == 1 && rig.machine.pools.usedRows(.processes) <= tables + 1)
        rig.check("\(point) \(skip)")
        pinned.unpin()
        rig.machine.exit(rig.process)
        rig.check("\(point) \(skip), all gone")
      }
    }
  }

  @Test("a fork of a pinned page of an empty pool is ENOMEM")
  func emptyPool() throws {
    let rig = try PinRig()
    let start = try rig.make(.hugetlb, pattern: 1)
    let pinned = try rig.machine.pin(rig.process, at: start, pages: 1, entry: .slow)
    var errno: Errno?
    do throws(AddressSpaceError) { _ = try rig.machine.fork(rig.process) } catch { errno = error.errno }
    #expect(errno == .noMemory && rig.machine.processes.count == 1)
    try rig.machine.touch(rig.process, start, write: true)
    #expect(pinned[0] == rig.frame(start))
    pinned.unpin()
    rig.check("empty pool")
  }

  @Test("where the pool is empty, the owner of a private mapping takes its page back from the child")
  func ownerFirst() throws {
    let rig = try PinRig()
    let start = try rig.make(.hugetlb, pattern: 1)
    let before = rig.frame(start)
    let child = try rig.machine.fork(rig.process)
    #expect(throws: AddressSpaceError.self) { try rig.machine.touch(child, start, write: true) }
    #expect(try rig.machine.check(child, start, pages: rig.unit, pattern: 1) == nil)
    try rig.machine.fill(rig.process, start, pages: rig.unit, pattern: 2)
    #expect(rig.frame(start) == before)
    #expect(throws: AddressSpaceError.self) { try rig.machine.touch(child, start, write: false) }
    rig.check("owner first")
  }

  @Test("a child has the upper tables that the parent has, though nothing is in them")
  func emptyTables() throws {
    for kind in [PageKind.anonymous, .hugePMD] {
      let rig = try PinRig()
      let start = try rig.make(kind)
      try rig.machine.advise(rig.process, AddressRange(start: start, pages: rig.unit), .dontNeed)
      let child = try rig.machine.fork(rig.process)
      let (parent, space) = (rig.space, rig.machine.spaces.space(child.space))
      #expect(space.tablePages.load() == parent.tablePages.load(), "\(kind)")
      #expect(rig.machine.pageTables.slot(space, start.page, level: 1) != nil, "\(kind)")
      rig.check("\(kind)")
    }
  }

  @Test(
    "a forced write to untouched memory that may only be read leaves the entry clean and the page dirty",
    arguments: policies)
  func forcedWriteToHole(policy: PlacementPolicy) throws {
    let rig = try PinRig(policy: policy)
    let start = try rig.map(1, .privateAnonymous, .read)
    let faults = rig.machine.total(.pgfault)
    let pages = try rig.machine.get(
      rig.process, at: start, pages: 1, flags: [.write, .force], entry: .slow)
    let tables = rig.machine.pageTables
    let found = rig.space.pageTableLock.withLock { tables.leafSlot(rig.space, start.page)?.entry }
    let entry = try #require(found)
    // Before 5.19 the second fault makes the entry dirty, and only then may the page be taken.
    let isOld = !policy.tracksExclusive
    #expect(entry.has(PageTableEntry.dirty) == isOld, "\(policy)")
    #expect(rig.page(pages[0]).has(.dirty) == !isOld, "\(policy)")
    #expect(rig.machine.total(.pgfault) - faults == (isOld ? 2 : 1), "\(policy)")
    pages.put()
    rig.check("\(policy)")
  }

  @Test(
    "a debugger's write to memory that its target may only read never reaches the page that a child shares",
    arguments: policies)
  func forcedWrite(policy: PlacementPolicy) throws {
    for isAlive in [true, false] {
      let rig = try PinRig(policy: policy)
      let (machine, parent) = (rig.machine, rig.process)
      let start = try rig.make(.anonymous, pattern: 1)
      let range = AddressRange(start: start, pages: rig.unit)
      try machine.protect(parent, range, .read)
      let child = try machine.fork(parent)
      if !isAlive { machine.exit(child) }
      let debugger = try machine.createProcess(name: "debugger")
      let pages = try machine.get(
        debugger, at: start, pages: 1, flags: [.write, .force], entry: .remote, of: parent)
      #expect(pages.count == 1 && pages[0] == rig.frame(start), "\(policy)")
      machine.folios.fill(pages[0], pattern: 7)
      pages.put()
      #expect(try machine.check(parent, start, pages: 1, pattern: 7) == nil, "\(policy)")
      if isAlive { #expect(try machine.check(child, start, pages: 1, pattern: 1) == nil, "\(policy)") }
      #expect(throws: AddressSpaceError.self) { try machine.touch(parent, start, write: true) }
      rig.check("\(policy), child \(isAlive ? "alive" : "gone")")
    }
  }

  @Test("a page that parent and child map moves in both, and stays shared")
  func migration() throws {
    for kind in [PageKind.anonymous, .hugePMD, .hugePTE, .hugetlb] {
      let rig = try PinRig()
      let start = try rig.make(kind, pattern: 3)
      try rig.machine.reserveHugePages(node: 0, count: 4, for: rig.process)
      let child = try rig.machine.fork(rig.process)
      rig.machine.lru.drainAll(for: rig.process)
      let before = rig.frame(start)
      #expect(try MigrationTests.migrate(rig, start).isComplete, "\(kind)")
      let space = rig.machine.spaces.space(child.space)
      let others = space.pageTableLock.withLock { rig.machine.faults.mappedFrame(space, start.page) }
      #expect(others == rig.frame(start) && others != before, "\(kind)")
      #expect(try rig.machine.check(child, start, pages: rig.unit, pattern: 3) == nil, "\(kind)")
      rig.check("\(kind)")
    }
  }

  @Test("a process forks while its other thread pins: what is pinned stays mapped, whoever is first")
  func forkAgainstPins() throws {
    for (kind, policy) in [
      (PageKind.anonymous, PlacementPolicy.linux6_1), (.hugePMD, .linux6_1),
      (.anonymous, .linux5_13), (.hugePTE, .linuxMainline),
    ] {
      let rig = try PinRig(policy: policy)
      let machine = rig.machine
      let start = try rig.make(kind)
      let thread = try machine.createThread(of: rig.process, processor: 1)
      let processes = [rig.process, thread]
      try together(2, rounds: 1000) { side, rounds in
        let process = processes[side]
        for round in rounds {
          let at = start + (round % rig.unit) * pageSize
          if side == 0 {
            let child = try machine.fork(process)
            try machine.touch(process, at, write: true)
            machine.exit(child)
          } else {
            let pins = try machine.pin(process, at: at, pages: 1, entry: .fast)
            try machine.touch(process, at, write: true)
            #expect(rig.frame(at) == pins[0], "\(kind) \(policy), round \(round)")
          }
        }
      }
      machine.exit(thread)
      machine.lru.drainAll(for: rig.process)
      rig.check("\(kind) \(policy)")
      #expect(rig.acquired == rig.released)
      machine.exit(rig.process)
      rig.check("\(kind) \(policy), gone")
    }
  }
}

/// References in a box, for an array.
private final class HeldReference {
  private var got: GottenPages?
  init(_ got: consuming GottenPages) { self.got = consume got }
  func put() { if let got = got.take() { got.put() } }
}
