import Glibc
import SystemPackage

/// One more than the largest frame number that 52 physical address bits allow.
///
/// No machine has a page count above it. The bound also keeps every sum of a few counts far from overflow.
let frameLimit = 1 << 40

/// A file cut into lines, each with its number.
struct HostText {
  let file: String
  let lines: [HostLine]

  /// Refuses a file without a final newline: every line of the kernel ends in one, so it was cut off.
  init(_ text: String, file: String, mayBeEmpty: Bool = false) throws(HostReadError) {
    self.file = file
    if text.isEmpty {
      guard mayBeEmpty else {
        throw HostReadError(
          file: file, found: "an empty file", expected: "text of the kernel", errno: truncated)
      }
      lines = []
      return
    }
    var parts = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    let rest = parts.removeLast()
    lines = parts.enumerated().map {
      HostLine(file: file, number: $0.offset + 1, text: Substring($0.element))
    }
    guard rest.isEmpty else {
      throw HostReadError(
        file: file, line: lines.count + 1, found: "the end of the file after \(quoted(Substring(rest)))",
        expected: "a whole line (the file is truncated)", errno: truncated)
    }
  }

  /// An error for a file that stops too early.
  func ends(before expected: String) -> HostReadError {
    HostReadError(
      file: file, line: lines.count + 1, found: "the end of the file",
      expected: "\(expected) (the file is truncated)", errno: truncated)
  }
}

/// A line of a host file.
struct HostLine {
  let file: String
  let number: Int
  let text: Substring

  /// The parts between spaces, tabs and carriage returns.
  var words: [Substring] {
    text.utf8.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
      .map { Substring($0) }
  }

  func error(found: String, expected: String, errno: Errno = .invalidArgument) -> HostReadError {
    HostReadError(file: file, line: number, found: found, expected: expected, errno: errno)
  }

  /// An error about the line as a whole.
  func unexpected(expected: String) -> HostReadError {
    error(found: quoted(text), expected: expected)
  }

  /// A number in the given base, below 2^64.
  func number(_ word: Substring, _ what: String, radix: Int = 10) throws(HostReadError) -> UInt64 {
    let base = radix == 16 ? "hexadecimal" : "decimal"
    let digits = word.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "a")...UInt8(ascii: "f"): radix == 16
      default: false
      }
    }
    guard digits, !word.isEmpty else {
      throw error(found: quoted(word), expected: "a \(base) number for \(what)")
    }
    guard let value = UInt64(word, radix: radix) else {
      throw error(found: quoted(word), expected: "a number below 2^64 for \(what)", errno: .outOfRange)
    }
    return value
  }

  /// A number of pages that a machine can have.
  func pages(_ word: Substring, _ what: String) throws(HostReadError) -> Int {
    try number(word, what, below: frameLimit, radix: 10)
  }

  /// A number below a limit that makes sense for what it counts.
  func number(
    _ word: Substring, _ what: String, below limit: Int, radix: Int = 10
  ) throws(HostReadError) -> Int {
    let value = try number(word, what, radix: radix)
    guard let small = Int(exactly: value), small < limit else {
      throw error(found: quoted(word), expected: "a number below \(limit) for \(what)", errno: .outOfRange)
    }
    return small
  }

  /// The start of a row of zoneinfo, buddyinfo or pagetypeinfo: `Node N, zone NAME`.
  func nodeAndZone(_ words: [Substring]) throws(HostReadError) -> (node: Int, zone: String) {
    guard words.count >= 4, words[0] == "Node", words[1].hasSuffix(","), words[2] == "zone" else {
      throw unexpected(expected: "'Node N, zone NAME'")
    }
    let zone = words[3].hasSuffix(",") ? words[3].dropLast() : words[3]
    guard isName(zone) else { throw error(found: quoted(words[3]), expected: "the name of a zone") }
    return (try number(words[1].dropLast(), "the node", below: 1 << 16), String(zone))
  }
}

/// The errno of a file that stops too early.
let truncated = Errno(rawValue: ENODATA)

/// Whether a word can name a counter: letters, digits, `_`, and the parentheses of meminfo.
func isName(_ word: Substring) -> Bool {
  guard let first = word.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
    return false
  }
  return word.unicodeScalars.allSatisfy { scalar in
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "_", "(", ")": true
    default: false
    }
  }
}

/// Text of a file in an error message: short, on one line, in quotation marks.
func quoted(_ text: Substring) -> String {
  let trimmed = text.drop { $0 == " " }
  let shown = trimmed.prefix(60).unicodeScalars.map { $0.value < 32 ? "?" : String($0) }.joined()
  return "'\(shown)\(trimmed.count > 60 ? "..." : "")'"
}
