import FoundationEssentials
import HoldfastScenario

/// Finds scenario files.
enum ScenarioFiles {
  /// Where the shipped scenarios are, seen from the root of the package.
  static let folder = "Scenarios"
  /// Where the shipped experiments are.
  static let experiments = "Experiments"

  /// Scenarios are not nested deeper; the limit bounds the cost of a link to a folder further up.
  private static let deepest = 8

  /// Loads the scenario at a path, or the shipped one of that name.
  static func load(_ word: String) throws(Failure) -> Scenario {
    let path = try path(of: word, "scenario", below: folder)
    do throws(ScenarioError) {
      return try Scenario.load(path: path)
    } catch {
      throw Failure(error)
    }
  }

  /// The YAML files below a folder, in order.
  static func list(below root: String) throws(Failure) -> [String] {
    do {
      return try files(in: root, depth: 0).sorted()
    } catch {
      throw .badInput("\(root): found \(reason(error)), expected a folder with YAML files")
    }
  }

  /// The path of an experiment's file, or of the shipped one of that name.
  static func path(ofExperiment word: String) throws(Failure) -> String {
    try path(of: word, "experiment", below: experiments)
  }

  private static func path(of word: String, _ what: String, below folder: String) throws(Failure) -> String {
    var isFolder = false
    let exists = FileManager.default.fileExists(atPath: word, isDirectory: &isFolder)
    let isPath = word.contains("/") || word.hasSuffix(".yaml")
    if isPath || (exists && !isFolder) { return word }

    let shipped = (try? files(in: folder, depth: 0)) ?? []
    let found = shipped.filter { name(of: $0) == word }.sorted()
    switch found.count {
    case 1: return found[0]
    case 0:
      let names = Set(shipped.map(name)).sorted()
      if names.isEmpty {
        throw .badInput(
          "no \(what) \"\(word)\": no such file, and there is no \(folder)/ here to look it up in")
      }
      throw .badInput(Failure.unknown(what, word, allowed: names))
    default:
      throw .badInput("\"\(word)\" names several \(what)s: \(found.joined(separator: ", "))")
    }
  }

  private static func name(of path: String) -> String {
    let file = path.split(separator: "/").last ?? ""
    return String(file.dropLast(".yaml".count))
  }

  private static func files(in folder: String, depth: Int) throws -> [String] {
    var result: [String] = []
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) where !name.hasPrefix(".") {
      let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
      var isFolder = false
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { continue }
      if isFolder {
        if depth < deepest { result += try files(in: path, depth: depth + 1) }
      } else if name.hasSuffix(".yaml") {
        result.append(path)
      }
    }
    return result
  }

  private static func reason(_ error: any Error) -> String {
    switch (error as? CocoaError)?.code {
    case .fileReadNoSuchFile?, .fileNoSuchFile?: "nothing"
    case .fileReadNoPermission?: "a folder that this user may not read"
    case .fileReadUnknown?: "something that cannot be listed"
    default: "\(error)"
    }
  }
}
