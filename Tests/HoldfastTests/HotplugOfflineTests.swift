import CLinux
import Holdfast
import Interleaving
import SystemPackage
import Testing

/// What lies in the block that is to go.
enum Resident: String, CaseIterable, Sendable {
  case nothing, anonymous, anonymousHuge, shared, hugetlb, sharedHugetlb, freeHugetlb, promisedHugetlb
  case kernel, slab, table, reserved, zeroPage, cma, driverPage, takenAway, takenAwayReleased
}

/// Who holds it beside its mappings.
enum Hold: String, CaseIterable, Sendable { case none, got, pinned }

struct OfflineCase: Sendable, CustomTestStringConvertible {
  let resident: Resident
  let zone: ZoneKind
  var hold = Hold.none
  /// Nil: the block goes offline.
  var stage: OfflineError.Stage?

  var testDescription: String { "\(resident) in \(zone), \(hold) -> \(stage?.rawValue ?? "offline")" }

  static let all: [OfflineCase] = {
    var cases: [OfflineCase] = []
    for zone in [ZoneKind.normal, .movable] {
      for resident in [Resident.nothing, .freeHugetlb, .takenAwayReleased] {
        cases.append(OfflineCase(resident: resident, zone: zone))
      }
      for resident in [Resident.anonymous, .anonymousHuge, .shared, .hugetlb, .sharedHugetlb] {
        for hold in Hold.allCases {
          cases.append(
            OfflineCase(resident: resident, zone: zone, hold: hold, stage: hold == .none ? nil : .migrate))
        }
      }
      cases.append(OfflineCase(resident: .promisedHugetlb, zone: zone, stage: .dissolve))
      cases.append(OfflineCase(resident: .reserved, zone: zone, stage: .isolate))
      cases.append(OfflineCase(resident: .zeroPage, zone: zone, stage: .isolate))
      cases.append(OfflineCase(resident: .takenAway, zone: zone, stage: .scan))
    }
    for resident in [Resident.kernel, .slab, .table, .cma] {
      cases.append(OfflineCase(resident: resident, zone: .normal, stage: .isolate))
    }
    cases.append(OfflineCase(resident: .driverPage, zone: .movable, stage: .test))
    return cases
  }()
}

/// Offline of memory blocks.
@Suite struct HotplugOfflineTests {
  @Test("page kind x zone x hold decides outcome, errno and stage (rule 3.6)", arguments: OfflineCase.all)
  func outcome(_ it: OfflineCase) throws {
    let rig = try HotplugRig(Self.configuration(for: it))
    let machine = rig.machine
    let (frame, address) = try Self.place(it, rig)
    let block = machine.block(of: frame)
    #expect(machine.memmap.page(frame).zone.kind == it.zone)
    var pins: PinnedPages?
    var gets: GottenPages?
    switch it.hold {
    case .none: break
    case .got: gets = try machine.get(rig.process, at: address, pages: 1, purpose: PinLabel("ptrace"))
    case .pinned: pins = try machine.pin(rig.process, at: address, pages: 1, purpose: PinLabel("dma"))
    }
    let limits = OfflineLimits(passes: 3)
    guard let stage = it.stage else {
      let present = machine.buddy.zone(ZoneID(node: 0, kind: it.zone)).present.load()
      try machine.offline(block, by: rig.process, limits: limits)
      #expect(machine.state(of: block) == .offline)
      #expect(machine.buddy.zone(ZoneID(node: 0, kind: it.zone)).present.load() == present - 16)
      return
    }
    // The first failure settles per-CPU lists and batches, and what can move has moved; the second changes nothing.
    _ = failure(OfflineError.self) { try machine.offline(block, by: rig.process, limits: limits) }
    let before = rig.snapshot()
    let error = failure(OfflineError.self) {
      try machine.offline(block, by: rig.process, limits: limits)
    }
    #expect(rig.snapshot() == before)
    #expect(error?.stage == stage)
    #expect(error?.errno == .resourceBusy)
    #expect(error?.frames.map(\.frame) == [machine.memmap.head(of: frame)] || it.resident == .cma)
    #expect(error?.holders.map(\.purpose) == [it.hold == .got ? "ptrace" : "dma"] || it.hold == .none)
    #expect(error?.messages.last?.contains("failed due to") == true)
    if it.hold != .none {
      #expect(error?.passes == 3)
      #expect(error?.holders.first?.ownerName == "vmm")
      gets.take()?.put()
      pins.take()?.unpin()
      try machine.offline(block, by: rig.process, limits: limits)
      #expect(machine.state(of: block) == .offline)
    }
  }

  @Test(
    "what holds a page is told by the references that nothing accounts for: of mappings and of the cache, which has one on a huge page of the pool",
    arguments: [Resident.anonymous, .anonymousHuge, .shared, .hugetlb, .sharedHugetlb])
  func accounted(_ resident: Resident) throws {
    for hold in [Hold.got, .pinned] {
      let it = OfflineCase(resident: resident, zone: .normal, hold: hold)
      let rig = try HotplugRig(Self.configuration(for: it))
      let machine = rig.machine
      let (frame, address) = try Self.place(it, rig)
      var pins: PinnedPages?
      var gets: GottenPages?
      if hold == .got {
        gets = try machine.get(rig.process, at: address, pages: 1)
      } else {
        pins = try machine.pin(rig.process, at: address, pages: 1)
      }
      let error = failure(OfflineError.self) {
        try machine.offline(machine.block(of: frame), by: rig.process, limits: OfflineLimits(passes: 3))
      }
      let stuck = try #require(error?.frames.first)
      // A small page of an object has one reference from its cache, as a huge page of the pool has.
      let expected = resident == .shared || resident == .sharedHugetlb ? 2 : 1
      let isSmall = resident == .anonymous || resident == .shared
      let own = hold == .pinned && isSmall ? Int(machine.configuration.pinBias) : 1
      #expect(stuck.reason == (hold == .got ? .referenced(extra: 1) : .pinned(pins: 1)), "\(it)")
      #expect(stuck.expected == expected, "\(it), accounted for")
      #expect(stuck.references == expected + own, "\(it), references")
      let clause = "\(expected + own) references where \(expected) are accounted for"
      #expect(stuck.description.hasSuffix(clause), "\(stuck.description)")
      gets.take()?.put()
      pins.take()?.unpin()
    }
  }

  @Test("a signal ends the loop with EINTR, as does the end of the allowed passes with EBUSY (rule 3.6)")
  func limits() throws {
    let rig = try HotplugRig(movable: 128)
    let (frame, address) = try rig.lonelyPage(.privateAnonymous)
    let block = rig.machine.block(of: frame)
    let pins = try rig.machine.pin(rig.process, at: address, pages: 1)
    rig.process.signals.store(1)
    let interrupted = failure(OfflineError.self) { try rig.machine.offline(block, by: rig.process) }
    #expect(interrupted?.errno == .interrupted)
    #expect(interrupted?.passes == 0)
    rig.process.signals.store(0)
    for passes in [0, 1, 7] {
      let error = failure(OfflineError.self) {
        try rig.machine.offline(block, by: rig.process, limits: OfflineLimits(passes: passes))
      }
      #expect(error?.cause == .passesUsedUp)
      #expect(error?.passes == passes)
    }
    #expect(rig.machine.state(of: block) == .online)
    pins.unpin()
    try rig.machine.offline(block, by: rig.process)
  }

  /// What runs between the passes of an offline.
  private final class Between {
    var calls = 0
    var body: (Int) -> Void = { _ in }
  }

  @Test("others run between passes: a pin released in the third lets the fourth succeed")
  func givesWay() throws {
    let rig = try HotplugRig(movable: 128)
    let (frame, address) = try rig.lonelyPage(.privateAnonymous)
    let pins = try rig.machine.pin(rig.process, at: address, pages: 1)
    let between = Between()
    let borrowed = Unmanaged.passUnretained(between)
    let (machine, head) = (rig.machine, frame)
    between.body = { calls in
      // What unpinning the page does, done by somebody else.
      if calls == 3 { machine.memmap.page(head).refcount.fetchAdd(-machine.configuration.pinBias) }
    }
    hf_set_wait_handler(
      { context, _ in
        guard let context else { return }
        let between = Unmanaged<Between>.fromOpaque(context).takeUnretainedValue()
        between.calls += 1
        between.body(between.calls)
      }, borrowed.toOpaque())
    defer { hf_set_wait_handler(nil, nil) }
    machine.folios.get(head, refs: machine.configuration.pinBias)
    pins.unpin()
    let report = try machine.offline(machine.block(of: frame), by: rig.process)
    #expect(report.passes == 4)
    #expect(report.movedPages == 1)
    #expect(machine.total(.offlinePasses) >= 4)
  }

  @Test("a huge page whose last reference is just going is waited for, and then dissolved (rule 3.6)")
  func hugePageOnItsWay() throws {
    let rig = try HotplugRig(movable: 128)
    let (machine, cpu) = (rig.machine, rig.process.processor)
    try machine.reserveHugePages(node: 0, count: 2, for: rig.process)
    let head = try #require(machine.hugetlb.dequeue(reserved: false, for: rig.process))
    // The first half of putting the last reference; what others do meanwhile is the second.
    machine.memmap.page(head).refcount.store(0)
    let between = Between()
    between.body = { calls in
      if calls == 3 { machine.hugetlb.free(head, on: cpu) }
    }
    hf_set_wait_handler(
      { context, _ in
        guard let context else { return }
        let between = Unmanaged<Between>.fromOpaque(context).takeUnretainedValue()
        between.calls += 1
        between.body(between.calls)
      }, Unmanaged.passUnretained(between).toOpaque())
    defer { hf_set_wait_handler(nil, nil) }
    let folio = FrameRange(start: head, count: 1 << machine.geometry.hugeOrder)
    #expect(machine.hugetlb.dissolveFree(in: folio, on: cpu))
    #expect(between.calls == 3, "waited until it was on the list")
    #expect(!machine.memmap.page(head).isHugetlb)
    let counts = machine.hugetlbCounts(node: 0)
    #expect(counts.total == 1 && counts.free == 1, "\(counts)")
  }

  @Test("notifiers: asked once, told of the end; a veto is the error (rule 3.2)")
  func notifier() throws {
    let rig = try HotplugRig(movable: 128)
    let block = BlockID(rawValue: 12)
    var events: [HotplugEvent] = []
    let veto = failure(OfflineError.self) {
      try rig.machine.offline(block, by: rig.process) { event throws(Errno) in
        events.append(event)
        if event == .goingOffline { throw .permissionDenied }
      }
    }
    #expect(veto?.stage == .notify)
    #expect(veto?.errno == .permissionDenied)
    #expect(events == [.goingOffline, .cancelOffline])
    #expect(rig.machine.state(of: block) == .online)
    events = []
    try rig.machine.offline(block, by: rig.process) { event throws(Errno) in events.append(event) }
    try rig.machine.online(block, as: .movable, by: rig.process) { event throws(Errno) in events.append(event)
    }
    #expect(events == [.goingOffline, .offline, .goingOnline, .online])
  }

  // MARK: - Placing

  static func configuration(for it: OfflineCase) -> MachineConfiguration {
    let movable = it.zone == .movable ? 128 : 0
    var configuration = HotplugRig.configuration(movable: movable)
    switch it.resident {
    case .reserved: configuration.reserved = [FrameRange(start: FrameNumber(200), count: 2)]
    case .zeroPage: configuration.zeroPage = FrameNumber(201)
    case .cma:
      configuration.cmaAreas = [CMAConfiguration(name: "area", frames: 16, base: FrameNumber(192))]
    default: break
    }
    return configuration
  }

  static func place(_ it: OfflineCase, _ rig: HotplugRig) throws -> (FrameNumber, VirtualAddress) {
    let machine = rig.machine
    let nowhere = VirtualAddress(rawValue: 0)
    switch it.resident {
    case .nothing:
      machine.buddy.materialise(machine.frames(of: BlockID(rawValue: 12)))
      return (FrameNumber(192), nowhere)
    case .anonymous: return try rig.lonelyPage(.privateAnonymous)
    case .anonymousHuge: return try rig.lonelyPage(.privateAnonymous, step: 4, huge: true)
    case .shared: return try rig.lonelyPage(.sharedAnonymous)
    case .hugetlb:
      // No free ones beside them: those of the same block could be taken as targets.
      try machine.reserveHugePages(node: 0, count: 12, for: rig.process)
      return try rig.lonelyPage(.hugetlb, step: 4)
    case .sharedHugetlb:
      try machine.reserveHugePages(node: 0, count: 12, for: rig.process)
      let object = try machine.createObject(kind: .hugetlb, pages: 48, for: rig.process)
      return try rig.lonelyPage(.object(object), step: 4)
    case .freeHugetlb, .promisedHugetlb:
      try machine.reserveHugePages(node: 0, count: 12, for: rig.process)
      if it.resident == .promisedHugetlb { _ = try rig.map(pages: 48, .hugetlb) }
      let head = (0..<64).map { FrameNumber($0 * 4) }.first {
        machine.memmap.page($0).isHugetlb && rig.isAlone($0) && machine.memmap.page($0).zone.kind == it.zone
      }
      return (try #require(head), nowhere)
    case .kernel: return (try rig.lonelyKernelPage(.kernel), nowhere)
    case .slab: return (try rig.lonelyKernelPage(.kernel, slab: true), nowhere)
    case .table:
      let start = try rig.map(pages: 160)
      _ = try rig.frame(start)
      let table = (0..<256).map(FrameNumber.init).first { machine.memmap.page($0).type == .table }
      return (try #require(table), nowhere)
    case .reserved: return (FrameNumber(200), nowhere)
    case .zeroPage: return (FrameNumber(201), nowhere)
    case .cma: return (FrameNumber(192), nowhere)
    case .driverPage: return (try rig.lonelyKernelPage(.highUserMovable), nowhere)
    case .takenAway, .takenAwayReleased:
      let frame = try rig.lonelyKernelPage(it.zone == .movable ? .highUserMovable : .kernel)
      machine.memmap.page(frame).type = .offline
      if it.resident == .takenAwayReleased { machine.memmap.page(frame).refcount.store(0) }
      return (frame, nowhere)
    }
  }
}
