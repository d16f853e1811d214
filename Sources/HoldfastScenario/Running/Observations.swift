/// The looks that expectations and conditions ask for: taken when their step ends, or at the end of the run.
package struct Observations<Ground: ObservedGround> {
  /// What an earlier look saw, for those that compare two.
  package struct Earlier {
    package var counters: [String: Int64] = [:]
    /// By page of the region, nil where there was none.
    package var frames: [Ground.Frame?] = []
    package var digests: [UInt64?] = []
  }

  private let scenario: Scenario
  private let policy: PolicyName
  private let blocksBefore: [BlockRecord]
  /// By place in the scenario's looks.
  package private(set) var earlier: [Int: Earlier] = [:]
  package private(set) var seen: [Int: Observation] = [:]

  /// The looks of a run that has not begun.
  package init(_ scenario: Scenario, policy: PolicyName, blocksBefore: [BlockRecord]) {
    self.scenario = scenario
    self.policy = policy
    self.blocksBefore = blocksBefore
  }

  /// Goes on from the looks that another has taken of the same scenario.
  package mutating func restart(as other: Observations) {
    earlier = other.earlier
    seen = other.seen
  }

  /// Takes the looks at the start.
  package mutating func begin(on ground: Ground) {
    for (index, expectation) in scenario.looks.enumerated() where expectation.since == nil {
      lookEarly(index, ground)
    }
  }

  /// Takes the looks that a step's end calls for.
  package mutating func stepEnded(_ label: String?, on ground: Ground, records: [StepRecord]) {
    guard let label else { return }
    for (index, expectation) in scenario.looks.enumerated() {
      if expectation.since == label { lookEarly(index, ground) }
      if expectation.at == label { seen[index] = look(index, ground, records) }
    }
  }

  /// The verdicts on all expectations, then those on all conditions.
  package func verdicts(on ground: Ground, records: [StepRecord]) -> [Verdict] {
    let all = scenario.looks.indices.map { observed($0, ground, records) }
    let expectations = zip(scenario.expectations, all).map { expectation, observed in
      expectation.verdict(under: policy, observed: observed)
    }
    guard !scenario.conditions.isEmpty else { return expectations }
    return expectations + scenario.conditionVerdicts(under: policy, states(all))
  }

  /// What became of all looks: of the expectations, and of the atoms of the conditions.
  package func states(on ground: Ground, records: [StepRecord]) -> [Verdict.State] {
    states(scenario.looks.indices.map { observed($0, ground, records) })
  }

  private func states(_ observed: [Observation]) -> [Verdict.State] {
    zip(scenario.looks, observed).map { $0.state(under: policy, observed: $1) }
  }

  private func observed(_ index: Int, _ ground: Ground, _ records: [StepRecord]) -> Observation {
    if let label = scenario.looks[index].at {
      return seen[index] ?? .unavailable("the step \(label) was not reached")
    }
    return look(index, ground, records)
  }

  private mutating func lookEarly(_ index: Int, _ ground: Ground) {
    var look = Earlier()
    switch scenario.looks[index].subject {
    case .counter(let expression, total: false):
      look.counters = ground.counters(expression.terms.map(\.counter))
    case .pages(let range, _): look.frames = ground.frames(of: range)
    case .contents(let range): look.digests = ground.digests(of: range)
    case .pin(let name, _):
      guard let frames = ground.frames(ofPin: name) else { return }
      look.frames = frames
    default: return
    }
    earlier[index] = look
  }

  private func look(_ index: Int, _ ground: Ground, _ records: [StepRecord]) -> Observation {
    do throws(NotSeen) {
      return try seeing(index, ground, records)
    } catch {
      return .unavailable(error.why)
    }
  }

  private func seeing(
    _ index: Int, _ ground: Ground, _ records: [StepRecord]
  ) throws(NotSeen) -> Observation {
    switch scenario.looks[index].subject {
    case .step(let label, let value):
      return records.last { $0.label == label }?.value(value)
        ?? .unavailable("the step \(label) was not reached")
    case .counter(let expression, let total):
      let now = ground.counters(expression.terms.map(\.counter))
      let before = earlier[index]?.counters ?? [:]
      switch expression.evaluate({ name in now[name].map { total ? $0 : $0 - (before[name] ?? 0) } }) {
      case .success(let sum): return .number(sum)
      case .failure(let unknown): throw NotSeen("\(Ground.keeper) does not have \(unknown.name)")
      }
    case .zone(let zone, let node, let value):
      let values = ground.zoneRecords().filter { $0.zone == zone && (node == nil || $0.node == node) }
        .map { $0.value(value) }
      if values.contains(nil) {
        throw NotSeen("\(Ground.keeper) does not show which pages of a zone are pinned")
      }
      return .number(values.compactMap(\.self).reduce(0, +))
    case .blocks(let set, let filter): return try blocks(set, filter, ground)
    case .pages(let range, let filter):
      return try count(ground.frames(of: range), of: range, filter, earlier[index], ground)
    case .pin(let name, let filter):
      // Of a pin that holds nothing there is nothing to be said, not even that none of its pages fits.
      guard let frames = ground.frames(ofPin: name) else {
        throw NotSeen("\(name) was not taken, or was given back")
      }
      let coherent = filter.coherent == nil ? [] : try ground.coherence(ofPin: name)
      return try count(frames, of: nil, filter, earlier[index], ground, coherent: coherent)
    case .contents(let range):
      guard let earlier = earlier[index] else { throw NotSeen("the earlier step was not reached") }
      return .word(ground.digests(of: range) == earlier.digests ? "unchanged" : "changed")
    case .holders(let set): return ground.holders(in: blocksBefore.filter(set.contains))
    case .process(let actor, let value):
      let name = scenario.actor(named: actor)?.process ?? actor
      guard let number = try ground.number(value, ofProcess: name) else {
        throw NotSeen("the process of \(actor) has ended")
      }
      return .number(number)
    case .contiguousArea(let name, let value): return .number(try ground.number(value, ofArea: name))
    }
  }

  private func blocks(
    _ set: Subject.BlockSet, _ filter: Subject.BlockFilter, _ ground: Ground
  ) throws(NotSeen) -> Observation {
    var now: [Int: BlockRecord] = [:]
    for record in ground.blockRecords() { now[record.index] = record }
    let picked = blocksBefore.filter(set.contains)
    var fitting: Int64 = 0
    for before in picked {
      var record = now[before.index] ?? before
      if now[before.index] == nil {
        record.state = .absent
        record.zone = nil
        record.free = 0
        record.pinned = 0
      }
      guard let fits = filter.matches(record) else {
        throw NotSeen("\(Ground.keeper) does not show which pages of a block are free or pinned")
      }
      if fits { fitting += 1 }
    }
    return .count(fitting, of: Int64(picked.count))
  }

  private func count(
    _ frames: [Ground.Frame?], of range: Verb.RegionRange?, _ filter: Subject.PageFilter, _ earlier: Earlier?,
    _ ground: Ground, coherent: [Bool] = []
  ) throws(NotSeen) -> Observation {
    if filter.moved != nil, earlier == nil { throw NotSeen("there is nothing to compare with") }
    let page = try ground.pages(frames, of: range, for: filter)
    var fitting: Int64 = 0
    for (index, frame) in frames.enumerated() {
      let before = earlier.flatMap { index < $0.frames.count ? $0.frames[index] : nil }
      let moved = frame != nil && before != frame
      let coherent = index < coherent.count ? coherent[index] : nil
      if filter.fits(isPresent: frame != nil, moved: moved, coherent: coherent, page(index)) { fitting += 1 }
    }
    return .count(fitting, of: Int64(frames.count))
  }
}
