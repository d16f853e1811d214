import Foundation
import Synchronization

/// The source of Linux 6.1, where it is installed: to see that what we cite is there.
///
/// An unpacked tree is named by the environment's `HOLDFAST_KERNEL_SOURCE`; else Debian's package linux-source-6.1 is
/// used, of whose archive the files in question are unpacked once, into `.build-kernel`.
struct KernelSource {
  static let version = "6.1"

  private static let archive = "/usr/src/linux-source-6.1.tar.xz"
  private static let given = ProcessInfo.processInfo.environment["HOLDFAST_KERNEL_SOURCE"]
  // Suites run beside each other: one unpacks, and the others wait for it.
  private static let unpacking = Mutex(())
  private let root: URL

  static var isInstalled: Bool { given != nil || FileManager.default.fileExists(atPath: archive) }

  /// The source, with those files unpacked.
  init(unpacking files: Set<String>) throws {
    if let given = Self.given {
      root = URL(filePath: given)
      return
    }
    root = Repository.root.appending(path: ".build-kernel")
    try Self.unpacking.withLock { [root] _ in try Self.prepare(files, in: root) }
  }

  /// Makes sure that the folder has those files, of the archive as it is now.
  private static func prepare(_ files: Set<String>, in root: URL) throws {
    let stamp = root.appending(path: "archive")
    let attributes = try FileManager.default.attributesOfItem(atPath: archive)
    let identity = "\(attributes[.size] ?? 0) \(attributes[.modificationDate] ?? Date.distantPast)"
    if (try? String(contentsOf: stamp, encoding: .utf8)) != identity {
      try? FileManager.default.removeItem(at: root)
      try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    }
    let missing = files.filter { !FileManager.default.fileExists(atPath: root.appending(path: $0).path) }
    if !missing.isEmpty { try unpack(missing.sorted(), to: root) }
    try identity.write(to: stamp, atomically: true, encoding: .utf8)
  }

  /// Unpacks files of the archive; those that it does not have stay missing.
  private static func unpack(_ files: [String], to root: URL) throws {
    let tar = Foundation.Process()
    tar.executableURL = URL(filePath: "/usr/bin/env")
    tar.arguments =
      ["tar", "-xf", archive, "-C", root.path, "--strip-components=1", "--occurrence=1"]
      + files.map { "linux-source-6.1/" + $0 }
    tar.standardError = FileHandle.nullDevice
    try tar.run()
    tar.waitUntilExit()
  }

  /// The names that a file defines, or nil if the kernel has no such file.
  func definitions(in file: String) -> Definitions? {
    guard let bytes = try? Data(contentsOf: root.appending(path: file)) else { return nil }
    return Definitions(Array(bytes))
  }
}

/// The names that a file of C defines.
struct Definitions {
  /// Functions and system calls.
  private(set) var functions: Set<String> = []
  /// Macros, structures and enumerations.
  private(set) var others: Set<String> = []

  /// Reads a file.
  ///
  /// A definition begins in the first column, and its head goes on up to the brace that opens the body.
  init(_ text: [UInt8]) {
    let define = Array("#define ".utf8)
    var head: [UInt8] = []
    for line in text.split(separator: UInt8(ascii: "\n")) {
      let first = line[line.startIndex]
      if line.starts(with: define) {
        others.insert(Self.text(line.dropFirst(define.count).prefix(while: Self.isWord)))
      }
      // The type may stand on a line of its own before the name.
      if Self.isWord(first), head.contains(UInt8(ascii: "(")) { head = [] }
      let isLabel = line.last == UInt8(ascii: ":")
      if isLabel || !Self.isWord(first) && (head.isEmpty || [35, 47, 125].contains(first)) {
        // A directive, a comment, the end of a body, or a place in one.
        head = []
        continue
      }
      let end = line.firstIndex { [UInt8(ascii: "{"), UInt8(ascii: ";"), UInt8(ascii: "=")].contains($0) }
      head += line[..<(end ?? line.endIndex)]
      head.append(UInt8(ascii: " "))
      guard let end else { continue }
      if line[end] == UInt8(ascii: "{") {
        let words = head.split(separator: UInt8(ascii: " ")).map(Self.text)
        if words.count == 2, ["struct", "enum", "union"].contains(words[0]) { others.insert(words[1]) }
        if let name = Self.name(in: head) { functions.insert(name) }
      }
      head = []
    }
  }

  /// The function whose head this is: the last word before a parenthesis that is not an attribute's.
  private static func name(in head: [UInt8]) -> String? {
    let attributes = ["__acquires", "__releases", "__must_hold", "__printf", "__attribute__"]
    var name: String?
    var parameters: [UInt8] = []
    var word: [UInt8] = []
    var isWordOver = false
    var depth = 0
    for byte in head {
      if depth == 1 { parameters.append(byte) }
      switch byte {
      case UInt8(ascii: "("):
        let before = text(word[...])
        if depth == 0, !word.isEmpty, !attributes.contains(before) {
          name = before
          parameters = []
        }
        depth += 1
      case UInt8(ascii: ")"): depth -= 1
      default:
        guard depth == 0 else { continue }
        if isWord(byte) {
          if isWordOver { word = [] }
          word.append(byte)
        }
        isWordOver = !isWord(byte)
      }
    }
    // A system call has its name as the first parameter of a macro.
    guard let name else { return nil }
    if name.contains("SYSCALL_DEFINE") { return text(parameters.prefix(while: isWord)) }
    // What has no type before it is a statement in the body of a macro.
    return head.starts(with: Array(name.utf8)) ? nil : name
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    byte == 95 || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}
