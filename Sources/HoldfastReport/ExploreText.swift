internal import Foundation
public import HoldfastScenario

/// The report of an exploration for people, in the style of herd.
public enum ExploreText {
  /// The whole text, with a line break at its end.
  public static func render(_ report: ExploreReport, palette: Palette) -> String {
    var text = palette.paint("Test \(report.scenario.name)", .title) + ": \(report.scenario.summary)\n"
    text += "Policy \(report.policy)\n"
    text += "Actors \(report.actors.joined(separator: ", "))\n"
    if report.faults > 0 {
      text += "At most \(Amounts.count(Int64(report.faults), "failure")) in each execution\n"
    }
    text += "State \(report.stateBytes) bytes\n\n"
    text += histogram(report, palette)
    text += checks(report, palette)
    text += conditions(report, palette)
    text += passes(report, palette)
    for finding in report.findings { text += "\n" + self.finding(finding, report, palette) }
    return text + "\n" + conclusion(report, palette)
  }

  // MARK: Outcomes

  private static func histogram(_ report: ExploreReport, _ palette: Palette) -> String {
    var text = palette.paint("Histogram", .title)
    text += " (\(Amounts.count(Int64(report.states.count), "outcome")))\n"
    let width = report.states.map { String($0.count).count }.max() ?? 0
    for row in report.states {
      let count = String(row.count)
      let isBad = row.state.checks.contains { !$0.holds }
      let line = String(repeating: " ", count: width - count.count) + count + ":>\(row.state)"
      text += palette.paint(line, isBad ? .bad : .plain) + "\n"
    }
    return text
  }

  private static func checks(_ report: ExploreReport, _ palette: Palette) -> String {
    guard !report.checks.isEmpty else { return "" }
    var table = TextTable([("", .left), ("", .left), ("", .right), ("", .left)])
    for check in report.checks {
      let (word, ink): (String, Ink) =
        switch (check.holds, check.fails) {
        case (0, 0): ("Unseen", .caution)
        // What was not covered may be otherwise.
        case (_, 0): report.isExhaustive ? ("Always", .good) : ("So far", .plain)
        case (0, _): report.isExhaustive ? ("Never", .bad) : ("Not so far", .bad)
        default: ("Sometimes", .bad)
        }
      table.add([
        TextTable.Cell(word, ink), TextTable.Cell("\(check.holds) of \(check.holds + check.fails)"),
        TextTable.Cell("line \(check.line)", .quiet), TextTable.Cell(check.expectation),
      ])
    }
    return "\n" + palette.paint("Holds", .title) + "\n" + table.render(indent: 2, palette: palette)
  }

  private static func conditions(_ report: ExploreReport, _ palette: Palette) -> String {
    guard !report.conditions.isEmpty else { return "" }
    var table = TextTable([("", .left), ("", .left), ("", .left), ("", .right), ("", .left)])
    for check in report.conditions {
      let (word, ink): (String, Ink) =
        switch (check.quantifier, check.isMet) {
        case (nil, _): ("Skipped", .caution)
        case (_, true?): ("Ok", .good)
        case (_, false?): ("No", .bad)
        case (_, nil): ("Unseen", .caution)
        }
      let wanted = check.quantifier?.rawValue ?? "-"
      table.add([
        TextTable.Cell(word, ink), TextTable.Cell(wanted.prefix(1).uppercased() + wanted.dropFirst()),
        TextTable.Cell("\(check.holds) of \(check.holds + check.fails)"),
        TextTable.Cell("line \(check.line)", .quiet), TextTable.Cell(check.condition),
      ])
    }
    var text = "\n" + palette.paint("Conditions", .title) + "\n" + table.render(indent: 2, palette: palette)
    for check in report.conditions {
      guard let witness = check.witness else { continue }
      text += "  line \(check.line) is seen by: --replay \(witness)\n"
    }
    return text
  }

  // MARK: What was covered

  private static func passes(_ report: ExploreReport, _ palette: Palette) -> String {
    var table = TextTable([
      ("search", .left), ("executions", .right), ("redundant", .right), ("steps", .right),
      ("deepest", .right), ("reduction", .right), ("steps/s", .right), ("executions/s", .right),
      ("ended", .left),
    ])
    for pass in report.passes {
      table.add([
        TextTable.Cell(pass.search), TextTable.Cell("\(pass.executions)"),
        TextTable.Cell("\(pass.redundant)"),
        TextTable.Cell("\(pass.steps)"), TextTable.Cell("\(pass.deepest)"),
        TextTable.Cell(reduction(pass)),
        TextTable.Cell(rate(pass.steps, pass.seconds)), TextTable.Cell(rate(pass.executions, pass.seconds)),
        TextTable.Cell(end(pass), pass.end == .exhausted ? .good : .plain),
      ])
    }
    var text = "\n" + palette.paint("Covered", .title) + "\n" + table.render(indent: 2, palette: palette)
    if let ends = report.ends {
      text +=
        "  \(Amounts.count(Int64(ends), "different end")), by the machine's state and the results of steps\n"
    }
    return text
  }

  /// How many orders there would be for each execution that was run, where all that matter were.
  private static func reduction(_ pass: ExploreReport.Pass) -> String {
    guard pass.end == .exhausted, pass.executions > 0 else { return "-" }
    let logarithm = pass.orders - log10(Double(pass.executions))
    if logarithm < 4 { return "1:\(max(1, Int(pow(10, logarithm).rounded())))" }
    return "1:10^\(Int(logarithm))"
  }

  private static func rate(_ number: Int, _ seconds: Double) -> String {
    seconds > 0 ? "\(Int(Double(number) / seconds))" : "-"
  }

  private static func end(_ pass: ExploreReport.Pass) -> String {
    let merged = pass.merged.map { ", \(Amounts.count(Int64($0), "state")) seen" } ?? ""
    return word(pass) + merged
  }

  private static func word(_ pass: ExploreReport.Pass) -> String {
    switch pass.end {
    case .exhausted: "space exhausted"
    case .boundReached: "bound reached"
    case .cut: "some did not end"
    case .time: "stopped after \(Int(pass.seconds.rounded())) s"
    case .executions: "stopped after \(Amounts.count(Int64(pass.executions), "execution"))"
    case .interrupted: "interrupted"
    case .replayed: "replayed"
    }
  }

  // MARK: Findings

  private static func finding(
    _ finding: ExploreReport.Finding, _ report: ExploreReport, _ palette: Palette
  ) -> String {
    var text = palette.paint("Finding: \(finding.name)", .bad) + " (\(finding.kind))\n"
    text += "  \(finding.text)\n"
    text += "  seen in \(Amounts.count(Int64(finding.occurrences), "execution")); "
    text += "this one has \(Amounts.count(Int64(finding.preemptions), "preemption")) and "
    text += "\(Amounts.count(Int64(finding.runs.reduce(0) { $0 + $1.count }), "step"))\n"
    var table = TextTable(
      [("step", .right)] + report.actors.map { ($0, .left) } + [("up to", .left), ("changes", .left)])
    for run in finding.runs {
      var cells = [TextTable.Cell("\(run.first)", .quiet)]
      for actor in report.actors.indices {
        let what = run.step.isEmpty ? "begins" : run.step
        cells.append(TextTable.Cell(actor == run.actor ? "\(what) (\(run.count))" : "", .name))
      }
      cells.append(TextTable.Cell(run.value.map { "\(run.last): \($0)" } ?? run.last))
      table.add(cells + [TextTable.Cell(run.changes.first ?? "")])
      for change in run.changes.dropFirst() {
        table.add(Array(repeating: TextTable.Cell(""), count: cells.count) + [TextTable.Cell(change)])
      }
    }
    text += table.render(indent: 2, palette: palette)
    return text + "  replay: --replay \(finding.replay)\n"
  }

  private static func conclusion(_ report: ExploreReport, _ palette: Palette) -> String {
    let seconds = report.passes.reduce(0) { $0 + $1.seconds }
    var parts: [String] = []
    if report.findings.isEmpty {
      parts.append("no finding")
    } else {
      parts.append(Amounts.count(Int64(report.findings.count), "finding"))
    }
    let failing = report.checks.count { $0.fails > 0 }
    if failing > 0 { parts.append("\(Amounts.count(Int64(failing), "expectation")) not always met") }
    let unmet = report.conditions.count { $0.isMet == false }
    if unmet > 0 { parts.append("\(Amounts.count(Int64(unmet), "condition")) not met") }
    let covered =
      switch report.passes.last?.end {
      case .exhausted: "space exhausted"
      case .boundReached: "only within the bound: \(report.passes.last?.search ?? "")"
      case .replayed: "one execution replayed"
      case .cut, .time, .executions, .interrupted, nil: "not everything was covered"
      }
    return palette.paint(
      "\(parts.joined(separator: ", ")); \(covered)", report.exitCode == 0 ? .good : .bad)
      + " (\(Amounts.count(Int64(report.passes.reduce(0) { $0 + $1.executions }), "execution")), \(Int(seconds * 1000)) ms)\n"
  }
}
