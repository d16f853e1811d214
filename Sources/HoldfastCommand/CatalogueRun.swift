import ArgumentParser
import HoldfastLabExplored
import HoldfastReport
import HoldfastScenario

/// `holdfast explore --catalogue`: the whole table of bugs and disputes instead of one scenario.
struct CatalogueOptions: ParsableArguments {
  @Flag(
    help: "Run the catalogue of bugs and disputes: each entry without its safeguard, and with it.")
  var catalogue = false

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("With --catalogue: only the row with this number.", valueName: "n"))
  var row: Int?

  /// Refuses what does not go together with the rest of the line.
  func validate(against line: ExploreCommand) throws {
    if let row {
      guard catalogue else { throw ValidationError("--row needs --catalogue") }
      guard Catalogue.rows.contains(where: { $0.number == row }) else {
        let numbers = Catalogue.rows.map { "\($0.number)" }.joined(separator: ", ")
        throw ValidationError("--row: found \(row), expected one of \(numbers)")
      }
    }
    guard catalogue else {
      if line.scenario == nil { throw ValidationError("explore needs a <scenario>, or --catalogue") }
      return
    }
    let isAlone =
      line.scenario == nil && !line.limits.isGiven && line.strategy == nil && line.without.isEmpty
      && line.replay == nil && !line.storeBuffers && !line.merge && line.jobs == 1 && line.checkpoint == nil
      && line.resume == nil
      && line.trace == nil
    if !isAlone { throw ValidationError("--catalogue goes with --row and --json only") }
  }

  /// Explores the rows and prints the table; after ctrl-C what there is of it.
  func run(json: Bool) throws {
    let rows = Catalogue.rows.filter { row == nil || $0.number == row }
    let stop = ExploreStop()
    let interrupt = Interrupt { stop.stop() }
    let report: CatalogueReport
    do {
      report = try CatalogueExplorer.explore(rows, stop: stop) { try ScenarioFiles.load($0) }
    } catch let error as RunFailure {
      throw Failure(error)
    }
    interrupt.end()
    try Console.write(
      json ? try JSONText.render(report) : CatalogueText.render(report, palette: Console.palette))
    throw Failure.said(exitCode: report.exitCode)
  }
}
