import Foundation

/// The files of the repository that the tests read.
enum Repository {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// One file, with its path from the root of the repository.
  struct File {
    let path: String
    let text: String
  }

  /// The files below a folder whose name ends so, in the order of their paths.
  ///
  /// The folders of the explored twins are symbolic links, which are not followed: each file is read once.
  static func files(in folder: String, ending: String) throws -> [File] {
    let start = root.appending(path: folder)
    guard
      let found = FileManager.default.enumerator(
        at: start, includingPropertiesForKeys: [.isRegularFileKey], options: [.skipsHiddenFiles])
    else { throw CocoaError(.fileReadNoSuchFile) }
    var files: [File] = []
    for case let url as URL in found where url.path.hasSuffix(ending) {
      guard try url.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true else { continue }
      files.append(try file(folder + url.path.dropFirst(start.path.count)))
    }
    return files.sorted { $0.path < $1.path }
  }

  /// The paths of all files and folders but hidden ones; symbolic links are not followed.
  static func paths() throws -> [String] {
    guard
      let found = FileManager.default.enumerator(
        at: root, includingPropertiesForKeys: [], options: [.skipsHiddenFiles])
    else { throw CocoaError(.fileReadNoSuchFile) }
    return found.compactMap { ($0 as? URL)?.path.dropFirst(root.path.count + 1) }.map(String.init)
  }

  static func file(_ path: String) throws -> File {
    File(path: path, text: try String(contentsOf: root.appending(path: path), encoding: .utf8))
  }

  static func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: root.appending(path: path).path)
  }
}

extension Repository.File {
  /// The lines, each with its number from 1 on.
  var lines: [(number: Int, text: Substring)] {
    text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().map { ($0 + 1, $1) }
  }

  /// The text of the comments of a Swift file: runs of lines that begin with slashes, without the slashes.
  var comments: [CommentBlock] {
    var found: [CommentBlock] = []
    var isOpen = false
    for (number, line) in lines {
      let code = line.drop { $0 == " " }
      guard code.hasPrefix("//") else {
        isOpen = false
        continue
      }
      let text = code.drop { $0 == "/" }
      if isOpen {
        found[found.count - 1].lines.append(text)
      } else {
        found.append(CommentBlock(first: number, lines: [text]))
        isOpen = true
      }
    }
    return found
  }
}

/// Lines of a comment that follow each other.
struct CommentBlock {
  /// The number of the first line.
  let first: Int
  var lines: [Substring]
  /// All of it as one line.
  var text: String { lines.map { $0.drop { $0 == " " } }.joined(separator: " ") }
  /// The number of the line after the last.
  var end: Int { first + lines.count }
}
