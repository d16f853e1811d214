public import HoldfastScenario

/// What `holdfast generate` prints: operations, and a line for each scenario that was explored.
public enum GenerateText {
  /// Sums over the scenarios explored so far.
  public struct Sums: Sendable {
    /// Scenarios explored.
    public private(set) var scenarios = 0
    /// Scenarios with a finding or a condition that is not met.
    public private(set) var failing = 0
    /// Executions of all searches.
    public private(set) var executions = 0
    /// Scenarios whose searches covered what they were asked to.
    public private(set) var complete = 0

    /// Nothing explored.
    public init() {}

    /// Counts one more.
    public mutating func add(_ report: ExploreReport) {
      scenarios += 1
      if report.exitCode != 0 { failing += 1 }
      if report.isRepeatable { complete += 1 }
      executions += report.passes.reduce(0) { $0 + $1.executions }
    }
  }

  /// The names of the columns.
  public static let head = "executions  outcomes  findings  covered  scenario\n"

  /// One scenario, and what was found in it.
  public static func row(_ name: String, _ report: ExploreReport, palette: Palette) -> String {
    func column(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text + "  "
    }
    let executions = report.passes.reduce(0) { $0 + $1.executions }
    var text = column("\(executions)", 10) + column("\(report.states.count)", 8)
    text += column("\(report.findings.count)", 8)
    text += column(report.isExhaustive ? "all" : report.isRepeatable ? "bound" : "part", 7)
    text += palette.paint(name, report.exitCode == 0 ? .plain : .bad) + "\n"
    for finding in report.findings {
      text += "  " + palette.paint(finding.name, .bad) + " (\(finding.kind)): \(finding.text)\n"
      text += "  --replay \(finding.replay)\n"
    }
    return text
  }

  /// What was written instead of explored.
  public static func written(_ count: Int, to folder: String) -> String {
    "\(Amounts.count(Int64(count), "scenario")) written to \(folder)\n"
  }

  /// The last line.
  public static func conclusion(_ sums: Sums, of all: Int, palette: Palette) -> String {
    var text =
      "\(sums.scenarios) of \(Amounts.count(Int64(all), "scenario")) explored, \(sums.complete) of them to the bound; "
    text += Amounts.count(Int64(sums.executions), "execution") + "; "
    text += sums.failing == 0 ? "nothing found" : "something found in \(sums.failing)"
    return palette.paint(text, sums.failing == 0 ? .good : .bad) + "\n"
  }

  /// The operations.
  public static func list(_ operations: [GeneratedOperation], palette: Palette) -> String {
    var table = TextTable([("operation", .left), ("by", .left), ("what", .left)])
    for operation in operations {
      table.add([
        TextTable.Cell(operation.name, .name),
        TextTable.Cell(operation.doer == .owner ? "the process" : "another one"),
        TextTable.Cell(operation.summary),
      ])
    }
    return table.render(indent: 0, palette: palette)
  }
}
