/// Which functions of the kernel the engine implements, from the lines `- Kernel:` of its comments and the list of absent
/// functions.
struct FunctionMap {
  /// A declaration that implements a function.
  struct Implementation: Hashable {
    let file: String
    let declaration: String
    /// What it leaves out, if it is not faithful.
    let without: String?
  }

  /// One function of the kernel.
  struct Entry {
    let citation: Citation
    var implementations: [Implementation]
    var isFaithful: Bool { implementations.allSatisfy { $0.without == nil } }
  }

  private(set) var entries: [Citation: Entry] = [:]
  /// Lines `- Kernel:` that could not be read, with their places.
  private(set) var mistakes: [String] = []
  let absent: AbsentFunctions

  /// Reads the sources and the list of absent functions.
  init(sources: [Repository.File], absent: AbsentFunctions) {
    self.absent = absent
    for file in sources {
      for comment in file.comments where comment.lines.contains(where: { $0.contains(Self.mark) }) {
        add(comment, of: file)
      }
    }
  }

  /// The files of the kernel that the map is about, those that it goes through function by function first.
  var files: [String] {
    let others = Set(entries.keys.map(\.file)).union(absent.files.map(\.file)).subtracting(absent.whole)
    return absent.whole + others.sorted()
  }

  /// The functions of a file that are implemented, by name.
  func entries(of file: String) -> [Entry] {
    entries.values.filter { $0.citation.file == file }.sorted {
      let (one, other) = ($0.citation, $1.citation)
      return (Self.key(one), one.function, one.version) < (Self.key(other), other.function, other.version)
    }
  }

  /// Where a function stands in a list: by its name without the underscores in front.
  private static func key(_ citation: Citation) -> Substring { citation.function.drop { $0 == "_" } }

  // MARK: - Reading

  private static let mark = "- Kernel:"

  private mutating func add(_ comment: CommentBlock, of file: Repository.File) {
    let declaration = Declaration.name(after: comment.end, in: file)
    for item in Self.items(of: comment) {
      let (good, bad) = Citation.find(in: item)
      guard bad.isEmpty, let citation = good.first, let declaration else {
        mistakes.append("\(file.path):\(comment.first): \(item)")
        continue
      }
      let implementation = Implementation(
        file: file.path, declaration: declaration, without: Self.omission(in: item, of: citation))
      entries[citation, default: Entry(citation: citation, implementations: [])].implementations
        .append(implementation)
    }
  }

  /// The list items of a comment that name a function: each goes on over indented lines.
  private static func items(of comment: CommentBlock) -> [String] {
    var items: [String] = []
    var isOpen = false
    for line in comment.lines {
      let text = line.drop { $0 == " " }
      if text.hasPrefix(mark) {
        items.append(String(text.dropFirst(mark.count)))
        isOpen = true
      } else if isOpen, line.hasPrefix("   "), !text.hasPrefix("- ") {
        items[items.count - 1] += " " + text
      } else {
        isOpen = false
      }
    }
    return items
  }

  /// What stands behind the citation, if anything does: the words after `; without`, or all of them.
  private static func omission(in item: String, of citation: Citation) -> String? {
    guard let end = item.firstRange(of: "(\(citation.version))")?.upperBound else { return nil }
    var text = item[end...].drop { $0 == " " || $0 == ";" }
    while let last = text.last, last == "." || last == " " { text.removeLast() }
    let without = "without "
    if text.hasPrefix(without) { text = text.dropFirst(without.count) }
    return text.isEmpty ? nil : String(text)
  }
}

/// Names of declarations.
enum Declaration {
  private static let words = [
    "func", "var", "let", "init", "struct", "class", "enum", "extension", "case", "subscript", "protocol",
    "typealias",
  ]
  private static let types = ["struct", "class", "enum", "extension", "protocol"]

  /// The declaration that begins at a line, with the type that it belongs to: `Machine.offline`.
  static func name(after line: Int, in file: Repository.File) -> String? {
    let lines = file.text.split(separator: "\n", omittingEmptySubsequences: false)
    guard
      let at = lines.indices.first(where: { $0 >= line - 1 && !lines[$0].drop { $0 == " " }.hasPrefix("@") }),
      let name = ownName(lines[at])
    else { return nil }
    let depth = indentation(lines[at])
    let owner = lines[..<at].last { indentation($0) < depth && isType($0) }
    guard let owner, let ownerName = ownName(owner) else { return name }
    return "\(ownerName).\(name)"
  }

  private static func indentation(_ line: Substring) -> Int { line.prefix { $0 == " " }.count }

  private static func isType(_ line: Substring) -> Bool {
    line.split(separator: " ").prefix(4).contains { types.contains(String($0)) }
  }

  private static func ownName(_ line: Substring) -> String? {
    let parts = line.split(separator: " ")
    guard let keyword = parts.firstIndex(where: { words.contains(String($0.prefix(while: isLetter))) }) else {
      return nil
    }
    let word = String(parts[keyword].prefix(while: isLetter))
    if word == "init" || word == "subscript" { return word }
    guard keyword + 1 < parts.count else { return nil }
    return String(parts[keyword + 1].prefix { isLetter($0) || $0.isNumber || $0 == "_" || $0 == "." })
  }

  private static func isLetter(_ letter: Character) -> Bool { letter.isLetter }
}
