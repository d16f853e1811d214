public import HoldfastScenario

/// The report of a run for people.
public struct RunText {
  private let report: RunReport
  private let palette: Palette

  private init(_ report: RunReport, _ palette: Palette) {
    self.report = report
    self.palette = palette
  }

  /// The whole text, with a line break at its end.
  public static func render(_ report: RunReport, palette: Palette) -> String {
    let text = RunText(report, palette)
    let sections = [
      text.head, text.timeline, text.zones, text.blocks, text.counters, text.verdicts, text.conclusion,
    ]
    return sections.filter { !$0.isEmpty }.joined(separator: "\n")
  }

  // MARK: Head

  private var head: String {
    let scenario = report.scenario
    var text = palette.paint(scenario.name, .title) + ": \(scenario.summary)\n"
    text += "policy   \(report.policy): \(report.policy.rule)\n"
    text += "ground   \(report.ground.phrase)\n"
    let machine = report.machine
    let bytes = Int64(clamping: machine.frames) &* 4096
    text += "machine  \(Amounts.bytes(bytes)) on \(Amounts.count(Int64(machine.nodes), "node")), "
    text += "\(Amounts.count(Int64(machine.cpus), "CPU")), memory blocks of "
    text +=
      "\(Amounts.bytes(Int64(clamping: machine.blockBytes))); \(machine.origin.phrase(machine.source))\n"
    for change in machine.changes { text += "         changed first: \(change)\n" }
    for warning in report.warnings { text += palette.paint("note     \(warning)", .caution) + "\n" }
    return text
  }

  // MARK: Timeline

  private var timeline: String {
    guard !report.steps.isEmpty else { return "" }
    let actorWidth = report.steps.map(\.actor.count).max() ?? 0
    let labelWidth = report.steps.map { $0.label?.count ?? 0 }.max() ?? 0
    let numberWidth = String(report.steps.last?.sequence ?? 0).count
    let margin = String(repeating: " ", count: 2 + numberWidth + 2 + actorWidth + 2 + labelWidth + 2)
    var text = palette.paint("What happened", .title) + "\n"
    for step in report.steps {
      let sentence = StepSentence(step: step)
      let number = String(step.sequence)
      text += "  " + String(repeating: " ", count: numberWidth - number.count) + palette.paint(number, .quiet)
      text += "  " + padded(step.actor, actorWidth, .name) + "  "
      text += padded(step.label ?? "", labelWidth, .quiet) + "  " + step.detail + "\n"
      text += margin + palette.paint(sentence.result, ink(step.status)) + "\n"
      for detail in sentence.details { text += margin + detail + "\n" }
    }
    return text
  }

  private func padded(_ text: String, _ width: Int, _ ink: Ink) -> String {
    palette.paint(text, ink) + String(repeating: " ", count: width - text.count)
  }

  private func ink(_ status: StepRecord.Status) -> Ink {
    switch status {
    case .ok: .good
    case .failed: .bad
    case .skipped: .caution
    }
  }

  // MARK: Zones

  private var zones: String {
    var table = TextTable([
      ("node", .right), ("zone", .left), ("present", .right), ("managed", .right), ("free", .right),
      ("in CMA", .right), ("pinned", .right),
    ])
    let all =
      report.zonesBefore
      + report.zonesAfter.filter { after in !report.zonesBefore.contains(where: after.isSame) }
    for zone in all {
      let before = report.zonesBefore.first(where: zone.isSame)
      let after = report.zonesAfter.first(where: zone.isSame)
      func cell(_ path: (ZoneRecord) -> Int64?) -> TextTable.Cell {
        let (old, new) = (before.map(path) ?? 0, after.map(path) ?? 0)
        return TextTable.Cell(Amounts.change(old, new), old == new ? .plain : .title)
      }
      table.add([
        TextTable.Cell(String(zone.node)), TextTable.Cell(zone.zone.kernelName, .name),
        cell(\.present), cell(\.managed), cell(\.free), cell(\.cma), cell(\.pinned),
      ])
    }
    return palette.paint("Zones, in pages, before -> after", .title) + "\n"
      + table.render(indent: 2, palette: palette)
  }

  // MARK: Blocks

  /// Neighbouring blocks with the same fate share a row.
  private var blocks: String {
    let rows = BlockRun.runs(before: report.blocksBefore, after: report.blocksAfter)
    guard !rows.isEmpty else { return "" }
    var table = TextTable([
      ("blocks", .left), ("zone", .left), ("state", .left), ("free", .right), ("movable", .right),
      ("pinned", .right), ("unmovable", .right),
    ])
    for row in rows {
      func cell(_ path: (BlockRun.Totals) -> Int64?) -> TextTable.Cell {
        let (old, new) = (path(row.before), path(row.after))
        return TextTable.Cell(Amounts.change(old, new), old == new ? .plain : .title)
      }
      table.add([
        TextTable.Cell(row.name), TextTable.Cell(row.zones, .name),
        TextTable.Cell(row.states, row.stateChanged ? .title : .plain), cell(\.free),
        cell(\.movable), cell(\.pinned), cell(\.unmovable),
      ])
    }
    return palette.paint("Memory blocks, pages before -> after", .title) + "\n"
      + table.render(indent: 2, palette: palette)
  }

  // MARK: Counters

  private var counters: String {
    guard !report.counters.isEmpty else { return "" }
    var table = TextTable([("", .left), ("", .right)])
    for (name, value) in report.counters.sorted(by: { $0.key < $1.key }) {
      table.add([TextTable.Cell(name), TextTable.Cell(value > 0 ? "+\(value)" : "\(value)")])
    }
    return palette.paint("Counters of /proc/vmstat that changed", .title) + "\n"
      + table.render(indent: 2, palette: palette)
  }

  // MARK: Verdicts

  private var verdicts: String {
    guard !report.verdicts.isEmpty else { return "" }
    var text = palette.paint("Expectations", .title) + "\n"
    for verdict in report.verdicts {
      let mark: String
      switch verdict.state {
      case .holds where verdict.quantifier == .sometimes: mark = palette.paint("seen   ", .good)
      case .skipped where verdict.quantifier == .sometimes: mark = palette.paint("unseen ", .caution)
      case .holds: mark = palette.paint("holds  ", .good)
      case .fails: mark = palette.paint("FAILS  ", .bad)
      case .skipped: mark = palette.paint("skipped", .caution)
      }
      text += "  \(mark)  \(verdict.expectation)\n"
      if verdict.state != .skipped, let found = verdict.found {
        text += "           found \(found)" + (verdict.reason.map { ": \($0)" } ?? "") + "\n"
      } else if let reason = verdict.reason {
        text += "           \(reason)\n"
      }
      if let because = verdict.because {
        text += palette.paint("           because \(because)", .quiet) + "\n"
      }
      if verdict.state == .fails { text += "           see \(verdict.location)\n" }
    }
    return text
  }

  // MARK: Conclusion

  private var conclusion: String {
    let held = report.verdicts.count { $0.state == .holds }
    let failed = report.verdicts.count { $0.state == .fails }
    let skipped = report.verdicts.count { $0.state == .skipped && $0.quantifier != .sometimes }
    let left = skipped == 0 ? "" : "; \(skipped) could not be compared"
    let verdict: String
    switch report.outcome {
    case .holds:
      verdict = palette.paint(
        (held == 1 ? "The expectation holds" : "All \(held) expectations hold")
          + " under \(report.policy)\(left).", .good)
    case .fails:
      verdict = palette.paint(
        "\(failed) of \(Amounts.count(Int64(held + failed), "expectation")) "
          + "\(failed == 1 ? "does" : "do") not hold under \(report.policy)\(left).", .bad)
    case .unchecked:
      verdict = palette.paint("Nothing was compared under \(report.policy)\(left).", .caution)
    }
    return deeds + verdict + "\n"
  }

  /// What the run did to the machine, in one sentence.
  private var deeds: String {
    let costs = report.costs
    var parts: [String] = []
    if costs.migrated > 0 { parts.append("\(Amounts.pages(costs.migrated)) moved to other frames") }
    if costs.migrationFailures > 0 { parts.append(Amounts.count(costs.migrationFailures, "failed move")) }
    func blocks(_ count: Int64, _ deed: String) {
      guard count > 0 else { return }
      let bytes = count.multipliedReportingOverflow(by: Int64(clamping: report.machine.blockBytes))
        .partialValue
      parts.append("\(Amounts.count(count, "memory block")) (\(Amounts.bytes(bytes))) \(deed)")
    }
    blocks(costs.blocksOfflined, "went offline")
    blocks(costs.blocksRemoved, "left the machine")
    return parts.isEmpty ? "" : "In short: " + parts.joined(separator: ", ") + ".\n"
  }
}

extension ZoneRecord {
  fileprivate func isSame(_ other: ZoneRecord) -> Bool { node == other.node && zone == other.zone }
}

extension RunReport.Ground {
  fileprivate var phrase: String {
    switch self {
    case .model: "model: the engine, frames without bytes"
    case .memory: "memory: the engine, frames of real memory"
    case .linux: "linux: a real kernel"
    }
  }
}

extension MachineSummary.Origin {
  fileprivate func phrase(_ source: String?) -> String {
    switch self {
    case .configured: "as the scenario describes it"
    case .live: "read from this host" + (source.map { ", \($0)" } ?? "")
    case .snapshot: "read from the snapshot" + (source.map { " \($0)" } ?? "")
    }
  }
}
