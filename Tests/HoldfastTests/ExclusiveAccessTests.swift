import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// A rig with a device that mirrors the process.
struct MirrorRig {
  let rig: PinRig
  let mirror: DeviceMirror
  var machine: Machine { rig.machine }
  var process: Process { rig.process }

  init(
    _ ground: Ground = .normal, policy: PlacementPolicy = .linux6_1,
    _ adjust: (inout MachineConfiguration) -> Void = { _ in }
  ) throws {
    rig = try PinRig(ground, policy: policy, adjust)
    mirror = try rig.machine.openMirror(of: rig.process)
  }

  /// Takes pages for the device; returns the errno, or nil.
  func exclude(_ start: VirtualAddress, pages: Int = 1) -> Errno? {
    do throws(MirrorError) {
      try machine.makeExclusive(mirror, at: start, pages: pages, by: process)
      return nil
    } catch { return error.errno }
  }

  /// What the device has, by page.
  func held(_ start: VirtualAddress, pages: Int = 1) -> [FrameNumber?] {
    machine.exclusiveFrames(of: mirror, at: start, pages: pages)
  }

  /// An entry in a few letters.
  func entry(_ start: VirtualAddress) -> String { describe(machine, process, start) }

  /// Recounts by both ways of counting.
  func check(_ what: String, sourceLocation: SourceLocation = #_sourceLocation) {
    rig.check(what, sourceLocation: sourceLocation)
    let wrong = recount(machine)
    #expect(wrong == [], "\(what)", sourceLocation: sourceLocation)
  }
}

@Suite struct ExclusiveAccessTests {
  static let policies: [PlacementPolicy] = [.linux5_13, .linux6_1, .linux6_14, .linuxMainline]

  /// What a call gives for one page, and for the pages of a huge page.
  private static func expected(_ kind: PageKind, _ policy: PlacementPolicy) -> Errno? {
    let isPage = policy.exclusiveAccess == .page
    return switch kind {
    case .hole, .zeroPage, .anonymous, .afterFork, .memfdPrivate: nil
    case .sharedAnonymous, .memfd, .hugetlb, .hugetlbShared: isPage ? .notSupported : .resourceBusy
    case .hugePMD, .hugePTE: isPage ? nil : .resourceBusy
    }
  }

  @Test("which memory a device can have exclusively, and what a touch gives back", arguments: policies)
  func kinds(policy: PlacementPolicy) throws {
    for kind in PageKind.allCases {
      let what = "\(policy.name) \(kind.rawValue)"
      let rig = try MirrorRig(policy: policy)
      let start = try rig.rig.make(kind, pattern: 7)
      let (unit, expected) = (rig.rig.unit, Self.expected(kind, policy))
      #expect(rig.exclude(start, pages: unit) == expected, "\(what)")
      rig.check(what)
      let isHeld = rig.held(start, pages: unit).map { $0 != nil }
      // Of a huge page the device gets the first page, before the call fails.
      let hasFirst = expected == .resourceBusy && !kind.isHugetlb && kind.isLarge
      #expect(isHeld == (0..<unit).map { expected == nil || hasFirst && $0 == 0 }, "\(what), held")
      if expected == nil || hasFirst {
        #expect(rig.rig.frame(start) == nil && rig.entry(start) == "device rw", "\(what), entry")
      }
      let mapped = rig.machine.usage(of: rig.process).residentAnon
      let frame = rig.held(start)[0]
      for page in 0..<unit { try rig.machine.touch(rig.process, start + page * 4096, write: false) }
      #expect(rig.held(start, pages: unit).allSatisfy { $0 == nil }, "\(what), after a touch")
      if let frame { #expect(rig.rig.frame(start) == frame, "\(what), the same page") }
      #expect(rig.machine.usage(of: rig.process).residentAnon == mapped, "\(what), resident")
      if ![.hole, .zeroPage].contains(kind) {
        #expect(
          try rig.machine.check(rig.process, start, pages: unit, pattern: 7) == nil, "\(what), contents")
      }
      rig.check(what + ", after a touch")
      rig.machine.closeMirror(rig.mirror)
      rig.machine.exit(rig.process)
      #expect(recount(rig.machine) == [], "\(what), at the end")
    }
  }

  @Test("no kernel before 5.14 has exclusive access")
  func older() throws {
    let rig = try MirrorRig(policy: .movableV4)
    #expect(rig.exclude(try rig.rig.make(.anonymous)) == .notSupported)
  }

  @Test("ranges that cannot be had, and what stays of a group", arguments: policies)
  func ranges(policy: PlacementPolicy) throws {
    let rig = try MirrorRig(policy: policy)
    let start = try rig.rig.make(.anonymous)
    let isPage = policy.exclusiveAccess == .page
    try rig.machine.unmap(rig.process, AddressRange(start: start + 2 * 4096, pages: 1))
    // Where a page is missing, a group is had whole or not at all, single pages up to there.
    let past = rig.exclude(start, pages: rig.rig.unit)
    #expect(past == (isPage ? .badAddress : .resourceBusy))
    #expect(rig.held(start).map { $0 != nil } == [isPage])
    rig.check("past the end")
    try rig.machine.protect(rig.process, AddressRange(start: start, pages: 1), .read)
    #expect(rig.exclude(start) == (isPage ? .badAddress : .resourceBusy))
    #expect(rig.exclude(VirtualAddress(page: .max >> 12), pages: 2) == .invalidArgument)
    rig.machine.exit(rig.process)
    #expect(rig.exclude(start) == .invalidArgument)
    rig.machine.closeMirror(rig.mirror)
    #expect(recount(rig.machine) == [])
  }

  @Test("pins and other references are no hindrance, and keep their page", arguments: policies)
  func holders(policy: PlacementPolicy) throws {
    for isPin in [false, true] {
      for flags: PinFlags in [.write, [.write, .longterm]] where isPin || !flags.contains(.longterm) {
        let what = "\(policy.name) \(isPin ? "pin" : "get") \(flags)"
        let rig = try MirrorRig(policy: policy)
        let start = try rig.rig.make(.anonymous)
        let frame = try #require(rig.rig.frame(start))
        var pins: PinnedPages?
        var gets: GottenPages?
        if isPin {
          pins = try rig.machine.pin(rig.process, at: start, pages: 1, flags: flags, entry: .slow)
        } else {
          gets = try rig.machine.get(rig.process, at: start, pages: 1, flags: flags, entry: .slow)
        }
        let before = rig.rig.counts(frame)
        #expect(rig.exclude(start) == nil, "\(what)")
        #expect(rig.held(start) == [frame] && rig.rig.counts(frame) == before, "\(what)")
        rig.rig.check(what)
        // A fork gives the page back first, and copies it, since it is pinned.
        let child = try rig.machine.fork(rig.process)
        let space = rig.machine.spaces.space(child.space)
        let its = space.pageTableLock.withLock { rig.machine.faults.mappedFrame(space, start.page) }
        #expect((its != frame) == isPin && rig.rig.frame(start) == frame, "\(what), fork")
        #expect(rig.held(start) == [nil], "\(what), fork")
        rig.rig.check(what + ", forked")
        rig.machine.exit(child)
        pins.take()?.unpin()
        gets.take()?.put()
        rig.check(what + ", released")
      }
    }
  }

  /// What ends the access, or does not.
  private enum Act: String, CaseIterable {
    case load, store, forkOnly, unmap, discard, readOnly, noAccess, pin, fastPin, remotePin, longterm,
      populate
  }

  @Test("what a processor does ends the access, and the entry is as it should be", arguments: policies)
  func acts(policy: PlacementPolicy) throws {
    for ground in Ground.allCases {
      for act in Act.allCases {
        let what = "\(policy.name) \(ground.rawValue) \(act.rawValue)"
        let rig = try MirrorRig(ground, policy: policy)
        let (machine, process) = (rig.machine, rig.process)
        let start = try rig.rig.make(.anonymous, pattern: 5)
        let frame = try #require(rig.rig.frame(start))
        let range = AddressRange(start: start, pages: 1)
        #expect(rig.exclude(start, pages: 2) == nil, "\(what)")
        switch act {
        case .load: try machine.touch(process, start, write: false)
        case .store: try machine.touch(process, start, write: true)
        case .forkOnly: machine.exit(try machine.fork(process))
        case .unmap: try machine.unmap(process, range)
        case .discard: try machine.advise(process, range, .dontNeed)
        case .readOnly: try machine.protect(process, range, .read)
        case .noAccess: try machine.protect(process, range, [])
        case .pin: try machine.pin(process, at: start, pages: 1, entry: .slow).unpin()
        case .fastPin: try machine.pin(process, at: start, pages: 1).unpin()
        case .remotePin:
          let other = try machine.createProcess(name: "other")
          try machine.get(other, at: start, pages: 1, entry: .remote, of: process).put()
        case .longterm:
          try machine.pin(process, at: start, pages: 1, flags: [.write, .longterm], entry: .slow).unpin()
        case .populate: try machine.advise(process, range, .populateWrite)
        }
        // A fork gives back every page, other acts only the one that they are done to.
        #expect(rig.held(start, pages: 2).map { $0 != nil } == [false, act != .forkOnly], "\(what), held")
        rig.check(what)
        let entry: String
        switch act {
        case .unmap, .discard: entry = "none"
        case .readOnly, .noAccess: entry = policy.exclusiveAccess == .page ? "device rw" : "device r"
        case .forkOnly: entry = "anon r dirty"
        default: entry = policy.tracksExclusive ? "anon exclusive rw dirty" : "anon rw dirty"
        }
        #expect(rig.entry(start) == entry, "\(what), entry")
        let moved = act == .longterm && ground != .normal
        if entry.hasPrefix("anon") { #expect((rig.rig.frame(start) != frame) == moved, "\(what), frame") }
        if act == .readOnly {
          try machine.touch(process, start, write: false)
          let isExclusive = policy.tracksExclusive ? " exclusive" : ""
          #expect(rig.entry(start) == "anon\(isExclusive) r", "\(what), after a load")
          rig.check(what + ", after a load")
        }
        machine.closeMirror(rig.mirror)
        machine.exit(process)
        #expect(recount(machine) == [], "\(what), at the end")
      }
    }
  }

  @Test("a fork does not wait for the lock of an exclusive page, and fails", arguments: policies)
  func lockedPage(policy: PlacementPolicy) throws {
    let rig = try MirrorRig(policy: policy)
    let start = try rig.rig.make(.anonymous)
    let frame = try #require(rig.rig.frame(start + 4096))
    #expect(rig.exclude(start, pages: 2) == nil)
    // As if another thread had the lock.
    let page = rig.rig.page(frame)
    page.set(.locked)
    do throws(AddressSpaceError) {
      _ = try rig.machine.fork(rig.process)
      Issue.record("the fork succeeded")
    } catch {
      #expect(error.errno == .noMemory && error.cause == .pageLocked)
    }
    page.clear(.locked)
    // The first page was copied, and so given back.
    #expect(rig.held(start, pages: 2) == [nil, frame])
    rig.check("after the fork")
    // A page that is locked is left out; from 6.15 on its lock is waited for.
    if policy.exclusiveAccess == .range {
      let other = rig.rig.page(try #require(rig.rig.frame(start + 2 * 4096)))
      other.set(.locked)
      #expect(rig.exclude(start + 2 * 4096, pages: 2) == .resourceBusy)
      #expect(rig.held(start + 2 * 4096, pages: 2).map { $0 != nil } == [false, true])
      other.clear(.locked)
    }
    rig.machine.exit(try rig.machine.fork(rig.process))
    rig.check("at the end")
  }

  @Test(
    "an exclusive page does not migrate up to 6.14; from 6.15 on it does, and the device loses it",
    arguments: policies)
  func migration(policy: PlacementPolicy) throws {
    let rig = try MirrorRig(.movable, policy: policy)
    let start = try rig.rig.make(.anonymous, pattern: 3)
    let frame = try #require(rig.rig.frame(start))
    #expect(rig.exclude(start) == nil)
    #expect(rig.machine.migration.isolate(frame, on: 0))
    var list = FolioList()
    list.pushLast(frame, in: rig.machine.memmap)
    let outcome = rig.machine.migration.migratePages(
      &list, reason: .systemCall, mode: .sync, target: .allocate(gfp: .highUserMovable, node: 0),
      for: rig.process)
    while let head = list.popFirst(in: rig.machine.memmap) { rig.machine.migration.putBack(head, on: 0) }
    let isMoved = policy.exclusiveAccess == .page
    #expect(outcome.isComplete == isMoved)
    #expect(outcome.failures.map(\.stage) == (isMoved ? [] : [.references]))
    #expect(rig.held(start) == [isMoved ? nil : frame])
    rig.check("migrated")
    #expect(try rig.machine.check(rig.process, start, pages: 1, pattern: 3) == nil)
    #expect((rig.rig.frame(start) != frame) == isMoved)
    rig.check("touched")
  }

  @Test("two devices of a process take pages from each other", arguments: policies)
  func devices(policy: PlacementPolicy) throws {
    let rig = try MirrorRig(policy: policy)
    let start = try rig.rig.make(.anonymous)
    let other = try rig.machine.openMirror(of: rig.process)
    #expect(rig.exclude(start, pages: 2) == nil)
    try rig.machine.makeExclusive(other, at: start, pages: 1, by: rig.process)
    #expect(rig.held(start, pages: 2).map { $0 != nil } == [false, true])
    #expect(rig.machine.exclusiveFrames(of: other, at: start, pages: 2).map { $0 != nil } == [true, false])
    rig.check("both")
    rig.machine.closeMirror(rig.mirror)
    rig.check("one closed")
    rig.machine.closeMirror(other)
    #expect(atRest { rig.machine.mirrors.all.isEmpty })
    try rig.machine.touch(rig.process, start, write: true)
    rig.check("touched")
  }

  @Test("a device adds to a word only while it has the page", arguments: policies)
  func atomics(policy: PlacementPolicy) throws {
    let rig = try MirrorRig(policy: policy) { $0.backing = .memfd }
    let start = try rig.rig.make(.anonymous)
    func add(_ operand: UInt64, at offset: Int = 8) -> Result<UInt64, MirrorError> {
      Result { () throws(MirrorError) in try rig.machine.fetchAdd(rig.mirror, at: start + offset, operand) }
    }
    func errno(_ result: Result<UInt64, MirrorError>) -> Errno? {
      if case .failure(let error) = result { error.errno } else { nil }
    }
    #expect(errno(add(1)) == .noSuchFileOrDirectory)
    #expect(rig.exclude(start) == nil)
    #expect(errno(add(1, at: 12)) == .invalidArgument)
    #expect(errno(add(1, at: 4096)) == .noSuchFileOrDirectory)
    let before = try add(3).get()
    #expect(try add(4).get() == before &+ 3)
    let frame = try rig.machine.touch(rig.process, start, write: false)
    let bytes = try #require(rig.machine.bytes(of: frame))
    #expect(bytes.load(fromByteOffset: 8, as: UInt64.self) == before &+ 7)
    #expect(errno(add(1)) == .noSuchFileOrDirectory)
    #expect(bytes.load(fromByteOffset: 8, as: UInt64.self) == before &+ 7)
  }

  @Test("more pages than a group, in tables that become full")
  func groups() throws {
    let rig = try MirrorRig { $0.limits.mirroredPages = 71 }
    let start = try rig.machine.map(rig.process, pages: 80)
    #expect(rig.exclude(start, pages: 70) == nil)
    #expect(rig.held(start, pages: 70).allSatisfy { $0 != nil })
    rig.check("70 pages")
    #expect(rig.exclude(start + 70 * 4096, pages: 1) == .resourceBusy)
    rig.check("full")
    for page in stride(from: 69, through: 0, by: -3) {
      try rig.machine.touch(rig.process, start + page * 4096, write: true)
    }
    let left = rig.held(start, pages: 70).enumerated().filter { $0.element != nil }.map(\.offset)
    #expect(left == (0..<70).filter { $0 % 3 != 0 })
    rig.check("touched")
  }
}
