/// The outcomes of exploring a scenario, kept in a file beside it: `X.expected` beside `X.yaml`.
///
/// The file says itself which policy holds and how is searched; the rest of its text follows from the exploration.
public struct OutcomeFile: Sendable, Equatable {
  /// The version of this form.
  public static let currentVersion = 1

  /// What the name of such a file ends with.
  public static let suffix = ".expected"

  /// The most executions of a search that a file names.
  public static let mostExecutions = 1_000_000

  /// How executions are chosen.
  public enum Search: Sendable, Equatable, CustomStringConvertible {
    /// One of each trace.
    case exhaustive
    /// Those with so few preemptions.
    case bounded(Int)

    /// As it is written.
    public var description: String {
      switch self {
      case .exhaustive: "exhaustive"
      case .bounded(let bound): "at most \(bound) preemption\(bound == 1 ? "" : "s")"
      }
    }

    init?(_ text: some StringProtocol) {
      if text == "exhaustive" {
        self = .exhaustive
        return
      }
      let words = text.split(separator: " ")
      guard words.count == 4, words[0] == "at", words[1] == "most", let bound = Int(words[2]),
        (0...100).contains(bound), words[3] == "preemptions" || words[3] == "preemption"
      else { return nil }
      self = .bounded(bound)
    }
  }

  /// The policy whose rules hold.
  public var policy: PolicyName
  /// How executions are chosen.
  public var search: Search

  /// A file that is to be made.
  public init(policy: PolicyName, search: Search) {
    self.policy = policy
    self.search = search
  }

  /// Reads what a file says of itself; `file` is what messages call it.
  public init(text: String, file: String) throws(ScenarioError) {
    func error(_ line: Int, _ problem: String) -> ScenarioError {
      ScenarioError(problem, at: SourceLocation(file: file, line: line + 1, column: 1))
    }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let title = lines.firstIndex { !$0.hasPrefix("#") } ?? 0
    let expected = "holdfast outcomes, version \(Self.currentVersion)"
    guard lines.indices.contains(title), lines[title] == expected else {
      let found = lines.indices.contains(title) ? "\"\(lines[title])\"" : "an empty file"
      throw error(title, "found \(found), expected \"\(expected)\"; holdfast promote writes such a file")
    }
    func value(_ key: String) throws(ScenarioError) -> (line: Int, text: Substring) {
      guard let line = lines.firstIndex(where: { $0.hasPrefix(key + ": ") }) else {
        throw error(title, "found no line \"\(key): ...\", expected one")
      }
      return (line, lines[line].dropFirst(key.count + 2))
    }
    let policyLine = try value("policy")
    guard let policy = PolicyName(rawValue: String(policyLine.text)) else {
      let allowed = PolicyName.allCases.map(\.rawValue).joined(separator: ", ")
      throw error(policyLine.line, "found policy \"\(policyLine.text)\", expected one of \(allowed)")
    }
    let searchLine = try value("search")
    guard let search = Search(searchLine.text) else {
      throw error(
        searchLine.line,
        "found search \"\(searchLine.text)\", expected \"exhaustive\" or \"at most N preemptions\"")
    }
    self.init(policy: policy, search: search)
  }

  /// The path of the file beside a scenario's.
  public static func path(beside scenario: String) -> String {
    (scenario.hasSuffix(".yaml") ? String(scenario.dropLast(5)) : scenario) + suffix
  }

  /// The path of the scenario beside such a file.
  public static func scenarioPath(beside file: String) -> String {
    (file.hasSuffix(suffix) ? String(file.dropLast(suffix.count)) : file) + ".yaml"
  }

  /// The whole text of the file, with what an exploration found.
  ///
  /// Nothing in it depends on the build or on the time that the exploration took.
  public func text(_ report: ExploreReport) -> String {
    var text = """
      # How every execution ends. "holdfast promote" rewrites this; "policy" and "search" are for people to change.
      holdfast outcomes, version \(Self.currentVersion)
      scenario: \(report.scenario.name)
      policy: \(policy)
      search: \(search)

      """
    for pass in report.passes {
      text +=
        "covered: \(pass.search): \(pass.executions) executions, \(pass.redundant) redundant, \(pass.end.words)\n"
    }
    text += "\noutcomes: \(report.states.count)\n"
    text += rows(report.states.map { ($0.count, "\($0.state)") })
    if !report.conditions.isEmpty {
      text += "\nconditions: \(report.conditions.count)\n"
      for check in report.conditions {
        let word = check.isMet.map { $0 ? "Ok" : "No" } ?? "Unseen"
        text += "\(word) line \(check.line) \(check.quantifier?.rawValue ?? "skipped"): "
        text += "\(check.holds) of \(check.holds + check.fails)\n"
      }
    }
    if !report.findings.isEmpty {
      text += "\nfindings: \(report.findings.count)\n"
      text += rows(report.findings.map { ($0.occurrences, "\($0.name) (\($0.kind))") })
    }
    return text
  }

  private func rows(_ rows: [(count: Int, text: String)]) -> String {
    let width = rows.map { String($0.count).count }.max() ?? 0
    return rows.map { count, text in
      String(repeating: " ", count: width - String(count).count) + "\(count):>\(text)\n"
    }.joined()
  }

  /// What differs between two texts: lines of the first that are gone, with `-`, and new ones, with `+`.
  public static func differences(from expected: String, to found: String) -> [String] {
    let (old, new) = (lines(expected), lines(found))
    let difference = new.difference(from: old)
    var removed: Set<Int> = []
    var inserted: Set<Int> = []
    for change in difference {
      switch change {
      case .remove(let offset, _, _): removed.insert(offset)
      case .insert(let offset, _, _): inserted.insert(offset)
      }
    }
    var result: [String] = []
    var (left, right) = (0, 0)
    while left < old.count || right < new.count {
      if removed.contains(left) {
        result.append("-" + old[left])
        left += 1
      } else if inserted.contains(right) {
        result.append("+" + new[right])
        right += 1
      } else {
        left += 1
        right += 1
      }
    }
    return result
  }

  private static func lines(_ text: String) -> [Substring] {
    text.split(separator: "\n", omittingEmptySubsequences: false)
  }
}

extension ExploreReport.End {
  /// The end in the words of an outcome file.
  fileprivate var words: String {
    switch self {
    case .exhausted: "space exhausted"
    case .boundReached: "bound reached"
    case .cut: "some did not end"
    case .time, .executions: "stopped"
    case .interrupted: "interrupted"
    case .replayed: "replayed"
    }
  }
}

extension ExploreReport {
  /// Whether every search covered what it was asked to, so that the same build counts the same again.
  public var isRepeatable: Bool {
    passes.allSatisfy { [.exhausted, .boundReached, .cut].contains($0.end) }
  }
}
