import FoundationEssentials
import HoldfastScenario

/// The recordings and the list of known differences.
enum ConformFolder {
  /// Where they are, seen from the root of the package.
  static let folder = "Conformance"

  /// The file of a scenario's recording.
  static func path(of scenario: String) -> String { "\(folder)/\(scenario).jsonl" }

  /// The names of the scenarios that have a recording, in order; none without the folder.
  static func recorded() throws(Failure) -> [String] {
    guard FileManager.default.fileExists(atPath: folder) else { return [] }
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder)
        .filter { $0.hasSuffix(".jsonl") && !$0.hasPrefix(".") }.map { String($0.dropLast(".jsonl".count)) }
        .sorted()
    } catch {
      throw .badInput("\(folder): cannot list the recordings: \(error)")
    }
  }

  /// The recording of a scenario.
  static func load(_ name: String) throws(Failure) -> ConformanceLog {
    let path = path(of: name)
    guard FileManager.default.fileExists(atPath: path) else {
      throw .badInput("there is no recording \(path); 'holdfast conform --record \(name)' makes one")
    }
    let log: ConformanceLog
    do throws(ScenarioError) {
      log = try ConformanceLog.load(path: path)
    } catch {
      throw Failure(error)
    }
    guard log.header.scenario == name else {
      throw .badInput("\(path):1: found a log of \"\(log.header.scenario)\", expected one of \"\(name)\"")
    }
    return log
  }

  /// Writes a recording in place of an older one.
  static func write(_ log: ConformanceLog) throws(Failure) {
    let path = path(of: log.header.scenario)
    let text: String
    do throws(ScenarioError) {
      text = try log.text()
    } catch {
      throw .internalError(error.description)
    }
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw .unwritten("cannot write the recording to \(path): \(error)")
    }
  }

  /// The known differences; none without the file.
  static func differences() throws(Failure) -> [KnownDifference] {
    let path = "\(folder)/differences.yaml"
    guard FileManager.default.fileExists(atPath: path) else { return [] }
    do throws(ScenarioError) {
      return try KnownDifference.load(path: path)
    } catch {
      throw Failure(error)
    }
  }
}
