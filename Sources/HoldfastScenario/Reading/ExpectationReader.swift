/// Reads one expectation: a subject, an operator, and what differs under some policies.
struct ExpectationReader {
  let names: NameTable
  let actors: [Scenario.Actor]
  let machine: MachineSpec

  /// What an operator's right side may be.
  private enum Form {
    case result, stage, pages, bytes, number, count, names, contents
  }

  private static let common = ["equals", "not", "at-least", "at-most", "under", "because"]

  private static func qualifiers(_ word: Subject.Word) -> [String] {
    switch word {
    case .step: ["value"]
    case .counter: ["value", "since", "at"]
    case .zone: ["value", "node", "at"]
    case .blocks: ["whole", "where", "at"]
    case .pages: ["offset", "size", "where", "since", "at"]
    case .pin: ["where", "since", "at"]
    case .contents: ["offset", "size", "since", "at"]
    case .holders: ["whole", "at"]
    case .process, .cma: ["value", "at"]
    }
  }

  func read(_ value: Value) throws(ScenarioError) -> Expectation {
    let subjects = Subject.Word.allCases.map(\.rawValue)
    let keys = try value.keys()
    var words: [Subject.Word] = []
    for key in keys {
      if let word = Subject.Word(rawValue: try key.text()) { words.append(word) }
    }
    guard let word = words.first else {
      let every = Self.common + ["value", "where", "since", "at", "whole", "node", "offset", "size"]
      for key in keys {
        let text = try key.text()
        if !every.contains(text) {
          throw key.named("subject of expectation").unknown(text, allowed: subjects)
        }
      }
      throw value.error("an expectation needs a subject", allowed: subjects)
    }
    guard words.count == 1 else {
      throw value.error(
        "an expectation has one subject; found \(words.map(\.rawValue).joined(separator: " and "))")
    }
    let fields = try value.named("\(word.rawValue) expectation")
      .fields([word.rawValue] + Self.qualifiers(word) + Self.common)
    let (subject, form) = try readSubject(word, fields)
    let since = try fields["since"].map { value throws(ScenarioError) in try names.label(value) }
    if case .contents = subject, since == nil { _ = try fields.required("since") }
    if case .counter(_, total: true) = subject, let key = fields.key("since") {
      throw key.error("a total has no beginning; leave out \"since\"")
    }
    try checkMoved(subject, fields)
    let standard = try readOperators(fields, form)
    let under = try readUnder(fields["under"], form)
    guard standard != nil || !under.isEmpty else {
      throw value.error(
        "an expectation needs an operator", allowed: Comparison.Operator.allCases.map(\.rawValue))
    }
    return Expectation(
      location: value.location, subject: subject,
      at: try fields["at"].map { value throws(ScenarioError) in try names.label(value) }, since: since,
      standard: standard.map { .compare($0) } ?? .skip, under: under, because: try fields["because"]?.text())
  }

  private func readSubject(_ word: Subject.Word, _ fields: Fields) throws(ScenarioError) -> (Subject, Form) {
    let main = try fields.required(word.rawValue)
    switch word {
    case .step:
      let value: Subject.StepValue = try fields["value"]?.word() ?? .result
      let form: Form
      switch value {
      case .result: form = .result
      case .stage: form = .stage
      case .bytes: form = .bytes
      case .pages, .requested, .migrated: form = .pages
      case .failures, .blocks, .passes, .drains, .retries: form = .number
      }
      return (.step(label: try names.label(main), value), form)
    case .counter:
      let expression = try CounterReader.read(main)
      let value = fields["value"]
      let kind = try value?.text() ?? "change"
      guard ["change", "total"].contains(kind) else {
        throw main.named("value of counter").unknown(kind, allowed: ["change", "total"])
      }
      return (.counter(expression, total: kind == "total"), .number)
    case .zone:
      let zone: ZoneKind = try main.word()
      let node = try fields["node"]?.integer(0...(machine.nodes.count - 1))
      return (.zone(zone, node: node, try fields.required("value").word()), .pages)
    case .blocks:
      let filter = try PageFilterReader.blocks(fields.required("where"))
      return (.blocks(try readBlocks(main, fields), filter), .count)
    case .pages:
      return (
        .pages(try readRange(main, fields), try PageFilterReader.pages(fields.required("where"))), .count
      )
    case .pin:
      let name = try names.name(main, of: .pin)
      return (
        .pin(name: name, try PageFilterReader.pages(fields.required("where"), ofPin: true)), .count
      )
    case .contents: return (.contents(try readRange(main, fields)), .contents)
    case .holders: return (.holders(try readBlocks(main, fields)), .names)
    case .process:
      return (.process(actor: try readActor(main), try fields.required("value").word()), .pages)
    case .cma:
      let name = try main.name()
      let known = machine.contiguousAreas.map(\.name)
      guard known.contains(name) else { throw main.named("cma area").unknown(name, allowed: known) }
      return (.contiguousArea(name: name, try fields.required("value").word()), .pages)
    }
  }

  private func readActor(_ value: Value) throws(ScenarioError) -> String {
    let name = try value.name()
    let known = actors.map(\.name)
    guard known.contains(name) else { throw value.named("actor").unknown(name, allowed: known) }
    return name
  }

  private func readRange(_ main: Value, _ fields: Fields) throws(ScenarioError) -> Verb.RegionRange {
    let range = Verb.RegionRange(
      region: try names.name(main, of: .region), offset: try fields["offset"]?.offset() ?? .zero,
      size: try fields["size"]?.size())
    try names.checkRange(range, (fields["size"] ?? fields["offset"] ?? main).location)
    return range
  }

  private func readBlocks(_ main: Value, _ fields: Fields) throws(ScenarioError) -> Subject.BlockSet {
    let pick: Subject.BlockSet.Pick
    if main.isList {
      pick = .indices(try main.blockIndices())
    } else {
      let text = try main.text()
      if text == "all" {
        pick = .all
      } else if let zone = ZoneKind(rawValue: text) {
        pick = .zone(zone)
      } else {
        throw main.unknown(text, allowed: ["all", "a list of numbers"] + ZoneKind.allCases.map(\.rawValue))
      }
    }
    return Subject.BlockSet(pick: pick, wholeOnly: try fields["whole"]?.boolean() ?? false)
  }

  /// "Moved" compares with an earlier look, which has to be named.
  private func checkMoved(_ subject: Subject, _ fields: Fields) throws(ScenarioError) {
    let moved: Bool?
    switch subject {
    case .pages(_, let filter), .pin(_, let filter): moved = filter.moved
    default: return
    }
    if moved != nil { _ = try fields.required("since") }
    if moved == nil, let key = fields.key("since") {
      throw key.error("\"since\" belongs to \"where: {moved: ...}\"")
    }
  }

  // MARK: Operators

  private func readOperators(_ fields: Fields, _ form: Form) throws(ScenarioError) -> [Comparison]? {
    var comparisons: [Comparison] = []
    for operation in Comparison.Operator.allCases {
      guard let value = fields[operation.rawValue] else { continue }
      comparisons.append(Comparison(operation: operation, value: try readValue(value, form, operation)))
    }
    return comparisons.isEmpty ? nil : comparisons
  }

  private func readUnder(_ value: Value?, _ form: Form) throws(ScenarioError) -> [PolicyName: Expectation
    .Terms]
  {
    guard let value else { return [:] }
    let fields = try value.named("under").fields(PolicyName.allCases.map(\.rawValue))
    var under: [PolicyName: Expectation.Terms] = [:]
    for policy in PolicyName.allCases {
      guard let terms = fields[policy.rawValue] else { continue }
      if terms.isMapping {
        let operators = try terms.fields(Comparison.Operator.allCases.map(\.rawValue))
        guard let comparisons = try readOperators(operators, form) else {
          throw terms.error(
            "\(terms.what) needs an operator", allowed: Comparison.Operator.allCases.map(\.rawValue))
        }
        under[policy] = .compare(comparisons)
      } else if terms.scalar == "skip" {
        under[policy] = .skip
      } else {
        let expected = try readValue(terms, form, .equals)
        under[policy] = .compare([Comparison(operation: .equals, value: expected)])
      }
    }
    return under
  }

  private func readValue(_ value: Value, _ form: Form, _ operation: Comparison.Operator) throws(ScenarioError)
    -> ExpectedValue
  {
    if [.result, .stage, .contents].contains(form), [.atLeast, .atMost].contains(operation) {
      throw value.error("\(operation.rawValue) compares numbers; a word takes equals or not")
    }
    switch form {
    case .result:
      return .word(
        try value.named("result").one(
          of: ["ok"] + ErrorNumber.allCases.filter { $0 != .untold }.map(\.rawValue)))
    case .stage:
      return .word(try value.named("stage").one(of: ["none"] + FailureStage.allCases.map(\.rawValue)))
    case .contents: return .word(try value.named("state of contents").one(of: ["unchanged", "changed"]))
    case .names: return try readNames(value)
    case .count:
      if let scalar = value.scalar, scalar == "all" { return .all }
      if let scalar = value.scalar, scalar == "none" { return .none }
      if let scalar = value.scalar, scalar.first?.isLetter == true {
        throw value.named("number of pages").unknown(scalar, allowed: ["all", "none", "a number"])
      }
      return .number(try value.amountOfPages())
    case .pages: return .number(try value.amountOfPages())
    case .bytes:
      if let scalar = value.scalar, let number = Value.number(scalar), number >= 0,
        let bytes = Int64(exactly: number)
      {
        return .number(bytes)
      }
      return .number(Int64(try value.offset().bytes))
    case .number:
      guard let scalar = value.scalar, let number = Value.number(scalar),
        let exact = Int64(exactly: number)
      else { throw value.error("\(value.what) must be a whole number; found \(value.found)") }
      return .number(exact)
    }
  }

  private func readNames(_ value: Value) throws(ScenarioError) -> ExpectedValue {
    if let scalar = value.scalar, scalar == "none" { return .none }
    var set: Set<String> = []
    for entry in try value.list() { set.insert(try readActor(entry)) }
    return .names(set)
  }
}

extension Value {
  /// One of these words.
  func one(of allowed: [String]) throws(ScenarioError) -> String {
    let text = try text()
    guard allowed.contains(text) else { throw unknown(text, allowed: allowed) }
    return text
  }

  /// A plain number counts pages; a size is converted to them.
  func amountOfPages() throws(ScenarioError) -> Int64 {
    if let scalar, let number = Self.number(scalar) {
      guard number >= 0, let pages = Int64(exactly: number) else {
        throw error("\(what) must be a number of pages; found \(found)")
      }
      return pages
    }
    return Int64(try offset().pages)
  }
}
