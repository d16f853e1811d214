/// Reads one condition: how often, and what is to be true.
struct ConditionReader {
  let expectations: ExpectationReader
  /// The looks of all conditions read so far, behind those of the expectations.
  private(set) var looks: [Expectation]

  private static let deepest = 16
  private static let combinations = ["and", "or", "not"]

  init(_ reader: ExpectationReader, looks: [Expectation]) {
    expectations = reader
    self.looks = looks
  }

  mutating func read(_ value: Value) throws(ScenarioError) -> Condition {
    let words = Condition.Quantifier.allCases.map(\.rawValue)
    let fields = try value.fields(words + ["under", "because"])
    let given = Condition.Quantifier.allCases.filter { fields[$0.rawValue] != nil }
    guard let quantifier = given.first else {
      throw value.error("a condition says how often it is true", allowed: words)
    }
    guard given.count == 1 else {
      throw value.error(
        "a condition says once how often it is true; found \(given.map(\.rawValue).joined(separator: " and "))"
      )
    }
    let formula = try readFormula(fields.required(quantifier.rawValue).named("condition"), depth: 0)
    return Condition(
      location: value.location, quantifier: quantifier, formula: formula,
      under: try readUnder(fields["under"]),
      because: try fields["because"]?.text())
  }

  private mutating func readFormula(_ value: Value, depth: Int) throws(ScenarioError) -> Condition.Formula {
    guard depth < Self.deepest else {
      throw value.error("a condition is at most \(Self.deepest) combinations deep")
    }
    if value.isList { return .all(try readParts(value, depth)) }
    let names = try value.keys()
    let words = try names.map { key throws(ScenarioError) in try key.text() }
    // "not" beside a subject is an operator.
    guard words.contains("and") || words.contains("or") || words == ["not"] else {
      return try readAtom(value)
    }
    let fields = try value.fields(Self.combinations)
    guard fields.names.count == 1 else {
      throw value.error(
        "a combination has one of these; found \(words.joined(separator: " and "))",
        allowed: Self.combinations)
    }
    if let parts = fields["and"] { return .all(try readParts(parts.named("condition"), depth)) }
    if let parts = fields["or"] { return .any(try readParts(parts.named("condition"), depth)) }
    return .not(try readFormula(try fields.required("not").named("condition"), depth: depth + 1))
  }

  private mutating func readParts(_ value: Value, _ depth: Int) throws(ScenarioError) -> [Condition.Formula] {
    guard value.isList else {
      throw value.error("\(value.what) must be a list of what is combined; found \(value.found)")
    }
    var parts: [Condition.Formula] = []
    for part in try value.list() { parts.append(try readFormula(part, depth: depth + 1)) }
    guard !parts.isEmpty else { throw value.error("\(value.what) needs at least one part") }
    return parts
  }

  private mutating func readAtom(_ value: Value) throws(ScenarioError) -> Condition.Formula {
    let look = try expectations.read(value)
    guard look.because == nil else {
      throw value.error("\"because\" belongs beside never, always or sometimes")
    }
    looks.append(look)
    return .atom(looks.count - 1)
  }

  private func readUnder(_ value: Value?) throws(ScenarioError) -> [PolicyName: Condition.Terms] {
    guard let value else { return [:] }
    let fields = try value.named("under").fields(PolicyName.allCases.map(\.rawValue))
    var under: [PolicyName: Condition.Terms] = [:]
    for policy in PolicyName.allCases {
      guard let terms = fields[policy.rawValue] else { continue }
      let word = try terms.one(of: Condition.Quantifier.allCases.map(\.rawValue) + ["skip"])
      under[policy] = Condition.Quantifier(rawValue: word).map { .holds($0) } ?? .skip
    }
    return under
  }
}
