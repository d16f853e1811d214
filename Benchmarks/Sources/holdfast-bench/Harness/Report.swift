import CTwin
import Foundation

func decimal(_ value: Double, _ places: Int) -> String {
  String(format: "%.\(places)f", value)
}

/// Nanoseconds with three significant digits, in the unit that suits them.
func duration(_ nanoseconds: Double) -> String {
  let (value, unit) =
    switch abs(nanoseconds) {
    case ..<9999: (nanoseconds, "ns")
    case ..<9_999_000: (nanoseconds / 1000, "us")
    default: (nanoseconds / 1_000_000, "ms")
    }
  let magnitude = abs(value)
  return "\(decimal(value, magnitude < 10 ? 2 : magnitude < 100 ? 1 : 0)) \(unit)"
}

/// Lines of the table: one per bar, and a note per side that could not run.
func table(_ outcomes: [Outcome]) -> String {
  let header = ["row", "unit", "side", "median", "spread", "against", "median", "ratio", "bar", "within?"]
  var lines = [header]
  var notes: [String] = []
  for outcome in outcomes {
    for finding in outcome.findings {
      let spread = outcome.samples.first { $0.name == outcome.row.subject }?.spread
      lines.append([
        outcome.row.name, outcome.row.unit, outcome.row.subject, finding.value.map(duration) ?? "-",
        spread.map { "\(decimal($0 * 100, 0)) %" } ?? "-", finding.bar.other ?? "-",
        finding.other.map(duration) ?? "-", finding.ratio.map { decimal($0, 2) } ?? "-",
        finding.bar.description, verdict(finding, gated: outcome.row.gates(finding.bar)),
      ])
    }
    for missing in outcome.missing {
      notes.append("\(outcome.row.name): not measured here: \(missing.name): \(missing.reason)")
    }
  }
  let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
  let rows = lines.map { line in
    zip(line, widths).map { cell, width in cell.padding(toLength: width, withPad: " ", startingAt: 0) }
      .joined(separator: "  ")
  }
  return (rows + notes).joined(separator: "\n")
}

private func verdict(_ finding: Finding, gated: Bool) -> String {
  switch (finding.within, finding.bar) {
  case (_, .none), (_, .besides): "-"
  case (true?, _): "yes"
  case (false?, _): gated ? "NO" : "no (not gated)"
  case (nil, _): "not measured"
  }
}

/// The machine-readable report.
struct JSONReport: Encodable {
  struct Machine: Encodable {
    var system: String
    var cpus: Int
    var residentBytes: UInt64
  }

  struct RowReport: Encodable {
    var row: String
    var unit: String
    var stable: Bool
    var sides: [SideReport]
    var bars: [BarReport]
    var missing: [String]
  }

  struct SideReport: Encodable {
    var name: String
    var clock: Side.Clock
    var threads: Int
    var medianNanoseconds: Double
    var fastDecileNanoseconds: Double
    var spread: Double
    var samples: [Double]
  }

  struct BarReport: Encodable {
    var subject: String
    var against: String?
    var bar: String
    var ratio: Double?
    var within: Bool?
  }

  var schema = 1
  var machine: Machine
  var rows: [RowReport]

  init(_ outcomes: [Outcome]) {
    let info = ProcessInfo.processInfo
    machine = Machine(
      system: info.operatingSystemVersionString, cpus: Int(twin_cpu_count()),
      residentBytes: twin_resident_bytes())
    rows = outcomes.map { outcome in
      RowReport(
        row: outcome.row.name, unit: outcome.row.unit, stable: outcome.row.stable,
        sides: outcome.samples.map {
          SideReport(
            name: $0.name, clock: $0.clock, threads: $0.threads, medianNanoseconds: $0.median,
            fastDecileNanoseconds: $0.fast, spread: $0.spread, samples: $0.values)
        },
        bars: outcome.findings.map {
          BarReport(
            subject: outcome.row.subject, against: $0.bar.other, bar: $0.bar.description, ratio: $0.ratio,
            within: $0.within)
        },
        missing: outcome.missing.map { "\($0.name): \($0.reason)" })
    }
  }

  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try encoder.encode(self).write(to: URL(fileURLWithPath: path))
  }
}
