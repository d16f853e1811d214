import Yams

extension Scenario {
  /// Text beyond this is no scenario.
  static let largestText = 1 << 20

  /// Reads a scenario file.
  public static func load(path: String) throws(ScenarioError) -> Scenario {
    try Scenario(yaml: try TextFile.read(path: path, what: "scenario", limit: largestText), file: path)
  }

  /// Decodes a scenario; `file` is what messages call it.
  public init(yaml: String, file: String) throws(ScenarioError) {
    guard let root = try Value(yaml: yaml, file: file, what: "scenario") else {
      throw ScenarioError("the scenario is empty", at: SourceLocation(file: file, line: 1, column: 1))
    }
    self = try Self.decode(root)
    textHash = SHA256.hexadecimal(of: yaml)
  }
}

extension Value {
  /// The whole of a YAML text; nil if there is nothing in it.
  init?(yaml: String, file: String, what: String) throws(ScenarioError) {
    let start = SourceLocation(file: file, line: 1, column: 1)
    let root: Node?
    do {
      // A byte order mark may precede YAML.
      let mark = yaml.unicodeScalars.first == "\u{feff}" ? 1 : 0
      root = try Yams.compose(yaml: String(yaml.unicodeScalars.dropFirst(mark)))
    } catch let error as YamlError {
      throw ScenarioError(error, in: yaml, file: file)
    } catch {
      throw ScenarioError("cannot read the YAML: \(error)", at: start)
    }
    guard let root else { return nil }
    var budget = 200_000
    guard Self.fits(root, &budget) else {
      throw ScenarioError(
        "the \(what) has more than 200000 values, aliases counted as their values", at: start)
    }
    self.init(node: root, file: file, what: what, isRoot: true)
  }

  /// Aliases share their target, so that a short text can describe an endless tree; a walk has to be bounded.
  private static func fits(_ node: Node, _ budget: inout Int) -> Bool {
    budget -= 1
    if budget < 0 { return false }
    switch node {
    case .scalar, .alias: return true
    case .sequence(let sequence):
      for element in sequence where !fits(element, &budget) { return false }
      return true
    case .mapping(let mapping):
      for (key, value) in mapping where !fits(key, &budget) || !fits(value, &budget) { return false }
      return true
    }
  }
}

extension ScenarioError {
  /// A mistake in the YAML itself.
  fileprivate init(_ error: YamlError, in yaml: String, file: String) {
    func at(_ mark: Mark) -> SourceLocation {
      // A problem at the end of the text is marked behind the last line.
      let lines = yaml.utf8.count { $0 == 0x0a } + 1
      return SourceLocation(file: file, line: min(mark.line, lines), column: mark.column)
    }
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      if problem.hasPrefix("Maximum nesting level") {
        self.init("the YAML is nested too deeply", at: at(mark))
        return
      }
      let detail = context.map { " (\($0.text) in line \($0.mark.line))" } ?? ""
      self.init("this is not YAML: \(problem)\(detail)", at: at(mark))
    case .duplicatedKeysInMapping(let duplicates, let context):
      let keys = duplicates.map { "\"\($0)\"" }.joined(separator: ", ")
      self.init("\(keys) is given twice in one mapping, first here", at: at(context.mark))
    case .reader(let problem, let offset, _, _):
      let before = yaml.prefix(offset ?? 0)
      let line = 1 + before.count { $0.isNewline }
      self.init("this is not YAML: \(problem)", at: SourceLocation(file: file, line: line, column: 1))
    default:
      self.init("this is not YAML: \(error)", at: SourceLocation(file: file, line: 1, column: 1))
    }
  }
}
