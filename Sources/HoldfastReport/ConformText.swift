public import HoldfastScenario

/// The comparison of a kernel with the engine, in the style of herd and litmus.
public enum ConformText {
  /// A block per scenario, and a count of the scenarios at the end.
  public static func render(_ report: ConformReport, palette: Palette) -> String {
    var text = report.entries.map { block($0, palette) + "\n" }.joined()
    for difference in report.staleDifferences {
      text += palette.paint("Stale difference ", .bad)
      text += "\(difference.scenario): \(difference.text)\n"
      text += "  \(difference.location): no recording shows it any more\n"
    }
    return text + summary(report, palette)
  }

  /// How often runs ended in which state, as `run --repeat` prints it.
  public static func render(_ states: StateHistogram, palette: Palette) -> String {
    let width = countWidth(states.rows.map(\.count))
    return palette.paint("Histogram", .title) + " (\(Amounts.count(Int64(states.rows.count), "state")))\n"
      + states.rows.map { padded($0.count, width) + ":>\($0.state)\n" }.joined()
  }

  // MARK: A scenario

  private static func block(_ entry: ConformReport.Entry, _ palette: Palette) -> String {
    var text = palette.paint("Test \(entry.scenario) Allowed", .title) + "\n"
    if entry.orders > 0 {
      text += "States \(entry.allowed.count)\n"
      for row in entry.allowed { text += "\(row.state)\n" }
    }
    text += histogram(entry, palette)
    let forbidden = entry.states.filter { $0.relation == .forbidden }
    if entry.orders > 0 {
      text += "Forbidden " + (forbidden.isEmpty ? "0" : palette.paint("\(forbidden.count)", .bad)) + "\n"
      for state in forbidden { text += palette.paint("\(state.state)", .bad) + "\n" }
      text += "Unseen \(entry.unseen.count)\n"
      for state in entry.unseen { text += "\(state)\n" }
    }
    for step in entry.leftOut { text += "Left out \(step)\n" }
    for warning in entry.warnings { text += palette.paint("Warning \(warning)", .caution) + "\n" }
    text += observation(entry, palette)
    let engine =
      entry.orders > 0 ? "engine (\(Amounts.count(Int64(entry.orders), "order")))" : "engine (not run)"
    text += "Source: \(engine) | \(entry.kernel.source)\n"
    return text + "Hash=\(entry.hash)\n"
  }

  private static func histogram(_ entry: ConformReport.Entry, _ palette: Palette) -> String {
    guard !entry.states.isEmpty else { return "" }
    let width = countWidth(entry.states.map(\.count))
    var text = "Histogram (\(Amounts.count(Int64(entry.states.count), "state")))\n"
    for row in entry.states {
      text +=
        palette.paint("\(padded(row.count, width))\(row.relation.mark)>\(row.state)", row.relation.ink) + "\n"
      for difference in row.differences {
        text += String(repeating: " ", count: width + 2) + "known difference: \(difference)\n"
      }
    }
    return text
  }

  private static func observation(_ entry: ConformReport.Entry, _ palette: Palette) -> String {
    func runs(_ relation: ConformReport.Relation) -> Int {
      entry.states.reduce(0) { $0 + ($1.relation == relation ? $1.count : 0) }
    }
    let counts = "\(runs(.allowed) + runs(.known)) \(runs(.forbidden))"
    return "Observation \(entry.scenario) "
      + (entry.orders > 0
        ? palette.paint(entry.verdict.phrase, entry.verdict.ink) + " \(counts)\n"
        : palette.paint("\(entry.verdict.phrase): \(entry.reason ?? "no reason is known")", entry.verdict.ink)
          + "\n")
  }

  // MARK: All of them

  private static func summary(_ report: ConformReport, _ palette: Palette) -> String {
    guard !report.entries.isEmpty else { return "No scenario has a recording.\n" }
    let parts = ConformReport.Verdict.allCases.compactMap { verdict -> String? in
      let count = report.entries.count { $0.verdict == verdict }
      return count == 0 ? nil : palette.paint("\(count) \(verdict.plainPhrase)", verdict.ink)
    }
    return "\(Amounts.count(Int64(report.entries.count), "scenario")): \(parts.joined(separator: ", ")).\n"
  }

  private static func countWidth(_ counts: [Int]) -> Int {
    max(counts.map { "\($0)".count }.max() ?? 0, 5)
  }

  /// Counts come first, as in litmus's logs.
  private static func padded(_ count: Int, _ width: Int) -> String {
    let text = "\(count)"
    return text + String(repeating: " ", count: max(width - text.count, 0))
  }
}

extension ConformReport.Verdict {
  /// The word of the observation line.
  fileprivate var phrase: String {
    switch self {
    case .same: "Allowed"
    case .known: "Known-difference"
    case .forbidden: "Forbidden"
    case .notModelled: "Not modelled"
    case .notComparable: "Not comparable"
    case .stale: "Stale"
    }
  }

  /// After a count, in a sentence.
  fileprivate var plainPhrase: String {
    switch self {
    case .same: "the same"
    case .known: "with known differences"
    case .forbidden: "FORBIDDEN"
    case .notModelled: "not modelled"
    case .notComparable: "not comparable"
    case .stale: "STALE"
    }
  }

  fileprivate var ink: Ink {
    switch self {
    case .same: .good
    case .forbidden, .stale: .bad
    case .known, .notModelled, .notComparable: .caution
    }
  }
}

extension ConformReport.Relation {
  /// The text between a count and its state.
  fileprivate var mark: String {
    switch self {
    case .allowed: ":"
    case .known: "~"
    case .forbidden: "*"
    case .unjudged: "?"
    }
  }

  fileprivate var ink: Ink {
    switch self {
    case .allowed: .plain
    case .forbidden: .bad
    case .known, .unjudged: .caution
    }
  }
}
