public import HoldfastScenario

/// The catalogue's table for people.
public enum CatalogueText {
  /// The whole text, with a line break at its end.
  public static func render(_ report: CatalogueReport, palette: Palette) -> String {
    var text = ""
    if !report.entries.isEmpty { text += explored(report, palette) + "\n" }
    if !report.waiting.isEmpty { text += waiting(report, palette) + "\n" }
    return text + conclusion(report, palette)
  }

  private static func explored(_ report: CatalogueReport, _ palette: Palette) -> String {
    var table = TextTable([
      ("row", .right), ("entry", .left), ("breaks", .left), ("without", .left), ("verdict", .left),
      ("to find", .right), ("found", .left), ("to clear", .right), ("covered", .left), ("seconds", .right),
    ])
    for entry in report.entries {
      let seconds = (entry.find?.seconds ?? 0) + (entry.clear?.seconds ?? 0)
      table.add([
        TextTable.Cell("\(entry.row)"), TextTable.Cell(entry.name),
        TextTable.Cell(entry.properties.joined(separator: " ")),
        TextTable.Cell(entry.safeguard ?? policies(entry), entry.safeguard == nil ? .quiet : .name),
        verdict(entry.verdict),
        TextTable.Cell(entry.find.map { "\($0.executions)" } ?? "-"),
        TextTable.Cell(entry.find.map { finding($0) ?? "nothing" } ?? "-"),
        TextTable.Cell(entry.clear.map { "\($0.executions)" } ?? "-"),
        TextTable.Cell(entry.clear.map(covered) ?? "-"),
        TextTable.Cell(tenths(seconds)),
      ])
    }
    return palette.paint("Explored", .title) + "\n" + table.render(indent: 2, palette: palette)
  }

  /// The text of an entry that takes no safeguard out.
  private static func policies(_ entry: CatalogueReport.Entry) -> String {
    guard let find = entry.find else { return "-" }
    guard let clear = entry.clear, clear.policy != find.policy else { return "- (\(find.policy))" }
    return "- (\(find.policy); not \(clear.policy))"
  }

  private static func verdict(_ verdict: CatalogueReport.Verdict) -> TextTable.Cell {
    switch verdict {
    case .fixed: TextTable.Cell("fixed", .good)
    case .open: TextTable.Cell("open", .caution)
    case .byDesign: TextTable.Cell("by design", .caution)
    case .notFound: TextTable.Cell("NOT FOUND", .bad)
    case .notCleared: TextTable.Cell("NOT CLEARED", .bad)
    case .unfinished: TextTable.Cell("UNFINISHED", .bad)
    case .notRun: TextTable.Cell("not run", .bad)
    }
  }

  /// The name of what was found, without who and where: `data race`.
  private static func finding(_ search: CatalogueReport.Search) -> String? {
    search.finding.map { String($0.prefix { $0 != ":" }) }
  }

  private static func covered(_ search: CatalogueReport.Search) -> String {
    if let finding = finding(search) { return finding }
    return switch search.end {
    case .exhausted: "space exhausted"
    case .boundReached: search.search
    case .cut: "\(search.search), some did not end"
    case .time, .executions, .interrupted, .replayed: "stopped in \(search.search)"
    }
  }

  /// One digit after the point: 3.2.
  private static func tenths(_ seconds: Double) -> String {
    let tenths = Int((seconds * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  private static func waiting(_ report: CatalogueReport, _ palette: Palette) -> String {
    var table = TextTable([
      ("row", .right), ("entry", .left), ("breaks", .left), ("waits for", .left), ("which comes with", .left),
    ])
    for row in report.waiting {
      table.add([
        TextTable.Cell("\(row.row)"), TextTable.Cell(row.name),
        TextTable.Cell(row.properties.joined(separator: " ")),
        TextTable.Cell((row.isPart ? "in part: " : "") + row.needs.joined(separator: ", ")),
        TextTable.Cell(row.comesWith, .quiet),
      ])
    }
    return palette.paint("Waiting", .title) + "\n" + table.render(indent: 2, palette: palette)
  }

  private static func conclusion(_ report: CatalogueReport, _ palette: Palette) -> String {
    func count(_ verdict: CatalogueReport.Verdict) -> Int { report.entries.count { $0.verdict == verdict } }
    var parts = [
      "\(report.entries.count) explored", "\(count(.fixed)) fixed", "\(count(.open)) open",
      "\(count(.byDesign)) by design",
    ]
    let missing = count(.notRun)
    let wrong = report.entries.count { !$0.verdict.isExpected } - missing
    if wrong > 0 { parts.append("\(wrong) not as expected") }
    if missing > 0 { parts.append("\(missing) not run") }
    let whole = report.waiting.count { !$0.isPart }
    if whole > 0 { parts.append(Amounts.count(Int64(whole), "row") + " waiting") }
    return palette.paint(parts.joined(separator: ", "), report.exitCode == 0 ? .good : .bad) + "\n"
  }
}
