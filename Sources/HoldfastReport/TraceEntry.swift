internal import Foundation

/// One event of a Chrome trace, and how a trace is written.
struct TraceEntry: Encodable {
  enum Argument: Encodable {
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

  static let machineTrack = 0

  var name: String
  var phase: String
  var category: String?
  var track = machineTrack
  var time: UInt64?
  var duration: UInt64?
  var scope: String?
  var arguments: [String: Argument]
  var process = 1

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

  /// What names a trace and its tracks, in order.
  static func head(_ title: String, tracks: [(Int, String)]) -> [TraceEntry] {
    var entries = [TraceEntry(name: "process_name", phase: "M", arguments: ["name": .text(title)])]
    for (track, name) in tracks {
      entries.append(
        TraceEntry(name: "thread_name", phase: "M", track: track, arguments: ["name": .text(name)]))
      entries.append(
        TraceEntry(
          name: "thread_sort_index", phase: "M", track: track,
          arguments: ["sort_index": .number(Int64(track))]))
    }
    return entries
  }

  /// The whole JSON text with a line break at its end.
  static func render(_ entries: [TraceEntry], about: [String: String]) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let lines = try entries.map { String(decoding: try encoder.encode($0), as: UTF8.self) }
    let about = String(decoding: try encoder.encode(about), as: UTF8.self)
    return "{\"displayTimeUnit\":\"ns\",\"otherData\":\(about),\"traceEvents\":[\n"
      + lines.joined(separator: ",\n") + "\n]}\n"
  }
}
