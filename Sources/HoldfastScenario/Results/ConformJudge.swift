/// Holds what a kernel showed against what the engine allows, scenario by scenario.
public struct ConformJudge {
  /// Every known difference.
  public let differences: [KnownDifference]
  /// The places of those that some state needed.
  private var needed: Set<Int> = []
  private var judged: Set<String> = []

  /// A judge who knows these differences.
  public init(_ differences: [KnownDifference]) {
    self.differences = differences
  }

  /// Known differences of the scenarios that were judged which no state needed, and those of scenarios that are not
  /// among these.
  public func staleDifferences(scenarios: Set<String>) -> [KnownDifference] {
    differences.enumerated().filter { index, difference in
      if judged.contains(difference.scenario) { return !needed.contains(index) }
      return !scenarios.contains(difference.scenario)
    }.map(\.element)
  }

  /// Judges the states of one scenario.
  ///
  /// - Parameters:
  ///   - log: what a kernel was recorded to do.
  ///   - scenario: the scenario as it is now.
  ///   - engine: what the engine allows when it leaves these steps out.
  public mutating func judge<Failure>(
    _ log: ConformanceLog, of scenario: Scenario,
    engine: (Set<StepPlace>) throws(Failure) -> EngineAnswer
  ) throws(Failure) -> ConformReport.Entry {
    var entry = Self.entry(log, rules: scenario.rules)
    guard log.header.hash == scenario.textHash else {
      entry.verdict = .stale
      entry.reason = "run holdfast conform --record \(scenario.name); the scenario's text has changed"
      return entry
    }
    if let refused = log.header.refused {
      entry.reason = refused
      return entry
    }
    // The same is left out on both sides: a pin that could not be taken keeps nothing in its place.
    let everywhere = log.states.map { Set($0.beyondGround.map { StepPlace($0.location) }) }
    let common = everywhere.dropFirst().reduce(everywhere.first ?? []) { $0.intersection($1) }
    entry.leftOut = (log.states.first?.beyondGround ?? [])
      .filter { common.contains(StepPlace($0.location)) }
      .map { "line \($0.location.line), \($0.detail): \($0.skipped ?? "not done")" }

    var answers: [Set<StepPlace>: StateHistogram] = [:]
    for leftOut in [common] + everywhere where answers[leftOut] == nil {
      switch try engine(leftOut) {
      case .allowed(let states): answers[leftOut] = states
      case .notModelled(let verbs):
        entry.verdict = .notModelled
        entry.reason = verbs.joined(separator: ", ")
        return entry
      case .refuses(let why):
        entry.reason = "the engine refuses: \(why)"
        return entry
      }
    }
    guard let allowed = answers[common] else { return entry }
    let seen = log.states.reduce(into: Set<RunState.Observable>()) { $0.formUnion($1.state.observables) }
    let both = seen.intersection(allowed.observables)
    guard !both.isEmpty else {
      entry.reason = "no step and no expectation was seen on both grounds"
      return entry
    }
    judged.insert(scenario.name)
    entry.orders = allowed.runs
    entry.allowed = allowed.projected(onto: both).rows
    entry.unseen = entry.allowed.map(\.state).filter { state in
      !log.states.contains { $0.state.agrees(with: state) }
    }
    for index in entry.states.indices {
      relate(&entry.states[index], to: answers[everywhere[index]] ?? allowed, entry)
    }
    let relations = entry.states.map(\.relation)
    entry.verdict = relations.contains(.forbidden) ? .forbidden : relations.contains(.known) ? .known : .same
    return entry
  }

  /// The entry of a recording whose scenario is gone.
  public static func orphan(_ log: ConformanceLog) -> ConformReport.Entry {
    var entry = entry(log, rules: [])
    entry.verdict = .stale
    entry.reason = "there is no scenario \(log.header.scenario) any more; remove its recording"
    return entry
  }

  private static func entry(_ log: ConformanceLog, rules: [String]) -> ConformReport.Entry {
    let header = log.header
    return ConformReport.Entry(
      scenario: header.scenario, file: header.file, hash: header.hash, rules: rules, policy: header.policy,
      kernel: header.kernel, runs: header.runs, recorded: header.recorded, verdict: .notComparable,
      reason: nil,
      states: log.states.map {
        ConformReport.KernelState(state: $0.state, count: $0.count, relation: .unjudged, differences: [])
      },
      orders: 0, allowed: [], unseen: [], leftOut: [], warnings: header.warnings)
  }

  /// Says what the engine thinks of a state, and which differences explain it.
  private mutating func relate(
    _ seen: inout ConformReport.KernelState, to allowed: StateHistogram, _ entry: ConformReport.Entry
  ) {
    let state = seen.state
    // A run that ended before both grounds saw anything says nothing for the engine or against it.
    guard !state.observables.isDisjoint(with: allowed.observables) else { return }
    func isAllowed(without dropped: Set<RunState.Observable>) -> Bool {
      let rest = state.projected(onto: state.observables.subtracting(dropped))
      return allowed.rows.contains { $0.state.agrees(with: rest) }
    }
    if isAllowed(without: []) {
      seen.relation = .allowed
      return
    }
    let candidates = differences.enumerated().filter {
      $0.element.scenario == entry.scenario && $0.element.covers(release: entry.kernel.release)
    }
    if let (index, difference) = candidates.first(where: { $0.element.form == .state(state.description) }) {
      needed.insert(index)
      seen.relation = .known
      seen.differences = [difference.text]
      return
    }
    let said = state.statements
    let named = candidates.compactMap { index, difference -> (index: Int, dropped: RunState.Observable)? in
      guard case .observable(let text) = difference.form else { return nil }
      return said.first { $0.text == text }.map { (index, $0.observable) }
    }
    let dropped = Set(named.map(\.dropped))
    guard !dropped.isEmpty, isAllowed(without: dropped) else {
      seen.relation = .forbidden
      return
    }
    seen.relation = .known
    let necessary = named.filter { !isAllowed(without: dropped.subtracting([$0.dropped])) }
    // Where each of two entries would do, neither is superfluous.
    for (index, _) in necessary.isEmpty ? named : necessary {
      needed.insert(index)
      seen.differences.append(differences[index].text)
    }
  }
}
