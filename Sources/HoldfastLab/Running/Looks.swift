import Holdfast
import HoldfastScenario
import Interleaving

/// The looks that expectations ask for: taken when their step ends, or at the end.
final class Looks {
  /// What an earlier look saw, for those that compare two.
  struct Earlier {
    var counters: [String: Int64] = [:]
    /// By page of the region, nil where there was none.
    var frames: [FrameNumber?] = []
    var digests: [UInt64?] = []
  }

  private(set) var stage: Stage
  private let blocksBefore: [BlockRecord]
  private(set) var earlier: [Int: Earlier] = [:]
  private(set) var seen: [Int: Observation] = [:]

  init(_ stage: Stage, blocksBefore: [BlockRecord]) {
    self.stage = stage
    self.blocksBefore = blocksBefore
    for (index, expectation) in stage.scenario.looks.enumerated() where expectation.since == nil {
      lookEarly(index)
    }
  }

  /// Goes on from the looks that others have taken, on a machine that was put back to then.
  func restart(as other: Looks, _ stage: Stage) {
    self.stage = stage
    earlier = other.earlier
    seen = other.seen
  }

  /// Takes the looks that a step's end calls for.
  func stepEnded(_ label: String?, records: [StepRecord]) {
    guard let label else { return }
    for (index, expectation) in stage.scenario.looks.enumerated() {
      if expectation.since == label { lookEarly(index) }
      if expectation.at == label { seen[index] = look(index, records: records) }
    }
  }

  /// The verdicts on all expectations, then those on all conditions.
  func verdicts(records: [StepRecord]) -> [Verdict] {
    let scenario = stage.scenario
    let expectations = scenario.expectations.enumerated().map { index, expectation in
      expectation.verdict(under: stage.policy, observed: observed(index, expectation, records))
    }
    guard !scenario.conditions.isEmpty else { return expectations }
    return expectations + scenario.conditionVerdicts(under: stage.policy, states(records: records))
  }

  /// What became of all looks: of the expectations, and of the atoms of the conditions.
  func states(records: [StepRecord]) -> [Verdict.State] {
    stage.scenario.looks.enumerated().map { index, expectation in
      expectation.state(under: stage.policy, observed: observed(index, expectation, records))
    }
  }

  private func observed(
    _ index: Int, _ expectation: Expectation, _ records: [StepRecord]
  ) -> Observation {
    if let label = expectation.at { return seen[index] ?? .unavailable("the step \(label) was not reached") }
    return look(index, records: records)
  }

  private func lookEarly(_ index: Int) {
    var look = Earlier()
    switch stage.scenario.looks[index].subject {
    case .counter(let expression, total: false):
      for term in expression.terms { look.counters[term.counter] = stage.counter(term.counter) }
    case .pages(let range, _), .contents(let range):
      look.frames = stage.frames(of: range)
      look.digests = look.frames.map { $0.map(stage.machine.contentDigest) }
    case .pin(let name, _): look.frames = stage.frames(ofPin: name)
    default: return
    }
    earlier[index] = look
  }

  private func look(_ index: Int, records: [StepRecord]) -> Observation {
    let machine = stage.machine
    switch stage.scenario.looks[index].subject {
    case .step(let label, let value):
      return records.last { $0.label == label }?.value(value)
        ?? .unavailable("the step \(label) was not reached")
    case .counter(let expression, let total):
      let before = earlier[index]?.counters ?? [:]
      switch expression.evaluate({ name in
        self.stage.counter(name).map { total ? $0 : $0 - (before[name] ?? 0) }
      }) {
      case .success(let sum): return .number(sum)
      case .failure(let unknown): return .unavailable("the engine does not keep \(unknown.name)")
      }
    case .zone(let zone, let node, let value):
      let sums = machine.zoneRecords().filter { $0.zone == zone && (node == nil || $0.node == node) }
      return .number(sums.compactMap { $0.value(value) }.reduce(0, +))
    case .blocks(let set, let filter): return blocks(set, filter)
    case .pages(let range, let filter): return count(stage.frames(of: range), filter, earlier[index])
    case .pin(let name, let filter): return count(stage.frames(ofPin: name), filter, earlier[index])
    case .contents(let range): return contents(range, earlier[index])
    case .holders(let set):
      let picked = blocksBefore.filter(set.contains)
      var owners: Set<String> = []
      for block in picked {
        for holder in machine.holders(of: machine.frames(of: BlockID(rawValue: block.index)))
        where holder.isPin {
          owners.insert(stage.actorName(of: holder))
        }
      }
      return .names(owners)
    case .process(let actor, let value):
      guard let process = stage.processes[stage.scenario.actor(named: actor)?.process ?? actor] else {
        return .unavailable("the process of \(actor) has ended")
      }
      let space = machine.space(process.space)
      switch value {
      case .locked: return .number(Int64(space.lockedPages.load()))
      case .pinned: return .number(Int64(space.pinnedPages.load()))
      case .resident:
        return .number(
          Int64(space.residentAnon.load() + space.residentFile.load() + space.residentShared.load()))
      }
    case .contiguousArea(let name, let value):
      guard let index = stage.areaIndex[name], let area = machine.cmaStatus(area: index) else {
        return .unavailable("there is no area \(name)")
      }
      return .number(Int64(value == .used ? area.usedPages : area.longestRun))
    }
  }

  private func blocks(_ set: Subject.BlockSet, _ filter: Subject.BlockFilter) -> Observation {
    let now = Dictionary(
      uniqueKeysWithValues: stage.machine.blockRecords().map { ($0.index, $0) })
    let picked = blocksBefore.filter(set.contains)
    var fitting: Int64 = 0
    for before in picked {
      var record = now[before.index]
      if record == nil {
        record = before
        record?.state = .absent
        record?.zone = nil
        record?.free = 0
        record?.pinned = 0
      }
      if let record, filter.matches(record) == true { fitting += 1 }
    }
    return .count(fitting, of: Int64(picked.count))
  }

  private func count(
    _ frames: [FrameNumber?], _ filter: Subject.PageFilter, _ earlier: Earlier?
  ) -> Observation {
    if filter.moved != nil, earlier == nil { return .unavailable("there is nothing to compare with") }
    var fitting: Int64 = 0
    for (index, frame) in frames.enumerated() {
      let before = earlier.flatMap { index < $0.frames.count ? $0.frames[index] : nil }
      if stage.fits(frame, filter, before: before) { fitting += 1 }
    }
    return .count(fitting, of: Int64(frames.count))
  }

  private func contents(_ range: Verb.RegionRange, _ earlier: Earlier?) -> Observation {
    guard let earlier else { return .unavailable("the earlier step was not reached") }
    let now = stage.frames(of: range).map { $0.map(stage.machine.contentDigest) }
    return .word(now == earlier.digests ? "unchanged" : "changed")
  }
}

extension Stage {
  /// A counter of /proc/vmstat.
  func counter(_ name: String) -> Int64? {
    machine.vmstat.first { $0.name == name }.map { Int64(clamping: $0.value) }
  }

  /// The frames of a part of a region, nil where nothing is mapped.
  func frames(of part: Verb.RegionRange) -> [FrameNumber?] {
    guard let (region, address, pages) = try? span(part), let owner = processes[region.process] else {
      return []
    }
    return (0..<pages).map { index in
      let word = machine.pagemapWord(owner, address + UInt64(index * pageSize))
      return word >> 63 == 1 ? FrameNumber(rawValue: UInt32(truncatingIfNeeded: word)) : nil
    }
  }

  func frames(ofPin name: String) -> [FrameNumber?] {
    holds[name]?.pins.flatMap { held -> [FrameNumber?] in
      guard let count = held.pinned?.count else { return [] }
      return (0..<count).map { index in
        let frame = held.pinned?[index] ?? .none
        return frame == .none ? nil : frame
      }
    } ?? []
  }

  /// The actor whose process took a hold.
  func actorName(of holder: PinHolder) -> String {
    processes.first { $0.value.id == holder.owner }?.key ?? holder.ownerName
  }

  func fits(_ frame: FrameNumber?, _ filter: Subject.PageFilter, before: FrameNumber?) -> Bool {
    if let present = filter.present, present != (frame != nil) { return false }
    guard let frame else {
      // Without a frame only "not present" and "not moved" can be true of a page.
      return filter.present == false && filter.moved != true
    }
    let page = machine.page(frame)
    let head = machine.head(of: frame)
    let top = machine.page(head)
    func differs<Value: Equatable>(_ wanted: Value?, _ found: @autoclosure () -> Value) -> Bool {
      guard let wanted else { return false }
      return wanted != found()
    }
    if differs(filter.zone, page.zone.kind) { return false }
    if differs(filter.node, page.zone.node) { return false }
    if differs(filter.migratetype, machine.pageblockType(of: frame)) { return false }
    if differs(filter.pinnable, machine.isLongtermPinnable(frame)) { return false }
    if differs(filter.maybePinned, machine.isMaybePinned(head)) { return false }
    if differs(filter.moved, before != frame) { return false }
    if differs(filter.dirty, top.has(.dirty)) { return false }
    if differs(filter.references, Int(top.refcount.load())) { return false }
    if differs(filter.pincount, Int(top.pincount.load())) { return false }
    if differs(filter.mappings, Int(machine.kpagecount(frame))) { return false }
    if differs(filter.order, top.isLarge ? top.order : 0) { return false }
    return true
  }
}
