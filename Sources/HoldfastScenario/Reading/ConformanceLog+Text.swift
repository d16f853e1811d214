import FoundationEssentials

/// The file: JSON lines, first the header, then the states, then the steps of each state's witness.
extension ConformanceLog {
  private struct StateLine: Codable {
    var state: RunState
    var count: Int
  }

  private struct StepLine: Codable {
    var step: StepRecord
    /// The number of the state that it witnesses, from 1.
    var witness: Int
  }

  /// Text beyond this is no log.
  static let largestText = 64 << 20

  /// Reads a log file.
  public static func load(path: String) throws(ScenarioError) -> ConformanceLog {
    try ConformanceLog(
      text: try TextFile.read(path: path, what: "conformance log", limit: largestText), file: path)
  }

  /// Reads a log; `file` is what messages call it.
  public init(text: String, file: String) throws(ScenarioError) {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if lines.last?.isEmpty == true { lines.removeLast() }
    guard let first = lines.first else {
      throw Self.error("found an empty file, expected a conformance log", file, 1)
    }
    try Self.checkSchema(first, file)
    let header = try Self.decode(Header.self, first, file, 1, expected: "the header of a conformance log")
    self.init(header: header, states: [])

    var stepsBegun = false
    for (index, line) in lines.enumerated().dropFirst() {
      let number = index + 1
      if line.hasPrefix("{\"count\"") {
        guard !stepsBegun else {
          throw Self.error(
            "found a state after the steps, expected {\"step\": ..., \"witness\": ...}", file, number)
        }
        let row = try Self.decode(
          StateLine.self, line, file, number, expected: "{\"count\": ..., \"state\": ...}")
        guard row.count > 0, !states.contains(where: { $0.state == row.state }) else {
          throw Self.error(
            "found a state without runs or for the second time, expected each once", file, number)
        }
        states.append(Seen(state: row.state, count: row.count, witness: []))
      } else {
        stepsBegun = true
        let row = try Self.decode(
          StepLine.self, line, file, number,
          expected: states.isEmpty
            ? "{\"count\": ..., \"state\": ...}" : "{\"step\": ..., \"witness\": ...}")
        guard states.indices.contains(row.witness - 1) else {
          throw Self.error(
            "found a step that witnesses state \(row.witness), expected 1 to \(states.count)", file, number)
        }
        states[row.witness - 1].witness.append(row.step)
      }
    }
    let runs = states.reduce(0) { $0 + $1.count }
    guard runs == header.runs else {
      throw Self.error("found \(runs) runs in the states, expected \(header.runs) as in the header", file, 1)
    }
    guard (header.refused == nil) == (header.runs > 0) else {
      throw Self.error("found no runs and no reason, expected states or \"refused\"", file, 1)
    }
    if let index = states.firstIndex(where: \.witness.isEmpty) {
      throw Self.error(
        "found no steps that witness state \(index + 1), expected the file to go on", file, lines.count)
    }
  }

  /// The text of the file.
  public func text() throws(ScenarioError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      var lines = [try encoder.encode(header)]
      for seen in states { lines.append(try encoder.encode(StateLine(state: seen.state, count: seen.count))) }
      for (index, seen) in states.enumerated() {
        for step in seen.witness {
          lines.append(try encoder.encode(StepLine(step: step, witness: index + 1)))
        }
      }
      return lines.map { String(decoding: $0, as: UTF8.self) + "\n" }.joined()
    } catch {
      throw Self.error("the log cannot be written: \(error)", header.file, 1)
    }
  }

  private static func checkSchema(_ line: String, _ file: String) throws(ScenarioError) {
    struct Version: Decodable { var schema: Int }
    let found = try decode(Version.self, line, file, 1, expected: "the header of a conformance log").schema
    guard found == currentSchema else {
      throw error("found schema \(found), expected \(currentSchema)", file, 1)
    }
  }

  private static func decode<Line: Decodable>(
    _ type: Line.Type, _ line: String, _ file: String, _ number: Int, expected: String
  ) throws(ScenarioError) -> Line {
    do {
      return try JSONDecoder().decode(type, from: Data(line.utf8))
    } catch let failure as DecodingError {
      throw error("found \(describe(failure)), expected \(expected)", file, number)
    } catch {
      throw Self.error("found \(error), expected \(expected)", file, number)
    }
  }

  private static func describe(_ failure: DecodingError) -> String {
    func path(_ context: DecodingError.Context) -> String {
      context.codingPath.isEmpty ? "" : " in \(context.codingPath.map(\.stringValue).joined(separator: "."))"
    }
    switch failure {
    case .keyNotFound(let key, let context): return "no \"\(key.stringValue)\"\(path(context))"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      return "a value of another kind\(path(context))"
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty
        ? "something that is not JSON" : "a mistake\(path(context)): \(context.debugDescription)"
    @unknown default: return "something that cannot be read"
    }
  }

  private static func error(_ problem: String, _ file: String, _ line: Int) -> ScenarioError {
    ScenarioError(problem, at: SourceLocation(file: file, line: line, column: 1))
  }
}
