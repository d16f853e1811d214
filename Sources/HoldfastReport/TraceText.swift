internal import Foundation
public import HoldfastScenario

/// A run as Chrome trace events, which Perfetto and chrome://tracing open.
///
/// There is a track per actor, one for the machine, and a slice per step. One tick of the ground's logical clock
/// is drawn as a microsecond.
public enum TraceText {
  /// The whole JSON text with a line break at its end.
  public static func render(_ report: RunReport) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let entries = try entries(report).map { String(decoding: try encoder.encode($0), as: UTF8.self) }
    let about = try encoder.encode([
      "scenario": report.scenario.name, "hash": report.scenario.hash, "policy": report.policy.rawValue,
      "ground": report.ground.rawValue, "clock": "one microsecond is one tick of the logical clock",
    ])
    return
      "{\"displayTimeUnit\":\"ns\",\"otherData\":\(String(decoding: about, as: UTF8.self)),\"traceEvents\":[\n"
      + entries.joined(separator: ",\n") + "\n]}\n"
  }

  private static let process = 1
  private static let machineTrack = 0

  private static func entries(_ report: RunReport) -> [Entry] {
    var tracks: [String] = []
    for name in report.steps.map(\.actor) + (report.traceEvents ?? []).compactMap(\.track)
    where !tracks.contains(name) {
      tracks.append(name)
    }
    func number(_ track: String?) -> Int {
      track.flatMap { tracks.firstIndex(of: $0) }.map { $0 + 1 } ?? machineTrack
    }
    var entries = [
      Entry(
        name: "process_name", phase: "M",
        arguments: ["name": .text("\(report.scenario.name), \(report.policy)")])
    ]
    for (track, name) in [(machineTrack, "machine")] + tracks.enumerated().map({ ($0 + 1, $1) }) {
      entries.append(Entry(name: "thread_name", phase: "M", track: track, arguments: ["name": .text(name)]))
      entries.append(
        Entry(
          name: "thread_sort_index", phase: "M", track: track,
          arguments: ["sort_index": .number(Int64(track))]))
    }
    entries += report.steps.map { slice($0, track: number($0.actor)) }
    entries += (report.traceEvents ?? []).map { entry($0, track: number($0.track)) }
    return entries
  }

  private static func slice(_ step: StepRecord, track: Int) -> Entry {
    var arguments: [String: Argument] = [
      "detail": .text(step.detail), "result": .text(StepSentence(step: step).result),
      "line": .number(Int64(step.location.line)),
    ]
    if let label = step.label { arguments["label"] = .text(label) }
    if let pages = step.pages { arguments["pages"] = .number(pages) }
    if let migrated = step.migrated { arguments["migrated"] = .number(migrated) }
    return Entry(
      name: step.label.map { "\(step.verb.rawValue) \($0)" } ?? step.verb.rawValue, phase: "X",
      category: "step", track: track, time: step.begin, duration: duration(step.begin, step.end),
      arguments: arguments)
  }

  private static func entry(_ event: TraceEvent, track: Int) -> Entry {
    var entry = Entry(
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

  private enum Argument: Encodable {
    case text(String)
    case number(Int64)

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .text(let text): try container.encode(text)
      case .number(let number): try container.encode(number)
      }
    }
  }

  private struct Entry: Encodable {
    var name: String
    var phase: String
    var category: String?
    var track = machineTrack
    var time: UInt64?
    var duration: UInt64?
    var scope: String?
    var arguments: [String: Argument]
    var process = TraceText.process

    init(
      name: String, phase: String, category: String? = nil, track: Int = machineTrack, time: UInt64? = nil,
      duration: UInt64? = nil, arguments: [String: Argument]
    ) {
      self.name = name
      self.phase = phase
      self.category = category
      self.track = track
      self.time = time
      self.duration = duration
      self.arguments = arguments
    }

    enum CodingKeys: String, CodingKey {
      case name
      case phase = "ph"
      case category = "cat"
      case track = "tid"
      case time = "ts"
      case duration = "dur"
      case scope = "s"
      case arguments = "args"
      case process = "pid"
    }
  }
}
