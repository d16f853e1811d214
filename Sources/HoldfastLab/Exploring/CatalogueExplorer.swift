import Holdfast
public import HoldfastScenario
import Interleaving

/// Runs the catalogue: each entry without its safeguard until it is found, and with it until it is cleared.
public enum CatalogueExplorer {
  /// An exploration that takes longer has no verdict.
  static let longest = Duration.seconds(120)

  /// Explores every entry of some rows.
  ///
  /// - Parameters:
  ///   - executions: most executions of each exploration that has to clear an entry, or nil for as many as it takes.
  ///   - scenario: the scenario of a name.
  /// - Returns: a verdict for each entry, and what waits; entries that `stop` left out have the verdict `notRun`.
  /// - Throws: what `scenario` throws; `RunFailure` if one cannot be explored.
  public static func explore(
    _ rows: [CatalogueRow], stop: ExploreStop, executions: Int? = nil,
    scenario: (String) throws -> Scenario
  ) throws -> CatalogueReport {
    var report = CatalogueReport()
    for row in rows {
      for entry in row.entries {
        var result = CatalogueReport.Entry(
          row: row.number, name: row.name, properties: row.properties, reference: row.reference,
          safeguard: entry.safeguard?.name, scenario: entry.scenario, verdict: .notRun, find: nil, clear: nil)
        try explore(entry, try scenario(entry.scenario), stop, executions, &result)
        report.entries.append(result)
      }
      if let waiting = row.waiting { report.waiting.append(waiting) }
    }
    return report
  }

  private static func explore(
    _ entry: CatalogueEntry, _ scenario: Scenario, _ stop: ExploreStop, _ executions: Int?,
    _ result: inout CatalogueReport.Entry
  ) throws(RunFailure) {
    var options = ExploreOptions()
    options.stopsAtFinding = true
    options.minimising = 0
    options.time = longest
    options.storeBuffers = entry.storeBuffers
    options.stop = stop
    func search(_ search: ExploreOptions.Search, _ policy: PolicyName?, _ without: [String])
      throws(RunFailure) -> CatalogueReport.Search?
    {
      guard !stop.flag.isCancelled else { return nil }
      options.search = search
      options.policy = policy
      options.without = without
      let found = try ScenarioExplorer.explore(scenario, options)
      guard found.passes.last?.end != .interrupted else { return nil }
      return CatalogueReport.Search(found, without: without)
    }
    result.find = try search(
      entry.find, entry.policy, [entry.safeguard].compactMap { $0?.name } + entry.others.map(\.name))
    guard let found = result.find else { return }
    guard found.finding != nil else {
      result.verdict = .notFound
      return
    }
    if entry.safeguard != nil || entry.clearPolicy != nil {
      options.executions = executions
      result.clear = try search(entry.clear, entry.clearPolicy ?? entry.policy, [])
      guard let cleared = result.clear else { return }
      guard cleared.finding == nil else {
        result.verdict = .notCleared
        return
      }
      guard cleared.end == .exhausted || cleared.end == .boundReached else {
        result.verdict = .unfinished
        return
      }
    }
    result.verdict = entry.verdict
  }
}

extension CatalogueReport.Search {
  init(_ report: ExploreReport, without: [String]) {
    self.init(
      policy: report.policy, without: without, search: report.passes.last?.search ?? "",
      end: report.passes.last?.end ?? .interrupted,
      executions: report.passes.reduce(0) { $0 + $1.executions }, finding: report.findings.first?.name,
      seconds: report.passes.reduce(0) { $0 + $1.seconds })
  }
}
