import SystemPackage

/// Readers of the files that are a name and a number per line.
public enum HostCounters {
  /// The counters in the text of /proc/vmstat by name.
  public static func parse(vmstat text: String, file: String) throws(HostReadError) -> [String: UInt64] {
    let text = try HostText(text, file: file)
    var values: [String: UInt64] = [:]
    for line in text.lines {
      let words = line.words
      guard words.count == 2, isName(words[0]) else { throw line.unexpected(expected: "'NAME NUMBER'") }
      let value = try line.number(words[1], String(words[0]))
      try insert(words[0], value, into: &values, line)
    }
    return values
  }

  /// The sizes in the text of /proc/meminfo by name, in KiB; the few entries without a unit are counts.
  public static func parse(meminfo text: String, file: String) throws(HostReadError) -> [String: UInt64] {
    let text = try HostText(text, file: file)
    var values: [String: UInt64] = [:]
    for line in text.lines {
      let words = line.words
      guard words.count == 2 || (words.count == 3 && words[2] == "kB"), words[0].hasSuffix(":"),
        isName(words[0].dropLast())
      else { throw line.unexpected(expected: "'NAME: NUMBER kB'") }
      try insert(words[0].dropLast(), try line.kibibytes(words), into: &values, line)
    }
    return values
  }

  private static func insert(
    _ name: Substring, _ value: UInt64, into values: inout [String: UInt64], _ line: HostLine
  ) throws(HostReadError) {
    guard values.updateValue(value, forKey: String(name)) == nil else {
      throw line.error(found: "a second '\(name)'", expected: "each name once")
    }
  }
}

extension HostLine {
  /// The number of a `NAME: NUMBER kB` line; as bytes it is still below 2^64.
  func kibibytes(_ words: [Substring]) throws(HostReadError) -> UInt64 {
    let value = try number(words[1], String(words[0].dropLast()))
    guard value <= UInt64.max >> 10 else {
      throw error(found: quoted(words[1]), expected: "at most 2^54 kB", errno: .outOfRange)
    }
    return value
  }
}
