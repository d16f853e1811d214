public import HoldfastScenario

/// What a kernel was seen to do, rule by rule, as a page of Markdown.
public enum ConformTable {
  /// The whole page.
  public static func render(_ report: ConformReport, differences: [KnownDifference]) -> String {
    [head, rules(report), writtenUp(differences), kernels(report)].joined(separator: "\n")
  }

  private static let head = """
    # Conformance

    What a real kernel was seen to do, and what the engine says about it. `holdfast conform --table` writes this page \
    from the recordings and the list of differences in `Conformance/`; `swift test` compares both with the engine.

    """

  // MARK: Rules

  private static func rules(_ report: ConformReport) -> String {
    var text = """
      ## Rules

      A rule is a section of [Rules](Rules.md). A state is the result of every labelled step and how many \
      expectations hold, with the number of runs in which it was seen before it.

      | rule | scenario | the kernel showed | the engine |
      |---|---|---|---|

      """
    let rows = report.entries.flatMap { entry in
      (entry.rules.isEmpty ? ["-"] : entry.rules).map { (rule: $0, entry: entry) }
    }
    let sorted = rows.sorted { one, other in
      let (left, right) = (Rule(one.rule), Rule(other.rule))
      return left == right ? one.entry.scenario < other.entry.scenario : left < right
    }
    for (rule, entry) in sorted {
      text += "| \(link(rule)) | \(entry.scenario) | \(showed(entry)) | \(engine(entry)) |\n"
    }
    if sorted.isEmpty { text += "| - | none is recorded | - | - |\n" }
    return text
  }

  /// Where each chapter of the rules is, from the folder of this page on.
  private static let chapters = [
    "Rules.md", "Rules/01-Pages.md", "Rules/02-Allocator.md", "Rules/03-Hotplug.md", "Rules/04-CMA.md",
    "Rules/05-Pinning.md", "Rules/06-Placement.md", "Rules/07-Migration.md", "Rules/08-Devices.md",
    "Rules/09-Users.md", "Rules/10-Observation.md", "Rules/11-GupTest.md", "Rules/12-Invariants.md",
    "Rules/13-Seeds.md",
  ]

  /// A rule as a link to its heading, whose anchor is its number; other text stays what it is.
  private static func link(_ rule: String) -> String {
    guard let chapter = Rule(rule).numbers.first, chapters.indices.contains(chapter) else { return rule }
    return "[\(rule)](\(chapters[chapter])#\(rule.replacing(" ", with: "-")))"
  }

  private static func showed(_ entry: ConformReport.Entry) -> String {
    guard !entry.states.isEmpty else { return "-" }
    return entry.states.map { "\($0.count) x \(escaped($0.state.description))" }.joined(separator: "<br>")
  }

  private static func engine(_ entry: ConformReport.Entry) -> String {
    switch entry.verdict {
    case .same: "same"
    case .known:
      "known difference: "
        + distinct(entry.states.flatMap(\.differences)).map(escaped).joined(separator: "; ")
    case .forbidden: "**forbids it**"
    case .notModelled: "not modelled: \(escaped(entry.reason ?? "-"))"
    case .notComparable: "not comparable: \(escaped(entry.reason ?? "-"))"
    case .stale: "**stale**"
    }
  }

  /// Sections in the order of their numbers, so that 12.3 comes before 12.21.
  private struct Rule: Comparable {
    let numbers: [Int]
    let row: String

    init(_ text: String) {
      let words = text.split(separator: " ", maxSplits: 1)
      numbers = words.first.map { $0.split(separator: ".").compactMap { Int($0) } } ?? []
      row = words.count > 1 ? String(words[1]) : ""
    }

    static func < (one: Rule, other: Rule) -> Bool {
      // Scenarios that name no rule come last.
      if one.numbers.isEmpty != other.numbers.isEmpty { return other.numbers.isEmpty }
      if one.numbers != other.numbers { return one.numbers.lexicographicallyPrecedes(other.numbers) }
      return one.row < other.row
    }
  }

  // MARK: Differences

  private static func writtenUp(_ differences: [KnownDifference]) -> String {
    var text = "## Written-up differences\n\n"
    guard !differences.isEmpty else { return text + "There are none.\n" }
    for difference in differences.sorted(by: { ($0.scenario, $0.text) < ($1.scenario, $1.text) }) {
      text +=
        "- **\(difference.scenario)**: `\(difference.text)`; `\(difference.kernel) (\(difference.version))`: "
      text += difference.why.split(whereSeparator: \.isWhitespace).joined(separator: " ") + "\n"
    }
    return text
  }

  // MARK: Kernels

  private static func kernels(_ report: ConformReport) -> String {
    let text = """
      ## Kernels

      | kernel | SHA-256 of its configuration | QEMU | policy | scenarios | recorded |
      |---|---|---|---|---|---|

      """
    struct Key: Hashable {
      let kernel: KernelIdentity
      let policy: PolicyName
    }
    let groups = Dictionary(grouping: report.entries) { Key(kernel: $0.kernel, policy: $0.policy) }
    let rows = groups.map { key, entries in
      let days = entries.map(\.recorded).sorted()
      let first = days.first ?? "-"
      let last = days.last ?? "-"
      return
        "| \(escaped(key.kernel.release)) | `\(key.kernel.config)` | \(escaped(key.kernel.qemu ?? "none")) | "
        + "\(key.policy) | \(entries.count) | \(first == last ? first : "\(first) to \(last)") |\n"
    }
    return text + (rows.isEmpty ? "| none | - | - | - | 0 | - |\n" : rows.sorted().joined())
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("|", with: "\\|").replacing("\n", with: " ")
  }

  private static func distinct(_ texts: [String]) -> [String] {
    var said: Set<String> = []
    return texts.filter { said.insert($0).inserted }
  }
}
