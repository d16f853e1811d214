import HoldfastScenario
import SystemPackage

/// The looks that expectations ask for, taken where Linux lets anybody look.
struct Sights {
  /// What an earlier look saw, for those that compare two.
  private struct Earlier {
    var counters: [String: UInt64] = [:]
    var frames: [UInt64?] = []
    var digests: [UInt64?] = []
  }

  private let scenario: Scenario
  private let policy: PolicyName
  private let blocksBefore: [BlockRecord]
  private var earlier: [Int: Earlier] = [:]
  private var seen: [Int: Observation] = [:]

  init(_ scenario: Scenario, policy: PolicyName, blocksBefore: [BlockRecord]) {
    self.scenario = scenario
    self.policy = policy
    self.blocksBefore = blocksBefore
  }

  /// The looks at the start.
  mutating func begin(_ run: LinuxRun) {
    for (index, expectation) in scenario.expectations.enumerated() where expectation.since == nil {
      lookEarly(index, run)
    }
  }

  /// The looks that a step's end calls for.
  mutating func stepEnded(_ label: String?, _ run: LinuxRun, _ records: [StepRecord]) {
    guard let label else { return }
    for (index, expectation) in scenario.expectations.enumerated() {
      if expectation.since == label { lookEarly(index, run) }
      if expectation.at == label { seen[index] = look(index, run, records) }
    }
  }

  /// The verdicts on all expectations.
  mutating func verdicts(_ run: LinuxRun, _ records: [StepRecord]) -> [Verdict] {
    var verdicts: [Verdict] = []
    for (index, expectation) in scenario.expectations.enumerated() {
      let observed: Observation
      if let label = expectation.at {
        observed = seen[index] ?? .unavailable("the step \(label) was not reached")
      } else {
        observed = look(index, run, records)
      }
      verdicts.append(expectation.verdict(under: policy, observed: observed))
    }
    return verdicts
  }

  private mutating func lookEarly(_ index: Int, _ run: LinuxRun) {
    var look = Earlier()
    switch scenario.expectations[index].subject {
    case .counter(_, total: false): look.counters = (try? HostCounters.live()) ?? [:]
    case .pages(let range, _): look.frames = run.frames(of: range)
    case .contents(let range): look.digests = run.digests(of: range)
    case .pin(let name, _): look.frames = run.holds[name] ?? []
    default: return
    }
    earlier[index] = look
  }

  private func look(_ index: Int, _ run: LinuxRun, _ records: [StepRecord]) -> Observation {
    switch scenario.expectations[index].subject {
    case .step(let label, let value):
      return records.last { $0.label == label }?.value(value)
        ?? .unavailable("the step \(label) was not reached")
    case .counter(let expression, let total):
      let now = (try? HostCounters.live()) ?? [:]
      let before = earlier[index]?.counters ?? [:]
      switch expression.evaluate({ name in
        now[name].map { Int64(clamping: $0) - (total ? 0 : Int64(clamping: before[name] ?? 0)) }
      }) {
      case .success(let sum): return .number(sum)
      case .failure(let unknown): return .unavailable("this kernel does not keep \(unknown.name)")
      }
    case .zone(let zone, let node, let value):
      let records = run.kernel.zoneRecords.filter { $0.zone == zone && (node == nil || $0.node == node) }
      let values = records.map { $0.value(value) }
      if values.contains(nil) { return .unavailable("Linux does not tell which pages of a zone are pinned") }
      return .number(values.compactMap(\.self).reduce(0, +))
    case .blocks(let set, let filter): return blocks(set, filter, run)
    case .pages(let range, let filter):
      return PageSights(run, range).count(filter, before: earlier[index]?.frames)
    case .pin(let name, let filter):
      guard let frames = run.holds[name] else { return .unavailable("\(name) was not taken") }
      return PageSights(run, frames: frames).count(filter, before: earlier[index]?.frames)
    case .contents(let range):
      guard let earlier = earlier[index] else { return .unavailable("the earlier step was not reached") }
      return .word(run.digests(of: range) == earlier.digests ? "unchanged" : "changed")
    case .holders: return .unavailable("Linux keeps no ledger of pins")
    case .process(let actor, let value): return process(actor, value, run)
    case .contiguousArea(let name, let value):
      guard let areas = try? CMADebug.areas(), let area = ContiguousAreas.pick(name, scenario.machine, areas)
      else {
        return .unavailable("the kernel has no CMA area for \(name), or does not show it")
      }
      let found = value == .used ? try? area.usedFrames() : try? area.longestFreeRun()
      return found.map { .number(Int64(clamping: $0)) } ?? .unavailable("debugfs does not show the area")
    }
  }

  private func blocks(_ set: Subject.BlockSet, _ filter: Subject.BlockFilter, _ run: LinuxRun) -> Observation
  {
    var now: [Int: BlockRecord] = [:]
    for record in run.kernel.blockRecords { now[record.index] = record }
    let picked = blocksBefore.filter(set.contains)
    var fitting: Int64 = 0
    for before in picked {
      var record = now[before.index] ?? before
      if now[before.index] == nil {
        record.state = .absent
        record.zone = nil
      }
      guard let fits = filter.matches(record) else {
        return .unavailable("Linux does not tell which pages of a block are free or pinned")
      }
      if fits { fitting += 1 }
    }
    return .count(fitting, of: Int64(picked.count))
  }

  private func process(_ actor: String, _ value: Subject.ProcessValue, _ run: LinuxRun) -> Observation {
    guard value != .resident else {
      return .unavailable("a real process has memory of its own beside the scenario's")
    }
    let name = scenario.actor(named: actor)?.process ?? actor
    guard let id = run.players.first(where: { $0.actor.name == name })?.process,
      let text = try? HostFiles.live.text(of: "proc/\(id)/status")
    else { return .unavailable("the process of \(actor) has ended") }
    let key =
      switch value {
      case .locked: "VmLck:"
      case .pinned: "VmPin:"
      case .resident: "VmRSS:"
      }
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      if words.count >= 2, let kibibytes = Int64(words[1]) { return .number(kibibytes / 4) }
    }
    return .unavailable("the kernel does not show \(key.dropLast()) of \(actor)")
  }
}
