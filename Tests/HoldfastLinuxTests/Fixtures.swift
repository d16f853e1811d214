import Foundation
import HoldfastLinux

/// The saved hosts of the package.
enum Saved: String, CaseIterable, Sendable {
  case firecracker = "firecracker-24g"
  case qemu = "qemu-movable"

  var path: String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Snapshots/\(rawValue)").path
  }

  var files: HostFiles { .directory(path) }

  func text(_ relative: String) throws -> String { try files.text(of: relative) }
}

/// A directory that is gone when the test is over.
func withScratchDirectory<T>(_ body: (String) throws -> T) throws -> T {
  let url = FileManager.default.temporaryDirectory.appending(path: "holdfast-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: url) }
  return try body(url.path)
}

/// The error of an operation that must fail.
func readError(_ body: () throws -> Void) -> HostReadError? {
  do { try body() } catch { return error as? HostReadError }
  return nil
}

/// Every regular file and link below a directory, with its text or its target.
func tree(_ root: String) throws -> [String: String] {
  var result: [String: String] = [:]
  for path in try FileManager.default.subpathsOfDirectory(atPath: root) {
    let full = "\(root)/\(path)"
    if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: full) {
      result[path] = "-> \(target)"
    } else if let text = try? String(contentsOfFile: full, encoding: .utf8) {
      result[path] = text
    }
  }
  return result
}

extension String {
  /// With the first occurrence after `anchor` replaced; the text itself, if there is none, fails the test.
  func replacing(_ old: String, with new: String, after anchor: String) -> String {
    guard let start = range(of: anchor)?.upperBound,
      let place = range(of: old, range: start..<endIndex)
    else { return self }
    return replacingCharacters(in: place, with: new)
  }
}
