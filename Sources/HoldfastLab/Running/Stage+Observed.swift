import Holdfast
import HoldfastScenario
import Interleaving

/// What expectations look at on the engine.
extension Stage: ObservedGround {
  static var keeper: String { "the engine" }

  func counters(_ names: [String]) -> [String: Int64] {
    var found: [String: Int64] = [:]
    for counter in machine.vmstat where names.contains(counter.name) {
      found[counter.name] = Int64(clamping: counter.value)
    }
    return found
  }

  func zoneRecords() -> [ZoneRecord] { machine.zoneRecords() }

  func blockRecords() -> [BlockRecord] { machine.blockRecords() }

  func frames(of range: Verb.RegionRange) -> [FrameNumber?] {
    guard let part = try? part(range), let owner = processes[part.region.process] else { return [] }
    let address = address(of: part)
    return (0..<part.pages).map { index in
      let word = machine.pagemapWord(owner, address + UInt64(index * pageSize))
      return word >> 63 == 1 ? FrameNumber(rawValue: UInt32(truncatingIfNeeded: word)) : nil
    }
  }

  func frames(ofPin name: String) -> [FrameNumber?]? {
    if let mapping = holds[name]?.mapping { return isThere(mapping) ? frames(of: mapping) : nil }
    return holds[name]?.pins.flatMap { held -> [FrameNumber?] in
      guard let count = held.pinned?.count else { return [] }
      return (0..<count).map { index in
        let frame = held.pinned?[index] ?? .none
        return frame == .none ? nil : frame
      }
    }
  }

  func coherence(ofPin name: String) -> [Bool] {
    guard let hold = holds[name] else { return [] }
    func mapped(_ owner: String, _ address: VirtualAddress) -> FrameNumber? {
      guard let process = processes[owner] else { return nil }
      let word = machine.pagemapWord(process, address)
      return word >> 63 == 1 ? FrameNumber(rawValue: UInt32(truncatingIfNeeded: word)) : nil
    }
    if let mapping = hold.mapping {
      let others = Set(incoherentPages(of: mapping).map(\.iova))
      return frames(of: mapping).enumerated().map { index, frame in
        frame != nil && !others.contains(mapping.iova + UInt64(index * pageSize))
      }
    }
    return hold.pins.flatMap { held in
      held.frames.enumerated().map { index, frame in
        mapped(held.owner, held.address + UInt64(index * pageSize)) == frame
      }
    }
  }

  func digests(of range: Verb.RegionRange) -> [UInt64?] {
    frames(of: range).map { $0.map(machine.folios.digest) }
  }

  func pages(
    _ frames: [FrameNumber?], of range: Verb.RegionRange?, for filter: Subject.PageFilter
  ) -> (Int) -> EnginePage {
    { EnginePage(machine: self.machine, frame: frames[$0]) }
  }

  func holders(in blocks: [BlockRecord]) -> Observation {
    var owners: Set<String> = []
    for block in blocks {
      for holder in machine.holders(of: machine.frames(of: BlockID(rawValue: block.index)))
      where holder.isPin {
        owners.insert(actorName(of: holder))
      }
    }
    return .names(owners)
  }

  /// The name of the actor whose process holds the pages.
  func actorName(of holder: PinHolder) -> String {
    actors[holder.owner] ?? holder.ownerName
  }

  func number(_ value: Subject.ProcessValue, ofProcess name: String) -> Int64? {
    guard let process = processes[name] else { return nil }
    let space = machine.spaces.space(process.space)
    switch value {
    case .locked: return Int64(space.lockedPages.load())
    case .pinned: return Int64(space.pinnedPages.load())
    case .resident:
      return Int64(space.residentAnon.load() + space.residentFile.load() + space.residentShared.load())
    }
  }

  func number(_ value: Subject.AreaValue, ofArea name: String) throws(NotSeen) -> Int64 {
    guard let index = areaIndex[name], let area = machine.cmaStatus(area: index) else {
      throw NotSeen("there is no area \(name)")
    }
    return Int64(value == .used ? area.usedPages : area.longestRun)
  }
}

/// A page of the engine, if there is one.
struct EnginePage: ObservedPage {
  private let machine: Machine
  private let frame: FrameNumber?
  private let head: FrameNumber

  init(machine: Machine, frame: FrameNumber?) {
    self.machine = machine
    self.frame = frame
    head = frame.map(machine.memmap.head) ?? .none
  }

  /// A property of the folio's head.
  private func ofFolio<Value>(_ read: (Page) -> Value) -> Value? {
    frame == nil ? nil : read(machine.memmap.page(head))
  }

  var zone: ZoneKind? { frame.map { machine.memmap.page($0).zone.kind } }
  var node: Int? { frame.map { machine.memmap.page($0).zone.node } }
  var migratetype: MigrateType? { frame.map(machine.buddy.pageblockType) }
  var pinnable: Bool? { frame.map { machine.folios.isLongtermPinnable($0) } }
  var maybePinned: Bool? { frame == nil ? nil : machine.folios.isMaybePinned(head) }
  var dirty: Bool? { ofFolio { $0.has(.dirty) } }
  var references: Int? { ofFolio { Int($0.refcount.load()) } }
  var pincount: Int? { ofFolio { Int($0.pincount.load()) } }
  var mappings: Int? { frame.map { Int(machine.kpagecount($0)) } }
  var exclusive: Bool? { mappings.map { $0 == 1 } }
  var order: Int? { ofFolio { $0.isLarge ? $0.order : 0 } }
  // The engine does not model these: `EngineLimits` refuses scenarios that ask for them.
  var swapped: Bool? { nil }
  var softDirty: Bool? { nil }
}
