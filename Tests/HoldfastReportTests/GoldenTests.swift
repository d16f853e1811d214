import Foundation
import HoldfastReport
import HoldfastScenario
import Testing

/// Renderings are compared with the files under `Tests/Golden`; `HOLDFAST_RECORD=1 swift test` writes them anew.
@Suite struct GoldenTests {
  private static let plain = Palette(colored: false)

  private static func texts() throws -> [(file: String, text: String)] {
    let (good, bad) = (try Sample.good(), try Sample.bad())
    let comparison = try #require(CompareReport([good, bad]))
    let listings = [
      ScenarioListing(try Sample.scenario()),
      ScenarioListing(file: "broken.yaml", error: try broken()),
    ]
    return [
      ("run-good.txt", RunText.render(good, palette: plain)),
      ("run-bad.txt", RunText.render(bad, palette: plain)),
      ("run-color.txt", RunText.render(bad, palette: Palette(colored: true))),
      ("run.json", try JSONText.render(trimmed(bad))),
      ("trace.json", try TraceText.render(good)),
      ("compare.txt", ListText.render(comparison, palette: plain)),
      ("compare.json", try JSONText.render(comparison)),
      ("policies.txt", ListText.render(PolicyDescription.all, palette: plain)),
      ("policies.json", try JSONText.render(PolicyDescription.all)),
      ("scenarios.txt", ListText.render(listings, palette: plain)),
      ("safeguards.txt", ListText.render(Sample.safeguards, palette: plain)),
      ("catalogue.txt", CatalogueText.render(Sample.catalogue, palette: plain)),
      ("catalogue.json", try JSONText.render(Sample.catalogue)),
      ("explore.txt", ExploreText.render(try Sample.exploration(), palette: plain)),
      (
        "explore-trace.json",
        try TraceText.render(try Sample.exploration(), try Sample.exploration().execution ?? [])
      ),
      ("explore.json", try JSONText.render(try Sample.exploration())),
    ] + (try conformance())
  }

  /// A scenario of each verdict.
  private static func conformance() throws -> [(file: String, text: String)] {
    let (report, differences) = try Sample.conformance()
    return [
      ("conform.txt", ConformText.render(report, palette: plain)),
      ("conform-color.txt", ConformText.render(report, palette: Palette(colored: true))),
      ("conform.json", try JSONText.render(report)),
      ("conform.md", ConformTable.render(report, differences: differences)),
      (
        "repeat.txt",
        ConformText.render(
          StateHistogram(
            [try Sample.good(), try Sample.bad(), try Sample.good()], of: try Sample.scenario()),
          palette: plain)
      ),
    ]
  }

  /// One block is enough to show the form.
  private static func trimmed(_ report: RunReport) -> RunReport {
    var report = report
    report.blocksBefore = Array(report.blocksBefore[24...24])
    report.blocksAfter = Array(report.blocksAfter[24...24])
    return report
  }

  private static func broken() throws -> ScenarioError {
    try #require(throws: ScenarioError.self) {
      try Scenario(yaml: "scenario: a\nsumary: b", file: "broken.yaml")
    }
  }

  @Test("every renderer gives the recorded text")
  func recordedText() throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Golden")
    for (file, text) in try Self.texts() {
      let url = folder.appending(path: file)
      if ProcessInfo.processInfo.environment["HOLDFAST_RECORD"] != nil {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try text.write(to: url, atomically: true, encoding: .utf8)
      }
      let golden = try String(contentsOf: url, encoding: .utf8)
      #expect(text == golden, "\(file) differs; HOLDFAST_RECORD=1 swift test records it")
    }
  }

  @Test("a report's JSON gives the report back, and another schema is refused")
  func roundTrip() throws {
    for report in [try Sample.good(), try Sample.bad()] {
      let text = try JSONText.render(report)
      #expect(try JSONText.parseRun(text) == report)
      let newer = text.replacing("\"schema\" : 1", with: "\"schema\" : 2")
      #expect(throws: JSONText.SchemaError.self) { try JSONText.parseRun(newer) }
    }
  }

  @Test("the trace is JSON in which every slice lies on a named track")
  func trace() throws {
    let text = try TraceText.render(try Sample.good())
    let root = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let events = try #require(root["traceEvents"] as? [[String: Any]])
    let named = Set(events.filter { $0["name"] as? String == "thread_name" }.compactMap { $0["tid"] as? Int })
    #expect(named == [0, 1, 2])
    let slices = events.filter { $0["ph"] as? String == "X" }
    #expect(slices.count == 6)
    #expect(slices.allSatisfy { named.contains($0["tid"] as? Int ?? -1) && $0["dur"] is Int })
  }

  @Test(
    "colour needs a terminal and no objection",
    arguments: [
      (true, [:], true), (false, [:], false), (true, ["NO_COLOR": "1"], false),
      (true, ["NO_COLOR": ""], true),
      (true, ["TERM": "dumb"], false),
    ])
  func colour(terminal: Bool, environment: [String: String], colored: Bool) {
    #expect(Palette(isTerminal: terminal, environment: environment).colored == colored)
  }
}
