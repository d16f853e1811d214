public import HoldfastScenario

/// What an experiment showed, for people.
public enum ExperimentText {
  /// The claim, a table for each measure, and what the claim says of them.
  public static func render(_ report: ExperimentReport, palette: Palette) -> String {
    var text = palette.paint(report.experiment, .name) + ", seed \(report.seed)\n"
    text += TextTable.paragraphs(
      [
        ("claim", report.claim), ("method", report.method), ("refuted by", report.refutedBy),
      ], palette: palette)
    for panel in report.panels { text += "\n" + table(panel, report, palette) }
    text += "\n"
    for verdict in report.verdicts {
      let (word, ink): (String, Ink) =
        switch verdict.state {
        case .holds: ("holds", .good)
        case .fails: ("refuted", .bad)
        case .skipped: ("not shown", .quiet)
        }
      text += palette.paint(word, ink) + "  \(verdict.expectation) is \(verdict.expected ?? "-")"
      text += verdict.found.map { "; found \($0)" } ?? ""
      text += (verdict.reason.map { ": \($0)" } ?? "") + "\n"
    }
    text += Amounts.count(Int64(report.runs), "run") + " a point, random seed \(report.randomSeed)\n"
    return text
  }

  /// The names of the experiments with their claims.
  public static func list(_ experiments: [Experiment], palette: Palette) -> String {
    var table = TextTable([("experiment", .left), ("seed", .left), ("claim", .left)])
    for experiment in experiments {
      table.add([
        TextTable.Cell(experiment.name, .name), TextTable.Cell(experiment.seed),
        TextTable.Cell(experiment.claim),
      ])
    }
    return table.render(indent: 0, palette: palette)
  }

  private static func table(
    _ panel: ExperimentReport.Panel, _ report: ExperimentReport, _ palette: Palette
  ) -> String {
    let spread = panel.isShare ? "95 % interval" : "quartiles"
    var text = "\(panel.label): \(panel.isShare ? "share of the runs" : "median"), \(spread)\n"
    var table = TextTable([(report.axis, .right)] + panel.lines.map { ($0.series, .right) })
    for (row, sample) in (panel.lines.first?.samples ?? []).enumerated() {
      table.add(
        [TextTable.Cell(sample.point, .name)]
          + panel.lines.map { TextTable.Cell(cell($0.samples[row], panel.isShare)) })
    }
    text += table.render(indent: 2, palette: palette)
    return text
  }

  private static func cell(_ sample: ExperimentReport.Sample, _ isShare: Bool) -> String {
    guard let value = sample.value, let low = sample.low, let high = sample.high else { return "-" }
    func number(_ value: Double) -> String { isShare ? percent(value) : plain(value) }
    let text = isShare ? "\(number(value)) %" : number(value)
    let leftOut = sample.leftOut > 0 ? ", \(sample.leftOut) left out" : ""
    return low == high ? text + leftOut : "\(text) (\(number(low)) to \(number(high))\(leftOut))"
  }

  /// With a decimal where it is not exact.
  static func percent(_ share: Double) -> String { plain(share * 100) }

  /// A number with one decimal where it is not whole.
  static func plain(_ value: Double) -> String {
    let tenths = Int64((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(abs(tenths % 10))"
  }
}

extension TextTable {
  /// Headed paragraphs, which a terminal wraps.
  fileprivate static func paragraphs(_ parts: [(String, String)], palette: Palette) -> String {
    let width = parts.map(\.0.count).max() ?? 0
    return parts.map { head, text in
      "  " + palette.paint(head, .quiet) + String(repeating: " ", count: width - head.count + 2) + text + "\n"
    }.joined()
  }
}
