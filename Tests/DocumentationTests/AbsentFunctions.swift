import Yams

/// The functions that the engine does not implement, with the reason: `Documentation/absent-functions.yaml`.
struct AbsentFunctions {
  static let path = "Documentation/absent-functions.yaml"

  /// Functions of one file that are absent for one reason.
  struct Group: Decodable {
    let why: String
    let functions: [String]
  }

  /// One file of the kernel.
  struct File: Decodable {
    let file: String
    /// Whether all functions of the file are in the map; else only those that matter for pinned memory are.
    let whole: Bool?
    /// What is said about the file, if anything.
    let note: String?
    let absent: [Group]
  }

  let files: [File]
  private let reasons: [String: [String: String]]

  init(yaml text: String) throws {
    files = try YAMLDecoder().decode([File].self, from: text)
    var reasons: [String: [String: String]] = [:]
    for file in files {
      for group in file.absent {
        for function in group.functions { reasons[file.file, default: [:]][function] = group.why }
      }
    }
    self.reasons = reasons
  }

  /// The files that the map goes through function by function.
  var whole: [String] { files.filter { $0.whole == true }.map(\.file) }

  /// The absent functions of a file.
  func functions(of file: String) -> Set<String> { Set(reasons[file, default: [:]].keys) }

  /// The functions that are named twice for one file.
  var repeated: [String] {
    files.flatMap { file in
      let names = file.absent.flatMap(\.functions)
      return Dictionary(grouping: names) { $0 }.filter { $1.count > 1 }.map { "\(file.file):\($0.key)" }
    }.sorted()
  }
}
