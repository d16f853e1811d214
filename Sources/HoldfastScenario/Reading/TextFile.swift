import Glibc

/// Reads whole text files of bounded size, with messages that name the file.
enum TextFile {
  /// The text of a file; `what` is what messages call it, as in "cannot open the scenario".
  static func read(path: String, what: String, limit: Int) throws(ScenarioError) -> String {
    let start = SourceLocation(file: path, line: 1, column: 1)
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw ScenarioError("cannot open the \(what): \(String(cString: strerror(errno)))", at: start)
    }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    while bytes.count <= limit {
      let chunk = min(1 << 20, limit + 1 - bytes.count)
      var got = 0
      let piece = [UInt8](unsafeUninitializedCapacity: chunk) { buffer, count in
        repeat { got = Glibc.read(descriptor, buffer.baseAddress, chunk) } while got < 0 && errno == EINTR
        count = max(got, 0)
      }
      guard got >= 0 else {
        throw ScenarioError("cannot read the \(what): \(String(cString: strerror(errno)))", at: start)
      }
      if got == 0 { break }
      bytes += piece
    }
    guard bytes.count <= limit else {
      throw ScenarioError("a \(what) has at most \(limit >> 20) MiB of text", at: start)
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let line = 1 + bytes[..<firstInvalid(bytes[...])].count { $0 == 0x0a }
      throw ScenarioError(
        "a \(what) is UTF-8 text; found other bytes", at: SourceLocation(file: path, line: line, column: 1))
    }
    return text
  }

  /// The index of the first line that is not valid.
  private static func firstInvalid(_ bytes: ArraySlice<UInt8>) -> Int {
    var low = bytes.startIndex
    for line in bytes.split(separator: 0x0a, omittingEmptySubsequences: false) {
      if String(validating: line, as: UTF8.self) == nil { break }
      low = min(line.endIndex + 1, bytes.endIndex)
    }
    return low
  }
}
