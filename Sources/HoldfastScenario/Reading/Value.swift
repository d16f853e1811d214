import Yams

/// A node of the YAML tree with the words that a message about it needs.
struct Value {
  let node: Node
  let file: String
  /// What the node is to the reader of a message: `size of map`.
  let what: String
  /// Whether the node is the whole text.
  var isRoot = false

  var location: SourceLocation {
    SourceLocation(file: file, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
  }

  func error(_ problem: String, allowed: [String] = [], suggestion: String? = nil) -> ScenarioError {
    ScenarioError(problem, at: location, allowed: allowed, suggestion: suggestion)
  }

  /// What the node is, as a message says it after "found".
  var found: String {
    switch node {
    case .scalar(let scalar): scalar.string.isEmpty ? "nothing" : "\"\(scalar.string)\""
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .alias: "an alias"
    }
  }

  /// The text, if the node is a scalar; it may be empty.
  var scalar: String? {
    if case .scalar(let scalar) = node { scalar.string } else { nil }
  }

  var isMapping: Bool {
    if case .mapping = node { true } else { false }
  }

  var isList: Bool {
    if case .sequence = node { true } else { false }
  }

  var isEmpty: Bool {
    guard case .scalar(let scalar) = node, scalar.style == .plain else { return false }
    return ["", "~", "null"].contains(scalar.string)
  }

  /// The text of a scalar that is not empty.
  func text() throws(ScenarioError) -> String {
    guard case .scalar(let scalar) = node, !scalar.string.isEmpty else {
      throw error("\(what) must be a word; found \(found)")
    }
    return scalar.string
  }

  /// A name that reports, system calls and schedules can carry: `guest-ram`.
  func name() throws(ScenarioError) -> String {
    let text = try text()
    let legal = text.utf8.allSatisfy { byte in
      (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2d
    }
    guard legal, text.first != "-", text.utf8.count <= 64 else {
      throw error("\(what) must be a name of at most 64 letters a-z, digits and hyphens; found \"\(text)\"")
    }
    return text
  }

  func integer(_ range: ClosedRange<Int>) throws(ScenarioError) -> Int {
    guard case .scalar(let scalar) = node, let number = Self.number(scalar.string) else {
      throw error("\(what) must be a whole number; found \(found)")
    }
    guard let value = Int(exactly: number), range.contains(value) else {
      let bound =
        range.upperBound == .max
        ? "at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
      throw error("\(what) must be \(bound); found \(scalar.string)")
    }
    return value
  }

  func boolean() throws(ScenarioError) -> Bool {
    switch try text() {
    case "true": return true
    case "false": return false
    case let other: throw error("\(what) must be true or false; found \"\(other)\"")
    }
  }

  func word<Word: ScenarioWord>(_: Word.Type = Word.self) throws(ScenarioError) -> Word {
    let text = try text()
    guard let word = Word(rawValue: text) else {
      throw unknown(text, allowed: Word.allCases.map(\.rawValue))
    }
    return word
  }

  func words<Word: ScenarioWord & Hashable>(_: Word.Type = Word.self) throws(ScenarioError) -> [Word] {
    var words: [Word] = []
    for value in try list() {
      let word = try value.word(Word.self)
      if words.contains(word) { throw value.error("\(what) says \"\(word.rawValue)\" twice") }
      words.append(word)
    }
    return words
  }

  func unknown(_ text: String, allowed: [String]) -> ScenarioError {
    error(
      "unknown \(what) \"\(text)\"", allowed: allowed, suggestion: Spelling.nearest(to: text, among: allowed))
  }

  /// The elements of a sequence; a scalar counts as a list of one.
  func list() throws(ScenarioError) -> [Value] {
    switch node {
    case .sequence(let sequence): return sequence.map { Value(node: $0, file: file, what: what) }
    case .scalar where !isEmpty: return [self]
    default: throw error("\(what) must be a list; found \(found)")
    }
  }

  /// The value of a key that has none.
  var empty: Value { Value(node: Node("", Tag(.implicit), .plain), file: file, what: what) }

  /// The entries of a mapping, of which only these keys may appear.
  func fields(_ allowed: [String]) throws(ScenarioError) -> Fields {
    try Fields(self, allowed: allowed)
  }

  /// The keys of a mapping.
  func keys() throws(ScenarioError) -> [Value] {
    guard case .mapping(let mapping) = node else { throw error("\(what) must be a mapping; found \(found)") }
    return mapping.map { Value(node: $0.key, file: file, what: "key of \(what)") }
  }

  /// A decimal or hexadecimal number, as wide as its digits need up to 128 bits.
  static func number(_ text: String) -> Int128? {
    let digits = text.filter { $0 != "_" }
    if digits.hasPrefix("0x") { return Int128(digits.dropFirst(2), radix: 16) }
    return Int128(digits)
  }
}

/// The entries of one mapping.
struct Fields {
  let whole: Value
  private var entries: [String: (key: Value, value: Value)] = [:]

  init(_ value: Value, allowed: [String]) throws(ScenarioError) {
    whole = value
    if value.isEmpty { return }
    guard case .mapping(let mapping) = value.node else {
      throw value.error("\(value.what) must be a mapping; found \(value.found)", allowed: allowed)
    }
    for (keyNode, node) in mapping {
      let key = Value(node: keyNode, file: value.file, what: "key of \(value.what)")
      let name = try key.text()
      guard allowed.contains(name) else { throw key.unknown(name, allowed: allowed) }
      // A key of the whole text is "policy", not "policy of scenario".
      let what = value.isRoot ? name : "\(name) of \(value.what)"
      entries[name] = (key, Value(node: node, file: value.file, what: what))
    }
  }

  /// A mapping that was written as the value of its main key.
  init(main key: String, _ value: Value) {
    whole = value
    entries[key] = (value, Value(node: value.node, file: value.file, what: "\(key) of \(value.what)"))
  }

  /// The value of a key, or nil where it is not given.
  subscript(_ key: String) -> Value? { entries[key]?.value }

  /// The place of a key.
  func key(_ name: String) -> Value? { entries[name]?.key }

  /// The names of the keys that are given.
  var names: Set<String> { Set(entries.keys) }

  func required(_ key: String) throws(ScenarioError) -> Value {
    guard let value = self[key] else { throw whole.error("\(whole.what) needs \"\(key)\"") }
    return value
  }
}
