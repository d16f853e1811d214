public import HoldfastScenario

/// A run as Chrome trace events, which Perfetto and chrome://tracing open.
///
/// There is a track per actor, one for the machine, and a slice per step. One tick of the ground's logical clock
/// is drawn as a microsecond.
public enum TraceText {
  /// The whole JSON text with a line break at its end.
  public static func render(_ report: RunReport) throws -> String {
    try TraceEntry.render(
      entries(report),
      about: [
        "scenario": report.scenario.name, "hash": report.scenario.hash, "policy": report.policy.rawValue,
        "ground": report.ground.rawValue, "clock": "one microsecond is one tick of the logical clock",
      ])
  }

  /// An explored execution, with a track per actor: a slice per step of the scenario, and in it one per operation.
  ///
  /// One operation is drawn as a microsecond.
  public static func render(_ report: ExploreReport, _ execution: [ExploreReport.ExecutedOperation]) throws
    -> String
  {
    try TraceEntry.render(
      entries(report, execution),
      about: [
        "scenario": report.scenario.name, "hash": report.scenario.hash, "policy": report.policy.rawValue,
        "clock": "one microsecond is one operation",
      ])
  }

  private static func entries(
    _ report: ExploreReport, _ execution: [ExploreReport.ExecutedOperation]
  ) -> [TraceEntry] {
    var entries = TraceEntry.head(
      "\(report.scenario.name), \(report.policy)", tracks: report.actors.enumerated().map { ($0 + 1, $1) })
    for actor in report.actors.indices {
      var steps: [(name: String, first: Int, last: Int)] = []
      for (time, operation) in execution.enumerated() where operation.actor == actor {
        if steps.last?.name == operation.step {
          steps[steps.count - 1].last = time
        } else {
          steps.append((operation.step, time, time))
        }
      }
      for step in steps {
        entries.append(
          TraceEntry(
            name: step.name.isEmpty ? "begins" : step.name, phase: "X", category: "step", track: actor + 1,
            time: UInt64(step.first), duration: UInt64(step.last - step.first + 1), arguments: [:]))
      }
    }
    for (time, operation) in execution.enumerated() {
      var arguments: [String: TraceEntry.Argument] = ["number": .number(Int64(time + 1))]
      if let value = operation.value { arguments["value"] = .text(value) }
      entries.append(
        TraceEntry(
          name: operation.word.isEmpty ? operation.kind : "\(operation.kind) \(operation.word)", phase: "X",
          category: "operation", track: operation.actor + 1, time: UInt64(time), duration: 1,
          arguments: arguments))
    }
    return entries
  }

  private static let machineTrack = TraceEntry.machineTrack

  private static func entries(_ report: RunReport) -> [TraceEntry] {
    var tracks: [String] = []
    for name in report.steps.map(\.actor) + (report.traceEvents ?? []).compactMap(\.track)
    where !tracks.contains(name) {
      tracks.append(name)
    }
    func number(_ track: String?) -> Int {
      track.flatMap { tracks.firstIndex(of: $0) }.map { $0 + 1 } ?? machineTrack
    }
    var entries = TraceEntry.head(
      "\(report.scenario.name), \(report.policy)",
      tracks: [(machineTrack, "machine")] + tracks.enumerated().map { ($0 + 1, $1) })
    entries += report.steps.map { slice($0, track: number($0.actor)) }
    entries += (report.traceEvents ?? []).map { entry($0, track: number($0.track)) }
    return entries
  }

  private static func slice(_ step: StepRecord, track: Int) -> TraceEntry {
    var arguments: [String: TraceEntry.Argument] = [
      "detail": .text(step.detail), "result": .text(StepSentence(step: step).result),
      "line": .number(Int64(step.location.line)),
    ]
    if let label = step.label { arguments["label"] = .text(label) }
    if let pages = step.pages { arguments["pages"] = .number(pages) }
    if let migrated = step.migrated { arguments["migrated"] = .number(migrated) }
    return TraceEntry(
      name: step.label.map { "\(step.verb.rawValue) \($0)" } ?? step.verb.rawValue, phase: "X",
      category: "step", track: track, time: step.begin, duration: duration(step.begin, step.end),
      arguments: arguments)
  }

  private static func entry(_ event: TraceRecord, track: Int) -> TraceEntry {
    var entry = TraceEntry(
      name: event.name, phase: "i", category: event.category, track: track, time: event.time,
      arguments: event.arguments.mapValues { .text($0) })
    switch event.shape {
    case .slice(let end):
      entry.phase = "X"
      entry.duration = duration(event.time, end)
    case .instant:
      // An instant of the machine is drawn across all tracks.
      entry.scope = event.track == nil ? "g" : "t"
    case .counter(let values):
      entry.phase = "C"
      entry.arguments = values.mapValues { .number($0) }
    }
    return entry
  }

  private static func duration(_ begin: UInt64, _ end: UInt64) -> UInt64 {
    end > begin ? end - begin : 0
  }
}
