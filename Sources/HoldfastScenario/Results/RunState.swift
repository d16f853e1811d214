/// How a run ended, as far as two grounds can be compared: a result per labelled step, a verdict per expectation.
///
/// What its ground could not see is left out, so that two states are compared on what both hold.
public struct RunState: Sendable, Hashable {
  /// One thing that a state can say something about.
  public enum Observable: Sendable, Hashable {
    /// The result of a step, by its label, or by its line where it has none and must succeed.
    case step(String)
    /// Whether an expectation holds, by its line.
    case expectation(String)
  }

  /// How a step ended.
  public struct Ending: Sendable, Hashable {
    /// The step's label, or its line where it has none and must succeed.
    public let step: String
    /// `ok`, or an error number.
    public let result: String
  }

  /// Whether an expectation holds.
  public struct Check: Sendable, Hashable {
    /// Its line, `17`; `17.2` is the second one in that line.
    public let line: String
    /// Whether it holds.
    public let holds: Bool
  }

  /// Steps that were seen to end, in file order.
  public internal(set) var endings: [Ending]
  /// Expectations that were compared, in file order.
  public internal(set) var checks: [Check]
  /// Conditions of which it was seen whether they are true, in file order; only exploring looks at them.
  public internal(set) var conditions: [Check] = []

  /// Makes a state from its parts.
  init(endings: [Ending], checks: [Check]) {
    self.endings = endings
    self.checks = checks
  }

  /// The state that a run of this scenario ended in.
  public init(_ report: RunReport, of scenario: Scenario) {
    self.init(
      report.steps, report.verdicts.prefix(scenario.expectations.count).map(\.state), of: scenario)
  }

  /// The state that these records, and what became of each of the scenario's looks, are.
  public init(exploring scenario: Scenario, _ steps: [StepRecord], _ looks: [Verdict.State]) {
    self.init(steps, Array(looks.prefix(scenario.expectations.count)), of: scenario)
    var seenInLine: [Int: Int] = [:]
    conditions = scenario.conditions.compactMap { condition in
      let number = seenInLine[condition.location.line, default: 0] + 1
      seenInLine[condition.location.line] = number
      guard let truth = scenario.truth(of: condition, looks) else { return nil }
      return Check(line: Self.line(condition.location.line, number), holds: truth)
    }
  }

  /// The state that these records, and a verdict for each expectation, are.
  public init(_ steps: [StepRecord], _ verdicts: [Verdict.State], of scenario: Scenario) {
    var records: [StepPlace: StepRecord] = [:]
    for record in steps { records[StepPlace(record.location)] = record }
    endings = scenario.actors.flatMap(\.steps).compactMap { step in
      guard step.label != nil || step.mustSucceed else { return nil }
      guard let record = records[StepPlace(step.location)], case .word(let result) = record.value(.result)
      else { return nil }
      return Ending(step: Self.name(of: step), result: result)
    }
    var seenInLine: [Int: Int] = [:]
    checks = zip(scenario.expectations, verdicts).compactMap { expectation, state in
      let number = seenInLine[expectation.location.line, default: 0] + 1
      seenInLine[expectation.location.line] = number
      guard state != .skipped else { return nil }
      return Check(line: Self.line(of: expectation, number), holds: state == .holds)
    }
  }

  /// What a step is called in a state.
  static func name(of step: Step) -> String { step.label ?? "line \(step.location.line)" }

  /// What an expectation is called in a state, the so-many-th in its line.
  static func line(of expectation: Expectation, _ number: Int) -> String {
    line(expectation.location.line, number)
  }

  /// The name of the observable of a line, which may be the second or a later one of that line.
  static func line(_ line: Int, _ number: Int) -> String { number == 1 ? "\(line)" : "\(line).\(number)" }

  /// What the state says something about.
  public var observables: Set<Observable> {
    Set(endings.map { .step($0.step) }).union(checks.map { .expectation($0.line) })
  }

  /// The state as a ground would have seen it that sees nothing but these.
  public func projected(onto observables: Set<Observable>) -> RunState {
    RunState(
      endings: endings.filter { observables.contains(.step($0.step)) },
      checks: checks.filter { observables.contains(.expectation($0.line)) })
  }

  /// Whether the states say the same wherever both say something.
  public func agrees(with other: RunState) -> Bool {
    let common = observables.intersection(other.observables)
    return projected(onto: common) == other.projected(onto: common)
  }
}

extension RunState: CustomStringConvertible {
  /// On one line: `pinned=ok; gone=EINTR; 3 of 4 hold (line 17 fails)`.
  public var description: String {
    var parts = endings.map { "\($0.step)=\($0.result)" }
    if !checks.isEmpty {
      let failing = checks.filter { !$0.holds }.map(\.line)
      var text = "\(checks.count - failing.count) of \(checks.count) hold"
      switch failing.count {
      case 0: break
      case 1: text += " (line \(failing[0]) fails)"
      default: text += " (lines \(failing.joined(separator: ", ")) fail)"
      }
      parts.append(text)
    }
    let seen = conditions.filter(\.holds).map(\.line)
    if !seen.isEmpty {
      parts.append("true: \(seen.count == 1 ? "line" : "lines") \(seen.joined(separator: ", "))")
    }
    return parts.isEmpty ? "nothing was seen" : parts.joined(separator: "; ")
  }
}

extension RunState: Codable {
  private enum CodingKeys: String, CodingKey {
    case steps, holds, fails
    case yes = "true"
    case no = "false"
  }

  /// Reads the form `{"steps":["pinned=ok"],"holds":["17"],"fails":["20"]}`, with the lines of conditions under
  /// `true` and `false`.
  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    endings = try fields.decode([String].self, forKey: .steps).map { text in
      let words = text.split(separator: "=", omittingEmptySubsequences: false)
      guard words.count == 2, !words[0].isEmpty, !words[1].isEmpty else {
        throw DecodingError.dataCorruptedError(
          forKey: .steps, in: fields, debugDescription: "found \"\(text)\", expected STEP=RESULT")
      }
      return Ending(step: String(words[0]), result: String(words[1]))
    }
    checks = try Self.checks(fields, holds: .holds, fails: .fails)
    conditions = try Self.checks(fields, holds: .yes, fails: .no)
  }

  private static func checks(
    _ fields: KeyedDecodingContainer<CodingKeys>, holds: CodingKeys, fails: CodingKeys
  ) throws -> [Check] {
    var checks: [(place: [Int], check: Check)] = []
    for (key, isTrue) in [(holds, true), (fails, false)] {
      let lines =
        key == .yes || key == .no
        ? try fields.decodeIfPresent([String].self, forKey: key) ?? []
        : try fields.decode([String].self, forKey: key)
      for line in lines {
        let words = line.split(separator: ".", omittingEmptySubsequences: false)
        let place = words.compactMap { Int($0) }
        guard place.count == words.count, place.count <= 2 else {
          throw DecodingError.dataCorruptedError(
            forKey: key, in: fields, debugDescription: "found \"\(line)\", expected a line number")
        }
        checks.append((place, Check(line: line, holds: isTrue)))
      }
    }
    return checks.sorted { $0.place.lexicographicallyPrecedes($1.place) }.map(\.check)
  }

  /// Writes that form.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(endings.map { "\($0.step)=\($0.result)" }, forKey: .steps)
    try fields.encode(checks.filter(\.holds).map(\.line), forKey: .holds)
    try fields.encode(checks.filter { !$0.holds }.map(\.line), forKey: .fails)
    guard !conditions.isEmpty else { return }
    try fields.encode(conditions.filter(\.holds).map(\.line), forKey: .yes)
    try fields.encode(conditions.filter { !$0.holds }.map(\.line), forKey: .no)
  }
}

/// The place of a step or an expectation, without the name of the file.
public struct StepPlace: Sendable, Hashable {
  /// Counted from 1.
  public let line: Int
  /// Counted from 1.
  public let column: Int

  /// The place without its file.
  public init(_ location: SourceLocation) {
    line = location.line
    column = location.column
  }
}
