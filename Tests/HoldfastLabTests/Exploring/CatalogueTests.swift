import Foundation
import Holdfast
import HoldfastLab
import HoldfastScenario
import Testing

/// The catalogue of bugs and disputes: the table itself, and what the explorer says of it.
@Suite struct CatalogueTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Scenarios/catalogue").path

  private static func scenario(_ name: String) throws -> Scenario {
    try Scenario.load(path: "\(folder)/\(name).yaml")
  }

  @Test("rows stand in order, each with something to explore or something that it waits for")
  func order() throws {
    let numbers = Catalogue.rows.map(\.number)
    #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
    #expect(Catalogue.rows.allSatisfy { $0.isExplored || $0.isWaiting })
    #expect(numbers.first == 1 && numbers.last == 66 && numbers.count == 56)
  }

  @Test("every safeguard is in the table, and every entry names a scenario of its row")
  func complete() throws {
    let listed = Catalogue.safeguards
    #expect(Set(listed.map(\.name)) == Set(Safeguard.allCases.map(\.name)))
    for safeguard in listed {
      #expect(!safeguard.statement.isEmpty && !safeguard.properties.isEmpty)
    }
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder).filter {
      $0.hasSuffix(".yaml")
    }
    #expect(Set(files.map { String($0.dropLast(5)) }) == Catalogue.scenarios)
  }

  @Test(
    "an entry is found without its safeguard, or with everything on if it is open, and not found otherwise",
    .timeLimit(.minutes(5)), arguments: Catalogue.rows.filter(\.isExplored).map(\.number))
  func verdicts(row: Int) throws {
    // The command clears them to the end.
    let report = try CatalogueExplorer.explore(
      Catalogue.rows.filter { $0.number == row }, stop: ExploreStop(), executions: 500
    ) { try Self.scenario($0) }
    for entry in report.entries {
      let isCutShort = entry.verdict == .unfinished && entry.clear?.end == .executions
      #expect(
        entry.verdict.isExpected || isCutShort,
        "\(entry.row) \(entry.safeguard ?? "-"): \(entry.verdict), \(String(describing: entry.clear))")
    }
  }

  @Test("what was told to stop says so, and explores nothing more")
  func interrupted() throws {
    let stop = ExploreStop()
    stop.stop()
    let report = try CatalogueExplorer.explore(Catalogue.rows, stop: stop) { try Self.scenario($0) }
    #expect(!report.entries.isEmpty && report.entries.allSatisfy { $0.verdict == .notRun })
    #expect(report.exitCode == 1)
  }
}
