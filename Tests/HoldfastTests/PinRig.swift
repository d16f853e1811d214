import HoldfastLab
import Interleaving
import Testing

@testable import Holdfast

/// Where the pages of a test lie at first.
enum Ground: String, CaseIterable, Sendable { case normal, movable, cma }

/// What is mapped where pages are pinned.
enum PageKind: String, CaseIterable, Sendable {
  case hole, zeroPage
  /// Private, written: exclusive and writable.
  case anonymous
  /// Private, written, and read-only since a fork whose child has gone: not exclusive.
  case afterFork
  case sharedAnonymous, memfd
  /// A private mapping of a memfd that was read: maps the page of the cache.
  case memfdPrivate
  case hugetlb, hugetlbShared
  /// A large anonymous folio that one PMD entry maps, or PTEs.
  case hugePMD, hugePTE

  /// Kinds that have pages of their own.
  static let resident: [PageKind] = allCases.filter { $0 != .hole && $0 != .zeroPage }
  /// Those that may be written by a pin without losing the page.
  static let owned: [PageKind] = resident.filter { $0 != .memfdPrivate }
  var isLarge: Bool { [.hugetlb, .hugetlbShared, .hugePMD, .hugePTE].contains(self) }
  var isHugetlb: Bool { self == .hugetlb || self == .hugetlbShared }
}

/// Keeps what a machine reports; one thread runs the machine.
final class PinTrace: @unchecked Sendable {
  // Sendable: used by the thread that runs the machine.
  var events: [TraceEvent] = []
  /// Called with every event.
  var watch: (TraceEvent) -> Void = { _ in }

  func note(_ event: TraceEvent) {
    events.append(event)
    watch(event)
  }

  /// Attempts to move a folio that failed.
  var failedMoves: Int { events.count { if case .migrate(_, nil, _, _) = $0 { true } else { false } } }
  /// Attempts to isolate one that failed.
  var failedIsolations: Int { events.count { if case .isolate(_, false) = $0 { true } else { false } } }
}

/// A machine of 256 frames in one zone, or half of it movable, or three quarters of it CMA; with a process.
struct PinRig {
  let machine: Machine
  let process: Process

  static func configuration(_ ground: Ground, policy: PlacementPolicy, frames: Int = 256)
    -> MachineConfiguration
  {
    var configuration = MachineConfiguration.small(
      frames: frames, movable: ground == .movable ? frames / 2 : 0, processors: 2)
    configuration.limits = TableLimits()
    configuration.limits.pinRecords = 256
    configuration.policy = policy
    if ground == .cma {
      configuration.cmaAreas = [
        CMAConfiguration(name: "video", frames: frames * 3 / 4, base: FrameNumber(frames / 4))
      ]
    }
    return configuration
  }

  init(
    _ ground: Ground = .normal, policy: PlacementPolicy = .linux6_1, frames: Int = 256,
    trace: PinTrace? = nil, _ adjust: (inout MachineConfiguration) -> Void = { _ in }
  ) throws {
    var configuration = Self.configuration(ground, policy: policy, frames: frames)
    adjust(&configuration)
    var sink: TraceSink?
    if let trace { sink = { event in trace.note(event) } }
    machine = try Machine(configuration, trace: sink)
    process = try machine.createProcess(name: "dma", memlockLimit: .max)
  }

  /// Pages of a mapping that `make` makes: one large folio.
  var unit: Int { machine.geometry.tableEntries }
  var space: AddressSpace { machine.spaces.space(process.space) }

  func page(_ frame: FrameNumber) -> Page { machine.memmap.page(frame) }
  func head(_ frame: FrameNumber) -> Page { machine.memmap.page(machine.memmap.head(of: frame)) }

  func map(_ pages: Int, _ kind: MappingKind = .privateAnonymous, _ protection: Protection = .readWrite)
    throws
    -> VirtualAddress
  {
    try machine.map(process, pages: pages, kind: kind, protection: protection)
  }

  /// Maps `unit` pages of a kind and lets them come into being, off the batches; returns where.
  func make(_ kind: PageKind, pattern: UInt64 = 0x51) throws -> VirtualAddress {
    let start = try place(kind, pattern)
    machine.lru.drainAll(for: process)
    return start
  }

  private func place(_ kind: PageKind, _ pattern: UInt64) throws -> VirtualAddress {
    func filled(_ mapping: MappingKind) throws -> VirtualAddress {
      let start = try map(unit, mapping)
      try machine.fill(process, start, pages: unit, pattern: pattern)
      return start
    }
    switch kind {
    case .hole: return try map(unit)
    case .zeroPage:
      let start = try map(unit)
      for page in 0..<unit { try machine.touch(process, start + page * 4096, write: false) }
      return start
    case .anonymous: return try filled(.privateAnonymous)
    case .afterFork:
      let start = try filled(.privateAnonymous)
      machine.exit(try machine.fork(process))
      return start
    case .sharedAnonymous: return try filled(.sharedAnonymous)
    case .memfd: return try filled(.object(try object(.memfd)))
    case .memfdPrivate:
      let memfd = try object(.memfd)
      let shared = try filled(.object(memfd))
      let start = try map(unit, .object(memfd, shared: false))
      for page in 0..<unit { try machine.touch(process, start + page * 4096, write: false) }
      try machine.unmap(process, AddressRange(start: shared, pages: unit))
      return start
    case .hugetlb:
      try machine.reserveHugePages(node: 0, count: 1, for: process)
      return try filled(.hugetlb)
    case .hugetlbShared:
      try machine.reserveHugePages(node: 0, count: 1, for: process)
      return try filled(.object(try object(.hugetlb)))
    case .hugePMD, .hugePTE:
      let start = try map(unit)
      try machine.advise(process, AddressRange(start: start, pages: unit), .hugePage)
      try machine.fill(process, start, pages: unit, pattern: pattern)
      if kind == .hugePTE {
        space.pageTableLock.withLock {
          if let slot = machine.pageTables.leafSlot(space, start.page), slot.level == 1 {
            machine.pageTables.splitHuge(space, slot, start.page, on: 0)
          }
        }
      }
      return start
    }
  }

  func object(_ kind: ObjectKind) throws -> ObjectHandle {
    try machine.createObject(kind: kind, pages: unit, for: process)
  }

  /// The frame behind an address, without touching it.
  func frame(_ address: VirtualAddress) -> FrameNumber? {
    space.pageTableLock.withLock { machine.faults.mappedFrame(space, address.page) }
  }

  /// References and pins of a frame's folio.
  func counts(_ frame: FrameNumber) -> [Int] {
    [Int(head(frame).refcount.load()), Int(head(frame).pincount.load())]
  }

  var acquired: Int64 { machine.total(.follPinAcquired) }
  var released: Int64 { machine.total(.follPinReleased) }

  /// Recounts everything and reports what contradicts the tables.
  func check(
    _ what: @autoclosure () -> String, isolated: [FrameNumber] = [],
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    for violation in Invariant.violations(of: machine, isolated: isolated) {
      Issue.record("\(what()): \(violation)", sourceLocation: sourceLocation)
    }
  }

  /// Everything that a call which fails must leave as it was: mappings, contents, flags, counts, statistics.
  func state(of pages: [VirtualAddress] = []) -> [String] {
    var state: [String] = []
    for mapped in machine.spaces.mappings(of: process) {
      state.append("\(mapped.page): \(String(mapped.entry.rawValue, radix: 16)) level \(mapped.level)")
      guard mapped.entry.mapsFrame else { continue }
      let frame = mapped.entry.frame
      // Taking an entry away moves its dirty bit to the folio, as the kernel does.
      let flags = head(frame).flags.subtracting([.lru, .dirty])
      state.append("\(frame): \(flags.rawValue) \(counts(frame)) \(machine.folios.digest(frame))")
    }
    let usage = machine.usage(of: process)
    state.append("\(usage)")
    for counter in NodeCounter.allCases where ![.follPinAcquired, .follPinReleased].contains(counter) {
      state.append("\(counter) \(machine.total(counter))")
    }
    state.append("records \(machine.pinHolders.count) pins \(acquired - released)")
    return state
  }
}

extension VirtualAddress {
  static func + (address: VirtualAddress, bytes: Int) -> VirtualAddress {
    address + UInt64(bitPattern: Int64(bytes))
  }
}

/// The error that a body throws, or nil.
func pinError(_ body: () throws -> Void) -> PinError? {
  do {
    try body()
    return nil
  } catch {
    return error as? PinError
  }
}
