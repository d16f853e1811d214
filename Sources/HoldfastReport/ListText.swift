public import HoldfastScenario

/// Tables for people: policies, scenarios, and one scenario under several policies.
public enum ListText {
  /// What `holdfast policies` prints.
  public static func render(_ policies: [PolicyDescription], palette: Palette) -> String {
    var table = TextTable([("policy", .left), ("rule", .left), ("from", .left)])
    for policy in policies {
      table.add([
        TextTable.Cell(policy.name.rawValue + (policy.isDefault ? " *" : ""), .name),
        TextTable.Cell(policy.rule), TextTable.Cell(policy.origin, .quiet),
      ])
    }
    return table.render(indent: 0, palette: palette) + "* is the policy of a scenario that names none\n"
  }

  /// What `holdfast scenarios` prints.
  public static func render(_ scenarios: [ScenarioListing], palette: Palette) -> String {
    guard !scenarios.isEmpty else { return "no scenarios\n" }
    var table = TextTable([
      ("scenario", .left), ("seed", .left), ("policy", .left), ("steps", .right), ("expects", .right),
      ("summary", .left),
    ])
    for scenario in scenarios {
      let broken = scenario.error != nil
      table.add([
        TextTable.Cell(
          broken ? scenario.file : scenario.name ?? "", broken ? .bad : .name),
        TextTable.Cell(scenario.seed ?? "-"), TextTable.Cell(scenario.policy?.rawValue ?? "-"),
        TextTable.Cell(broken ? "-" : String(scenario.steps)),
        TextTable.Cell(broken ? "-" : String(scenario.expectations)),
        TextTable.Cell(scenario.error ?? scenario.summary ?? "", broken ? .bad : .plain),
      ])
    }
    return table.render(indent: 0, palette: palette)
  }

  /// What `holdfast invariants` prints.
  public static func render(_ invariants: [InvariantListing], palette: Palette) -> String {
    var table = TextTable([
      ("invariant", .left), ("checked", .left), ("holds", .left), ("what holds", .left), ("from", .left),
    ])
    for invariant in invariants {
      table.add([
        TextTable.Cell(invariant.name, .name), TextTable.Cell(invariant.checked),
        TextTable.Cell(invariant.moment),
        TextTable.Cell(invariant.statement), TextTable.Cell(invariant.source, .quiet),
      ])
    }
    return table.render(indent: 0, palette: palette)
  }

  /// What `holdfast safeguards` prints.
  public static func render(_ safeguards: [SafeguardListing], palette: Palette) -> String {
    var table = TextTable([
      ("safeguard", .left), ("row", .right), ("breaks", .left), ("from", .left), ("scenario", .left),
      ("what the engine does", .left),
    ])
    for safeguard in safeguards {
      table.add([
        TextTable.Cell(safeguard.name, .name), TextTable.Cell("\(safeguard.row)"),
        TextTable.Cell(safeguard.properties.joined(separator: " ")),
        TextTable.Cell(safeguard.reference ?? "-", .quiet), TextTable.Cell(safeguard.scenario),
        TextTable.Cell(safeguard.statement),
      ])
    }
    return table.render(indent: 0, palette: palette)
  }

  /// What `holdfast compare` prints.
  public static func render(_ report: CompareReport, palette: Palette) -> String {
    var text = palette.paint(report.scenario.name, .title) + ": \(report.scenario.summary)\n"
    var table = TextTable(
      [(title: "", alignment: .left)] + report.policies.map { (title: $0.rawValue, alignment: .left) })
    let empty = report.policies.map { _ in TextTable.Cell("") }
    var kind: CompareReport.RowKind?
    for row in report.rows {
      if row.kind != kind {
        table.add([TextTable.Cell(row.kind.heading, .title)] + empty)
        kind = row.kind
      }
      table.add([TextTable.Cell("  " + row.title)] + row.cells.map { cell($0, palette) })
    }
    text += "\n" + table.render(indent: 0, palette: palette) + "\n"
    for (policy, outcome) in zip(report.policies, report.outcomes) {
      switch outcome {
      case .holds: text += palette.paint("\(policy): every expectation that was compared holds", .good) + "\n"
      case .fails: text += palette.paint("\(policy): not every expectation holds", .bad) + "\n"
      case .unchecked: text += palette.paint("\(policy): nothing was compared", .caution) + "\n"
      }
    }
    return text
  }

  private static func cell(_ cell: CompareReport.Cell, _ palette: Palette) -> TextTable.Cell {
    switch cell.state {
    case nil: TextTable.Cell(cell.text)
    case .holds: TextTable.Cell("holds: \(cell.text)", .good)
    case .fails: TextTable.Cell("FAILS: \(cell.text)", .bad)
    case .skipped: TextTable.Cell("skipped", .caution)
    }
  }
}

extension CompareReport.RowKind {
  fileprivate var heading: String {
    switch self {
    case .step: "Steps"
    case .expectation: "Expectations"
    case .cost: "Costs"
    }
  }
}
