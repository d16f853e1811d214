import Foundation

/// The command: measures the rows that were asked for and prints the table of bars.
@main
struct Bench {
  static func main() {
    do {
      exit(try run(Options(Array(CommandLine.arguments.dropFirst()))))
    } catch let problem as Options.Problem {
      complain("holdfast-bench: \(problem)\n\(Options.usage)")
      exit(2)
    } catch {
      complain("holdfast-bench: \(error)")
      exit(4)
    }
  }

  private static func run(_ options: Options) throws -> Int32 {
    switch options.action {
    case .help:
      print(Options.usage)
      return 0
    case .selfTest:
      return selfTest()
    case .list:
      for row in catalogue {
        print("\(row.name): \(row.contenders.map(\.name).joined(separator: ", "))")
      }
      return 0
    case .workload(let row, let side, let rounds):
      return try work(row: row, side: side, rounds: rounds)
    case .measure:
      return try measure(options)
    }
  }

  private static func measure(_ options: Options) throws -> Int32 {
    let rows = catalogue.filter(options.selects)
    guard !rows.isEmpty else {
      complain(
        options.rows.isEmpty
          ? "holdfast-bench: no row measures the engine; --floors measures the C twins"
          : "holdfast-bench: no row is called \(options.rows.joined(separator: " or ")); see --list")
      return 2
    }
    let meter = Meter(repetitions: options.repetitions)
    var outcomes: [Outcome] = []
    for row in rows {
      complain("measuring \(row.name)")
      outcomes.append(try meter.measure(row))
    }
    print(table(outcomes))
    if let path = options.json {
      try JSONReport(outcomes).write(to: path)
    }
    let exceeded = outcomes.contains { outcome in
      outcome.findings.contains { $0.within == false && outcome.row.gates($0.bar) }
    }
    return options.check && exceeded ? 1 : 0
  }

  /// Work without measurement, for a tool that counts from outside.
  private static func work(row name: String, side: String, rounds: Int) throws -> Int32 {
    guard let row = catalogue.first(where: { $0.name == name }) else {
      throw Options.Problem(description: "no row is called '\(name)'; see --list")
    }
    guard let contender = row.contenders.first(where: { $0.name == side }) else {
      let names = row.contenders.map(\.name).joined(separator: ", ")
      throw Options.Problem(description: "row '\(name)' has no side '\(side)', it has: \(names)")
    }
    let made = try contender.make()
    try made.prepare()
    try made.work(0, rounds)
    print(made.unitsPerRound)
    return 0
  }

  private static func complain(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
  }
}
