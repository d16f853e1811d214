import Interleaving
import Testing

@testable import Holdfast

/// Where the pages of a case of the kernel's cow test lie: its rows E1 to E11 without swap and mremap.
enum CopyOnWriteGround: String, CaseIterable, Sendable {
  /// E1: a base page.
  case basePage
  /// E3: a huge page that a PMD entry maps.
  case huge
  /// E5: one that PTEs map.
  case hugeByEntries
  /// E7: one page of a huge page, the rest of which is discarded.
  case oneOfHuge
  /// E10: a huge page of which a child that has gone had the first page.
  case partlyShared
  /// E11: a huge page of the pool.
  case pool
}

/// The rows of the kernel's cow test (tools/testing/selftests/mm/cow.c) that need neither swap, mremap nor collapse.
@Suite struct CopyOnWriteRowTests {
  private static let old: UInt64 = 1
  private static let new: UInt64 = 0xff

  /// A process with pages that hold the old bytes.
  private struct Case {
    let rig: PinRig
    let start: VirtualAddress
    let pages: Int
    var machine: Machine { rig.machine }
    var parent: Process { rig.process }
    var range: AddressRange { AddressRange(start: start, pages: pages) }

    init(_ ground: CopyOnWriteGround, _ policy: PlacementPolicy) throws {
      rig = try PinRig(policy: policy)
      let machine = rig.machine
      let process = rig.process
      let unit = rig.unit
      if ground == .pool { try machine.reserveHugePages(node: 0, count: 2, for: process) }
      start = try rig.map(ground == .basePage ? 1 : unit, ground == .pool ? .hugetlb : .privateAnonymous)
      let whole = AddressRange(start: start, pages: ground == .basePage ? 1 : unit)
      if ground != .basePage, ground != .pool { try machine.advise(process, whole, .hugePage) }
      try machine.fill(process, start, pages: ground == .basePage ? 1 : unit, pattern: old)
      machine.lru.drainAll(for: process)
      switch ground {
      case .basePage: pages = 1
      case .huge, .pool: pages = unit
      case .hugeByEntries:
        let page = AddressRange(start: start + pageSize, pages: 1)
        try machine.protect(process, page, .read)
        try machine.protect(process, page, .readWrite)
        pages = unit
      case .oneOfHuge:
        try machine.advise(process, AddressRange(start: start + pageSize, pages: unit - 1), .dontNeed)
        pages = 1
      case .partlyShared:
        let rest = AddressRange(start: start + pageSize, pages: unit - 1)
        try machine.advise(process, rest, .dontFork)
        machine.exit(try machine.fork(process))
        try machine.advise(process, rest, .doFork)
        pages = unit
      }
    }

    func write(_ process: Process, _ pattern: UInt64 = new) throws {
      try machine.fill(process, start, pages: pages, pattern: pattern)
    }

    func holds(_ process: Process, _ pattern: UInt64) throws -> Bool {
      try machine.check(process, start, pages: pages, pattern: pattern) == nil
    }

    /// Puts the pages into a pipe, as vmsplice does, and does something; returns what the pipe's reader sees.
    func splice(_ process: Process, _ body: () throws -> Void) throws -> UInt64? {
      let pipe = try machine.get(process, at: start, pages: pages, flags: [], entry: .fast)
      #expect(pipe.count == pages)
      let frames = (0..<pipe.count).map { pipe[$0] }
      let result = Result { try body() }
      let seen = [old, new].first { pattern in
        frames.enumerated().allSatisfy {
          machine.folios.contents($0.element, match: pattern + UInt64($0.offset))
        }
      }
      pipe.put()
      try result.get()
      return seen
    }

    /// Pins the pages long term and does something; whether the device then sees what the program sees.
    func pinned(_ flags: PinFlags, _ entry: PinEntry, _ body: () throws -> Void) throws -> Bool {
      let pin = try machine.pin(parent, at: start, pages: pages, flags: flags.union(.longterm), entry: entry)
      #expect(pin.count == pages)
      let frames = (0..<pin.count).map { pin[$0] }
      let result = Result { try body() }
      let isSame = frames.enumerated().allSatisfy {
        machine.folios.contents($0.element, match: new + UInt64($0.offset))
      }
      pin.unpin()
      try result.get()
      return isSame
    }

    func end(_ what: String) {
      for process in machine.processes { machine.exit(process) }
      rig.check(what)
    }
  }

  @Test(
    "A1, A2: what the parent writes after a fork the child does not see",
    arguments: CopyOnWriteGround.allCases)
  func basic(ground: CopyOnWriteGround) throws {
    for policy in PlacementPolicy.all {
      for protects in [false, true] {
        let it = try Case(ground, policy)
        let child = try it.machine.fork(it.parent)
        if protects {
          try it.machine.protect(it.parent, it.range, .read)
          try it.machine.protect(it.parent, it.range, .readWrite)
        }
        try it.write(it.parent)
        #expect(try it.holds(child, Self.old), "A\(protects ? 2 : 1) \(ground) \(policy)")
        #expect(try it.holds(it.parent, Self.new), "A\(protects ? 2 : 1) \(ground) \(policy)")
        it.end("A\(protects ? 2 : 1) \(ground) \(policy)")
      }
    }
  }

  /// Whether a kernel lets what is in a pipe change: where the mappings decide, which are the writer's alone.
  private static func leaks(_ ground: CopyOnWriteGround, _ policy: PlacementPolicy) -> Bool {
    switch policy.reuse {
    case .mappings: true
    case .references: ground == .pool || ground == .huge
    case .exclusive: ground == .pool
    }
  }

  @Test(
    "A3, A4: what a child has in a pipe and unmapped keeps its bytes; not so for hugetlb, nor before 5.9 and 5.18",
    arguments: CopyOnWriteGround.allCases)
  func childSplices(ground: CopyOnWriteGround) throws {
    for policy in PlacementPolicy.all {
      for protects in [false, true] {
        let what = "A\(protects ? 4 : 3) \(ground) \(policy)"
        let it = try Case(ground, policy)
        let child = try it.machine.fork(it.parent)
        let seen = try it.splice(child) {
          try it.machine.unmap(child, it.range)
          if protects {
            try it.machine.protect(it.parent, it.range, .read)
            try it.machine.protect(it.parent, it.range, .readWrite)
          }
          try it.write(it.parent)
        }
        #expect(seen == (Self.leaks(ground, policy) ? Self.new : Self.old), "\(what)")
        it.end(what)
      }
    }
  }

  @Test(
    "A5, A6: what a parent has in a pipe, from before the fork or after it, keeps its bytes when the child writes",
    arguments: CopyOnWriteGround.allCases)
  func parentSplices(ground: CopyOnWriteGround) throws {
    for policy in PlacementPolicy.all {
      for isBefore in [true, false] {
        let what = "A\(isBefore ? 5 : 6) \(ground) \(policy)"
        let it = try Case(ground, policy)
        var child: Process? = isBefore ? nil : try it.machine.fork(it.parent)
        let seen = try it.splice(it.parent) {
          let other = try child ?? it.machine.fork(it.parent)
          child = other
          try it.machine.unmap(it.parent, it.range)
          try it.write(other)
        }
        #expect(seen == (Self.leaks(ground, policy) ? Self.new : Self.old), "\(what)")
        it.end(what)
      }
    }
  }

  @Test(
    "A7: a page that is pinned for a device, made read-only and writable again, stays the program's",
    arguments: CopyOnWriteGround.allCases)
  func protectedFixedBuffer(ground: CopyOnWriteGround) throws {
    for policy in [PlacementPolicy.linux6_1, .linuxMainline] {
      let it = try Case(ground, policy)
      let isSame = try it.pinned(.write, .slow) {
        try it.machine.protect(it.parent, it.range, .read)
        try it.machine.protect(it.parent, it.range, .readWrite)
        try it.write(it.parent)
      }
      #expect(isSame, "A7 \(ground) \(policy)")
      it.end("A7 \(ground) \(policy)")
    }
  }

  @Test(
    "A8: a page that is pinned for a device is not shared with a child", arguments: CopyOnWriteGround.allCases
  )
  func forkWithFixedBuffer(ground: CopyOnWriteGround) throws {
    for policy in [PlacementPolicy.linux5_10, .linux5_13, .linux6_1, .linuxMainline] {
      // 5.10 copies no pinned page of the pool.
      let isKept = ground != .pool || policy.forkCopy == .all
      let it = try Case(ground, policy)
      let isSame = try it.pinned(.write, .slow) {
        let child = try it.machine.fork(it.parent)
        try it.write(it.parent)
        #expect(try it.holds(child, Self.old), "A8 \(ground) \(policy)")
      }
      #expect(isSame == isKept, "A8 \(ground) \(policy)")
      it.end("A8 \(ground) \(policy)")
    }
  }

  @Test(
    "A9 to A12: a read-only pin of a page that a child shares, or has shared, sees what the program writes",
    arguments: CopyOnWriteGround.allCases)
  func readOnlyPinOfShared(ground: CopyOnWriteGround) throws {
    for policy in [PlacementPolicy.linux6_1, .linuxMainline] {
      for (entry, number) in [(PinEntry.slow, 9), (.fast, 10)] {
        for isAlive in [true, false] {
          let what = "A\(number + (isAlive ? 0 : 2)) \(ground) \(policy)"
          let it = try Case(ground, policy)
          let child = try it.machine.fork(it.parent)
          if !isAlive { it.machine.exit(child) }
          #expect(try it.pinned([], entry) { try it.write(it.parent) }, "\(what)")
          if isAlive { #expect(try it.holds(child, Self.old), "\(what)") }
          it.end(what)
        }
      }
    }
  }

  @Test(
    "A13, A14: a read-only pin of an exclusive page that is mapped read-only sees what the program writes",
    arguments: CopyOnWriteGround.allCases)
  func readOnlyPinOfExclusive(ground: CopyOnWriteGround) throws {
    for policy in [PlacementPolicy.linux6_1, .linuxMainline] {
      for entry in [PinEntry.slow, .fast] {
        let what = "A\(entry == .slow ? 13 : 14) \(ground) \(policy)"
        let it = try Case(ground, policy)
        try it.machine.protect(it.parent, it.range, .read)
        let isSame = try it.pinned([], entry) {
          try it.machine.protect(it.parent, it.range, .readWrite)
          try it.write(it.parent)
        }
        #expect(isSame, "\(what)")
        it.end(what)
      }
    }
  }

  @Test(
    "N1 to N3: private mappings of the zero page, a memfd and a hugetlb file; pins see the copy from 6.2 on",
    arguments: ["zero page", "memfd", "hugetlb file"])
  func privateMappings(kind: String) throws {
    for policy in [PlacementPolicy.linux6_1, .linuxMainline] {
      for entry in [nil, PinEntry.slow, .fast] {
        let what = "\(kind), \(entry.map { "\($0) pin" } ?? "no pin"), \(policy)"
        let rig = try PinRig(policy: policy)
        let (machine, process) = (rig.machine, rig.process)
        let isPool = kind == "hugetlb file"
        if isPool { try machine.reserveHugePages(node: 0, count: 4, for: process) }
        let pages = isPool ? rig.unit : 1
        var shared: VirtualAddress?
        let start: VirtualAddress
        if kind == "zero page" {
          start = try rig.map(pages)
        } else {
          let object = try machine.createObject(kind: isPool ? .hugetlb : .memfd, pages: pages, for: process)
          shared = try rig.map(pages, .object(object))
          start = try rig.map(pages, .object(object, shared: false))
          try machine.fill(process, try #require(shared), pages: pages, pattern: Self.old)
        }
        for page in 0..<pages { try machine.touch(process, start + page * pageSize, write: false) }
        if let entry {
          let pin = try machine.pin(process, at: start, pages: pages, flags: .longterm, entry: entry)
          try machine.fill(process, start, pages: pages, pattern: Self.new)
          let isSame = machine.folios.contents(pin[0], match: Self.new)
          #expect(isSame == (policy == .linuxMainline), "\(what)")
          pin.unpin()
        } else {
          try machine.fill(process, start, pages: pages, pattern: Self.new)
        }
        if let shared {
          #expect(try machine.check(process, shared, pages: pages, pattern: Self.old) == nil, "\(what)")
        }
        machine.exit(process)
        rig.check(what)
      }
    }
  }
}
