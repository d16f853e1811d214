import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// Flags, entry points, ranges and signals: what is accepted, and which error the rest gets.
@Suite struct PinArgumentTests {
  static let flags: [(name: String, flag: PinFlags)] = [
    ("write", .write), ("touch", .touch), ("get", .get), ("dump", .dump), ("force", .force),
    ("nowait", .noWait), ("nofault", .noFault), ("hwpoison", .hwpoison), ("tried", .tried),
    ("remote", .remote), ("anon", .anonymous), ("longterm", .longterm), ("split", .splitPMD), ("pin", .pin),
    ("fast-only", .fastOnly),
  ]

  /// No flag, every flag, every two flags.
  static let subsets: [(name: String, flags: PinFlags)] = {
    var subsets: [(name: String, flags: PinFlags)] = [("none", [])]
    for (i, one) in flags.enumerated() {
      subsets.append((one.name, one.flag))
      for other in flags[(i + 1)...] {
        subsets.append((one.name + "+" + other.name, one.flag.union(other.flag)))
      }
    }
    return subsets
  }()

  /// Whether the table of rule 5.2 refuses the flags.
  static func isRefused(_ entry: PinEntry, isPin: Bool, _ flags: PinFlags, _ policy: PlacementPolicy) -> Bool
  {
    let isMainline = policy == .linuxMainline || policy == .linux6_14
    let internalFlags: PinFlags = [.touch, .tried, .remote, .pin, .fastOnly]
    if isMainline, !flags.isDisjoint(with: internalFlags) { return true }
    if flags.contains(.pin) { return true }
    if flags.contains(isPin ? .get : .longterm) { return true }
    let legal: PinFlags = [.write, .longterm, .force, .get, .fastOnly, .noFault]
    if entry == .fast || entry == .fastOnly { return !flags.isSubset(of: legal) }
    return entry == .unlocked && flags.contains(.longterm) && !isMainline
  }

  /// What the entry point adds (rule 5.2).
  static func added(_ entry: PinEntry, isPin: Bool) -> PinFlags {
    let own: PinFlags = isPin ? .pin : .get
    return switch entry {
    case .slow: isPin ? own : [own, .touch]
    case .remote: [own, .touch, .remote]
    case .unlocked: [own, .touch]
    case .fast: own
    case .fastOnly: [own, .fastOnly]
    }
  }

  @Test(
    "entry point x get/pin x one or two flags: EINVAL or what is added (rules 5.1, 5.2)",
    arguments: PlacementPolicy.all)
  func combinations(_ policy: PlacementPolicy) throws {
    let trace = PinTrace()
    let rig = try PinRig(policy: policy, trace: trace)
    let start = try rig.make(.anonymous)
    for entry in PinEntry.allCases {
      for isPin in [false, true] {
        for subset in Self.subsets {
          let what = "\(policy.name) \(isPin ? "pin" : "get") \(entry.rawValue) \(subset.name)"
          trace.events = []
          let isRefused = Self.isRefused(entry, isPin: isPin, subset.flags, policy)
          let outcome = Self.take(rig, start, subset.flags, entry, isPin: isPin)
          if isRefused {
            #expect(outcome.errno == .invalidArgument, "\(what)")
            #expect(outcome.stage == .arguments, "\(what)")
            // The never negative ones say so beside a result of no pages.
            #expect(outcome.count == (entry == .fastOnly ? 0 : nil), "\(what)")
            #expect(trace.events.count { if case .pin = $0 { true } else { false } } == 0, "\(what)")
          } else {
            #expect(outcome.count == 1, "\(what)")
            #expect(outcome.errno == nil, "\(what)")
            #expect(trace.pinFlags == subset.flags.union(Self.added(entry, isPin: isPin)), "\(what)")
          }
        }
      }
    }
    rig.check("\(policy.name)")
    #expect(rig.machine.pinHolders.count == 0, "records left")
  }

  struct Outcome {
    var count: Int?
    var errno: Errno?
    var stage: PinError.Stage?
    var cause: PinError.Cause?
  }

  /// Takes pages and gives them back; how many there were, and what was said.
  static func take(
    _ rig: PinRig, _ start: VirtualAddress, pages: Int = 1, _ flags: PinFlags, _ entry: PinEntry, isPin: Bool,
    of owner: Process? = nil
  ) -> Outcome {
    do {
      if isPin {
        let pins = try rig.machine.pin(
          rig.process, at: start, pages: pages, flags: flags, entry: entry, of: owner)
        let short = pins.shortfall
        return Outcome(count: pins.count, errno: short?.errno, stage: short?.stage, cause: short?.cause)
      }
      let gets = try rig.machine.get(
        rig.process, at: start, pages: pages, flags: flags, entry: entry, of: owner)
      let short = gets.shortfall
      return Outcome(count: gets.count, errno: short?.errno, stage: short?.stage, cause: short?.cause)
    } catch {
      return Outcome(errno: error.errno, stage: error.stage, cause: error.cause)
    }
  }

  @Test(
    "no pages, a negative number, an overflow and a range beyond user space (rule 5.2)",
    arguments: [PlacementPolicy.linux6_1, .linuxMainline])
  func ranges(_ policy: PlacementPolicy) throws {
    let rig = try PinRig(policy: policy)
    let start = try rig.make(.anonymous)
    let top = VirtualAddress(page: rig.machine.geometry.addressSpacePages)
    let last = VirtualAddress(rawValue: 0xffff_ffff_ffff_f000)
    let overflow: Errno? = policy == .linuxMainline ? Errno(rawValue: 75) : nil
    for entry in PinEntry.allCases {
      let isFast = entry == .fast || entry == .fastOnly
      for isPin in [false, true] {
        let what = "\(policy.name) \(entry.rawValue) isPin \(isPin)"
        func take(_ at: VirtualAddress, _ pages: Int) -> Outcome {
          Self.take(rig, at, pages: pages, .write, entry, isPin: isPin)
        }
        let none = take(start, 0)
        #expect(none.count == 0, "\(what), no pages")
        #expect(none.errno == nil, "\(what), no pages")
        #expect(take(start, -1).errno == .badAddress, "\(what), minus one")
        #expect(take(start + 4095, 1).count == 1, "\(what), not aligned")
        let wrapped = take(last, 2)
        switch entry {
        case .fast:
          #expect(wrapped.count == (overflow == nil ? 0 : nil), "\(what), overflow")
          #expect(wrapped.errno == overflow, "\(what), overflow")
        case .fastOnly: #expect(wrapped.count == 0, "\(what), overflow")
        default: #expect(wrapped.errno == .badAddress, "\(what), overflow")
        }
        let beyond = take(top, 1)
        #expect(beyond.count == (entry == .fastOnly ? 0 : nil), "\(what), beyond")
        #expect(beyond.errno == (entry == .fastOnly ? nil : .badAddress), "\(what), beyond")
        // The last page of the mapping is the last of user space: the fast family refuses what goes on beyond.
        let across = take(top + -4096, 2)
        #expect(across.count == (entry == .fastOnly ? 0 : isFast ? nil : 1), "\(what), across the top")
      }
    }
    rig.check(policy.name)
  }

  @Test("fast-only takes what is there and never faults or fails (rule 5.2)")
  func fastOnly() throws {
    let rig = try PinRig()
    let start = try rig.map(3)
    #expect(Self.take(rig, start, pages: 3, .write, .fastOnly, isPin: true).count == 0, "holes")
    #expect(rig.frame(start) == nil, "faulted")
    try rig.machine.touch(rig.process, start, write: true)
    #expect(Self.take(rig, start, pages: 3, .write, .fastOnly, isPin: true).count == 1, "one page")
    #expect(
      Self.take(rig, start, pages: 3, [.write, .fastOnly], .fast, isPin: true).count == 1, "by the flag")
    try rig.machine.touch(rig.process, start + 4096, write: false)
    #expect(
      Self.take(rig, start + 4096, [], .fastOnly, isPin: true).count == 0, "the zero page always goes slow")
    #expect(Self.take(rig, start + 4096, [], .fast, isPin: true).count == 1, "slowly")
    rig.space.writeProtectSequence.advance()
    #expect(Self.take(rig, start, .write, .fastOnly, isPin: true).count == 0, "fork is copying")
    #expect(
      Self.take(rig, start, .write, .fastOnly, isPin: false).count == 1, "which a reference does not mind")
    rig.space.writeProtectSequence.advance()
    rig.check("fast-only")
  }

  @Test("pins of another process's memory: whose they are, and what an ended process gives (rules 5.2, 5.3)")
  func remote() throws {
    let rig = try PinRig()
    let machine = rig.machine
    let start = try rig.map(2)
    let other = try machine.createProcess(name: "vmm", processor: 1)
    for entry in PinEntry.allCases {
      let what = "remote by \(entry.rawValue)"
      do {
        let pins = try machine.pin(other, at: start, pages: 2, entry: entry, of: rig.process)
        #expect(entry == .remote, "\(what)")
        #expect(pins.count == 2, "\(what)")
        let holder = machine.pinHolders.first
        #expect(holder?.owner == other.id, "\(what)")
        #expect(holder?.ownerName == "vmm", "\(what)")
        #expect(rig.frame(start) == pins[0], "\(what)")
        #expect(machine.spaces.space(other.space).flags.load() == 0, "\(what), has pinned")
        rig.check(what)
        pins.unpin()
      } catch {
        #expect(entry != .remote, "\(what)")
        #expect(error.errno == .invalidArgument, "\(what)")
      }
    }
    // The memory outlives its process while it is pinned, and the pins can be given back afterwards.
    let kept = try machine.pin(other, at: start, pages: 2, entry: .remote, of: rig.process)
    machine.exit(rig.process)
    rig.check("the owner is gone")
    #expect(machine.folios.isMaybePinned(kept[0]), "still pinned")
    #expect(
      pinError { _ = try machine.pin(other, at: start, pages: 1, entry: .remote, of: rig.process) }?.errno
        == .noSuchProcess, "an ended owner")
    #expect(
      pinError { _ = try machine.pin(rig.process, at: start, pages: 1) }?.errno == .noSuchProcess,
      "an ended caller")
    let frame = kept[0]
    machine.lru.drainAll(for: other)
    kept.unpin()
    #expect(rig.page(frame).refcount.load() == 0, "freed with the last pin")
    rig.check("all given back")
  }

  @Test("FOLL_TOUCH marks accessed, and dirty for a write; FOLL_SPLIT_PMD splits (rules 5.1, 5.5)")
  func touch() throws {
    for entry in [PinEntry.slow, .remote, .fast] {
      for isPin in [false, true] {
        let what = "\(entry.rawValue) isPin \(isPin)"
        let rig = try PinRig()
        let start = try rig.make(.sharedAnonymous)
        guard let frame = rig.frame(start) else { return }
        rig.page(frame).clear([.referenced, .dirty])
        rig.space.pageTableLock.withLock {
          if let slot = rig.machine.pageTables.leafSlot(rig.space, start.page) {
            let bits = PageTableEntry.dirty | PageTableEntry.accessed
            rig.machine.pageTables.setEntry(slot, PageTableEntry(rawValue: slot.entry.rawValue & ~bits))
          }
        }
        #expect(Self.take(rig, start, .write, entry, isPin: isPin).count == 1, "\(what)")
        // pin_user_pages itself is the one that does not touch; the lockless walk marks accessed only.
        #expect(rig.page(frame).has(.referenced) == !(entry == .slow && isPin), "\(what), referenced")
        let marksDirty = entry == .remote || (entry == .slow && !isPin)
        #expect(rig.page(frame).has(.dirty) == marksDirty, "\(what), dirty")
      }
    }
    let rig = try PinRig()
    let start = try rig.make(.hugePMD)
    let pins = try rig.machine.pin(
      rig.process, at: start + 4096, pages: 2, flags: [.write, .splitPMD], entry: .slow)
    #expect(rig.machine.pageTables.leafSlot(rig.space, start.page)?.level == 0, "split")
    #expect(rig.head(pins[0]).pincount.load() == 2, "pinned")
    rig.check("split")
    pins.unpin()
  }
}

extension PinTrace {
  /// The flags of the last pin.
  var pinFlags: PinFlags? {
    for event in events.reversed() { if case .pin(_, _, _, let flags) = event { return flags } }
    return nil
  }
}
