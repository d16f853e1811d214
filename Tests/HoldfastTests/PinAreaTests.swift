import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// Areas and the pages in them: what is refused, and what a prefix means.
extension PinArgumentTests {
  /// An area as it is when asked for pages.
  enum AreaCase: String, CaseIterable {
    case none, io, frameMap, ioReadOnly, privateWritable, privateReadOnly, privateNone, sharedReadOnly
    case sharedNone, memfdPrivate, hugetlb, hugetlbReadOnly
  }

  @Test(
    "the checks of an area, in their order (rule 5.4), and FOLL_FORCE past protection (rule 5.5)",
    arguments: [PlacementPolicy.linux5_10, .linux6_1, .linuxMainline])
  // Policies differ here in whether pages are exclusive, and in mainline's own check.
  func areas(_ policy: PlacementPolicy) throws {
    for area in AreaCase.allCases {
      for isTouched in [false, true] {
        for bits in 0..<16 {
          var flags: PinFlags = []
          if bits & 1 != 0 { flags.insert(.write) }
          if bits & 2 != 0 { flags.insert(.force) }
          if bits & 4 != 0 { flags.insert(.anonymous) }
          if bits & 8 != 0 { flags.insert(.splitPMD) }
          for isPin in [false, true] {
            let what =
              "\(policy.name) \(area.rawValue) touched \(isTouched) flags \(flags.rawValue) isPin \(isPin)"
            try Self.checkArea(area, isTouched, flags, isPin: isPin, policy, what)
          }
        }
      }
    }
  }

  private static func checkArea(
    _ area: AreaCase, _ isTouched: Bool, _ flags: PinFlags, isPin: Bool, _ policy: PlacementPolicy,
    _ what: String
  ) throws {
    let rig = try PinRig(policy: policy)
    let start = try place(area, isTouched, rig)
    let before = rig.frame(start)
    let content = before.map { rig.machine.folios.digest($0) } ?? 0
    let outcome = take(rig, start, flags, .slow, isPin: isPin)
    let expected = refusal(area, flags, policy)
    #expect(outcome.cause == expected, "\(what)")
    #expect(outcome.count == (expected == nil ? 1 : nil), "\(what)")
    if let expected {
      #expect(outcome.errno == (expected == .hugetlbSplit ? .notSupported : .badAddress), "\(what)")
      #expect(outcome.stage == .area, "\(what)")
    } else if let frame = rig.frame(start) {
      #expect(rig.machine.folios.digest(frame) == content, "\(what), contents")
      let isOwn = rig.head(frame).mapping.isAnonymous
      if flags.contains(.write), area != .hugetlb { #expect(isOwn, "\(what), page of its own") }
    } else {
      Issue.record("\(what): nothing is mapped")
    }
    rig.check(what)
  }

  private static func place(_ area: AreaCase, _ isTouched: Bool, _ rig: PinRig) throws -> VirtualAddress {
    func made(_ kind: MappingKind, _ protection: Protection) throws -> VirtualAddress {
      let start = try rig.map(rig.unit, kind)
      if isTouched { try rig.machine.fill(rig.process, start, pages: rig.unit, pattern: 7) }
      try rig.machine.protect(rig.process, AddressRange(start: start, pages: rig.unit), protection)
      return start
    }
    func marked(_ flags: VirtualMemoryAreaFlags, _ protection: Protection = .readWrite) throws
      -> VirtualAddress
    {
      let start = try made(.privateAnonymous, protection)
      atRest { rig.machine.spaces.findArea(rig.space, start.page)?.flags.formUnion(flags) }
      return start
    }
    switch area {
    case .none: return VirtualAddress(page: 16)
    case .io: return try marked(.io)
    case .frameMap: return try marked(.frameMap)
    case .ioReadOnly: return try marked(.io, .read)
    case .privateWritable: return try made(.privateAnonymous, .readWrite)
    case .privateReadOnly: return try made(.privateAnonymous, .read)
    case .privateNone: return try made(.privateAnonymous, [])
    case .sharedReadOnly: return try made(.sharedAnonymous, .read)
    case .sharedNone: return try made(.sharedAnonymous, [])
    case .memfdPrivate: return try made(.object(try rig.object(.memfd), shared: false), .read)
    case .hugetlb, .hugetlbReadOnly:
      try rig.machine.reserveHugePages(node: 0, count: 1, for: rig.process)
      return try made(.hugetlb, area == .hugetlb ? .readWrite : .read)
    }
  }

  /// The first of the checks that refuses, as rule 5.4 orders them.
  private static func refusal(_ area: AreaCase, _ flags: PinFlags, _ policy: PlacementPolicy) -> PinError
    .Cause?
  {
    let isHugetlb = area == .hugetlb || area == .hugetlbReadOnly
    let isShared = area == .sharedReadOnly || area == .sharedNone
    if area == .none { return .noArea }
    if [.io, .frameMap, .ioReadOnly].contains(area) { return .noPages }
    if flags.contains(.anonymous), isHugetlb || isShared || area == .memfdPrivate { return .notAnonymous }
    let isMainline = policy == .linuxMainline || policy == .linux6_14
    if isMainline, flags.contains(.splitPMD), isHugetlb { return .hugetlbSplit }
    if flags.contains(.write) {
      if area == .privateWritable || area == .hugetlb { return nil }
      return flags.contains(.force) && !isHugetlb && !isShared ? nil : .notPermitted(write: true)
    }
    let isReadable = area != .privateNone && area != .sharedNone
    return isReadable || flags.contains(.force) ? nil : .notPermitted(write: false)
  }

  /// One page among those that are asked for, by name.
  struct PartCase: Sendable, CustomTestStringConvertible {
    let name: String
    let flags: PinFlags
    /// What every page of the range is.
    let pages: [Part]
    let taken: Int
    let cause: PinError.Cause?

    enum Part: Sendable { case written, zero, hole, readOnly, gap }
    var testDescription: String { name }
  }

  static let parts: [PartCase] = [
    PartCase(name: "all there", flags: .write, pages: [.written, .written], taken: 2, cause: nil),
    PartCase(
      name: "a gap behind", flags: .write, pages: [.written, .written, .gap], taken: 2, cause: .noArea),
    PartCase(name: "a gap at once", flags: .write, pages: [.gap, .written], taken: 0, cause: .noArea),
    PartCase(
      name: "read-only behind", flags: .write, pages: [.written, .readOnly], taken: 1,
      cause: .notPermitted(write: true)),
    PartCase(
      name: "hole faults in", flags: .write, pages: [.written, .hole, .written], taken: 3, cause: nil),
    PartCase(
      name: "hole, no fault", flags: [.write, .noFault], pages: [.written, .hole], taken: 1,
      cause: .wouldFault),
    PartCase(name: "hole at once, no fault", flags: .noFault, pages: [.hole], taken: 0, cause: .wouldFault),
    PartCase(
      name: "zero page for writing, no fault", flags: [.write, .noFault], pages: [.zero], taken: 0,
      cause: .wouldFault),
    PartCase(
      name: "zero page for reading, no fault", flags: .noFault, pages: [.zero, .written], taken: 2, cause: nil
    ),
    PartCase(name: "dump of a hole", flags: .dump, pages: [.written, .hole], taken: 1, cause: .holeForDump),
    PartCase(
      name: "dump of a hole for writing", flags: [.dump, .write], pages: [.hole], taken: 0,
      cause: .holeForDump),
    PartCase(name: "dump of the zero page", flags: .dump, pages: [.zero], taken: 0, cause: .holeForDump),
    PartCase(
      name: "dump of the zero page for writing breaks it first", flags: [.dump, .write],
      pages: [.zero, .written],
      taken: 2, cause: nil),
  ]

  @Test(
    "a prefix is a success and keeps its reason; nothing taken is the error (rules 5.5 to 5.7)",
    arguments: parts)
  func partial(_ it: PartCase) throws {
    for entry in [PinEntry.slow, .unlocked, .remote, .fast] {
      if entry == .fast, it.flags.contains(.dump) { continue }
      for isPin in [false, true] {
        let what = "\(it.name) \(entry.rawValue) isPin \(isPin)"
        let rig = try PinRig()
        let start = VirtualAddress(page: 64)
        for (i, part) in it.pages.enumerated() where part != .gap {
          let at = start + i * 4096
          try rig.machine.map(rig.process, pages: 1, at: .fixed(at))
          switch part {
          case .written: try rig.machine.touch(rig.process, at, write: true)
          case .zero: try rig.machine.touch(rig.process, at, write: false)
          case .readOnly: try rig.machine.protect(rig.process, AddressRange(start: at, pages: 1), .read)
          case .hole, .gap: break
          }
        }
        let outcome = Self.take(rig, start, pages: it.pages.count, it.flags, entry, isPin: isPin)
        #expect(outcome.count == (it.taken == 0 ? nil : it.taken), "\(what)")
        #expect(outcome.cause == it.cause, "\(what)")
        #expect(outcome.errno == (it.cause == nil ? nil : .badAddress), "\(what)")
        // MMF_HAS_PINNED: set whenever a pin walks, even if it takes nothing (rule 5.3).
        #expect((rig.space.flags.load() & AddressSpace.hasPinned != 0) == isPin, "\(what), has pinned")
        rig.check(what)
      }
    }
  }
}
