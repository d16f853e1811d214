/// One scenario under several policies: a column per policy, a row per expectation and per cost.
public struct CompareReport: Codable, Sendable, Equatable {
  /// What a row is about.
  public enum RowKind: String, Codable, Sendable, Hashable {
    /// An expectation.
    case expectation
    /// The result of a labelled step.
    case step
    /// A cost.
    case cost
  }

  /// One entry of a row.
  public struct Cell: Codable, Sendable, Equatable {
    /// Its content.
    public var text: String
    /// The verdict behind it; nil where nothing was expected.
    public var state: Verdict.State?
  }

  /// One row.
  public struct Row: Codable, Sendable, Equatable {
    /// What it is about.
    public var kind: RowKind
    /// Its name.
    public var title: String
    /// One per policy.
    public var cells: [Cell]
  }

  /// Version of this form.
  public var schema = RunReport.currentSchema
  /// Which scenario.
  public var scenario: ScenarioIdentity
  /// The columns.
  public var policies: [PolicyName]
  /// The rows: steps, expectations, costs.
  public var rows: [Row]
  /// How the run under each policy ended.
  public var outcomes: [RunOutcome]

  /// Sets the reports of one scenario side by side; nil if there are none, or of different scenarios.
  public init?(_ reports: [RunReport]) {
    guard let first = reports.first, reports.allSatisfy({ $0.scenario.hash == first.scenario.hash }) else {
      return nil
    }
    scenario = first.scenario
    policies = reports.map(\.policy)
    outcomes = reports.map(\.outcome)
    rows = Self.stepRows(reports) + Self.expectationRows(reports) + Self.costRows(reports)
  }

  /// How the runs ended together.
  public var outcome: RunOutcome {
    if outcomes.contains(.fails) { return .fails }
    return outcomes.contains(.holds) ? .holds : .unchecked
  }

  private static func stepRows(_ reports: [RunReport]) -> [Row] {
    var labels: [String] = []
    for step in reports.flatMap(\.steps) {
      if let label = step.label, !labels.contains(label) { labels.append(label) }
    }
    return labels.map { label in
      Row(
        kind: .step, title: label,
        cells: reports.map { report in
          let step = report.steps.first { $0.label == label }
          return Cell(text: step.map(Self.result) ?? "not reached", state: nil)
        })
    }
  }

  private static func result(of step: StepRecord) -> String {
    switch step.status {
    case .ok: "ok"
    case .failed: step.error.map { "\($0.errno.rawValue) (\($0.stage.rawValue))" } ?? "failed"
    case .skipped: "skipped"
    }
  }

  private static func expectationRows(_ reports: [RunReport]) -> [Row] {
    // A policy's own terms change the words of an expectation, not its place in the file.
    var locations: [SourceLocation] = []
    for verdict in reports.flatMap(\.verdicts) where !locations.contains(verdict.location) {
      locations.append(verdict.location)
    }
    return locations.map { location in
      let verdicts = reports.map { report in report.verdicts.first { $0.location == location } }
      let texts = verdicts.compactMap { $0?.expectation }
      return Row(
        kind: .expectation, title: Self.commonTitle(texts),
        cells: verdicts.map { verdict in
          guard let verdict else { return Cell(text: "-", state: nil) }
          return Cell(text: verdict.found ?? "-", state: verdict.state)
        })
    }
  }

  private static func commonTitle(_ texts: [String]) -> String {
    guard let first = texts.first else { return "" }
    if texts.allSatisfy({ $0 == first }) { return first }
    return first.split(separator: ":", maxSplits: 1).first.map(String.init) ?? first
  }

  private static func costRows(_ reports: [RunReport]) -> [Row] {
    let costs: [(String, KeyPath<RunCosts, Int64>)] = [
      ("pages moved", \.migrated), ("migration failures", \.migrationFailures),
      ("isolation failures", \.isolationFailures), ("retries", \.retries), ("drains", \.drains),
      ("blocks offlined", \.blocksOfflined), ("blocks removed", \.blocksRemoved),
      ("bytes copied", \.bytesCopied),
    ]
    return costs.map { name, path in
      Row(
        kind: .cost, title: name,
        cells: reports.map { Cell(text: String($0.costs[keyPath: path]), state: nil) })
    }
  }
}
