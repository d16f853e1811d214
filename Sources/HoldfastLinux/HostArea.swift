import SystemPackage

/// An area of a process's address space, as /proc/PID/smaps shows it.
public struct HostArea: Sendable, Hashable {
  /// What the process may do with it.
  public struct Permissions: OptionSet, Sendable, Hashable, CustomStringConvertible {
    /// The bits.
    public let rawValue: UInt8
    /// A set from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// `r`.
    public static let read = Permissions(rawValue: 1)
    /// `w`.
    public static let write = Permissions(rawValue: 2)
    /// `x`.
    public static let execute = Permissions(rawValue: 4)
    /// `s` instead of `p`: every process that maps the same object sees the stores.
    public static let shared = Permissions(rawValue: 8)

    /// The kernel's four letters, such as `rw-p`.
    public var description: String {
      (contains(.read) ? "r" : "-") + (contains(.write) ? "w" : "-") + (contains(.execute) ? "x" : "-")
        + (contains(.shared) ? "s" : "p")
    }

    init?(_ word: Substring) {
      let letters = Array(word.utf8)
      guard letters.count == 4 else { return nil }
      var set: Permissions = []
      for (letter, (yes, no, bit)) in zip(
        letters,
        [("r", "-", .read), ("w", "-", .write), ("x", "-", .execute), ("s", "p", .shared)]
          as [(Unicode.Scalar, Unicode.Scalar, Permissions)])
      {
        if letter == UInt8(ascii: yes) { set.insert(bit) } else if letter != UInt8(ascii: no) { return nil }
      }
      self = set
    }
  }

  /// The first address.
  public var start: UInt64
  /// The address after the last.
  public var end: UInt64
  /// What the process may do.
  public var permissions: Permissions
  /// The offset in the file, in bytes.
  public var offset: UInt64
  /// The file, a name such as `[stack]`, or empty for anonymous memory without one.
  public var path: String
  /// Every `NAME: NUMBER kB` line of the area, in KiB; lines without a unit are plain numbers.
  public var sizes: [String: UInt64] = [:]
  /// The two-letter flags of the `VmFlags` line, such as `mm`, `hg` or `ht`.
  public var flags: [String] = []

  /// Its length in KiB.
  public var kibibytes: UInt64 { (end - start) >> 10 }
  /// Resident, in KiB.
  public var rss: UInt64 { sizes["Rss"] ?? 0 }
  /// Resident and anonymous, in KiB.
  public var anonymous: UInt64 { sizes["Anonymous"] ?? 0 }
  /// Anonymous and mapped by huge entries, in KiB.
  public var anonymousHuge: UInt64 { sizes["AnonHugePages"] ?? 0 }
  /// Shared memory mapped by huge entries, in KiB.
  public var sharedHuge: UInt64 { sizes["ShmemPmdMapped"] ?? 0 }
  /// On swap, in KiB.
  public var swap: UInt64 { sizes["Swap"] ?? 0 }
}

extension HostArea {
  /// The areas in the text of /proc/PID/smaps, in address order; none for a kernel thread.
  public static func parse(smaps text: String, file: String) throws(HostReadError) -> [HostArea] {
    let text = try HostText(text, file: file, mayBeEmpty: true)
    var areas: [HostArea] = []
    var header: HostLine?
    for line in text.lines {
      let words = line.words
      guard let first = words.first else { throw line.unexpected(expected: "a line of /proc/PID/smaps") }
      if !first.hasSuffix(":") {
        if let header { try check(areas[areas.count - 1], header) }
        let area = try parse(header: line, words)
        if let last = areas.last, area.start < last.end {
          throw line.error(found: quoted(first), expected: "a start at or after 0x\(hex(last.end))")
        }
        areas.append(area)
        header = line
      } else if areas.isEmpty {
        throw line.unexpected(expected: "'START-END PERMISSIONS OFFSET DEVICE INODE PATH'")
      } else if first == "VmFlags:" {
        areas[areas.count - 1].flags = words.dropFirst().map(String.init)
      } else {
        guard words.count == 2 || (words.count == 3 && words[2] == "kB") else {
          throw line.unexpected(expected: "'NAME: NUMBER kB'")
        }
        areas[areas.count - 1].sizes[String(first.dropLast())] = try line.kibibytes(words)
      }
    }
    if let header { try check(areas[areas.count - 1], header) }
    return areas
  }

  private static func parse(header line: HostLine, _ words: [Substring]) throws(HostReadError) -> HostArea {
    let bounds = words[0].split(separator: "-", omittingEmptySubsequences: false)
    guard words.count >= 5, bounds.count == 2, let permissions = Permissions(words[1]) else {
      throw line.unexpected(expected: "'START-END PERMISSIONS OFFSET DEVICE INODE PATH'")
    }
    let start = try line.number(bounds[0], "the start", radix: 16)
    let end = try line.number(bounds[1], "the end", radix: 16)
    guard start < end else {
      throw line.error(found: quoted(words[0]), expected: "a start below the end")
    }
    // A path may contain spaces: it is what follows the fifth word, not the sixth word.
    let path = words.count > 5 ? line.text[words[5].startIndex...] : ""
    return HostArea(
      start: start, end: end, permissions: permissions,
      offset: try line.number(words[2], "the offset", radix: 16), path: String(path))
  }

  /// An area whose sizes are missing or contradict its bounds was cut off or made up.
  private static func check(_ area: HostArea, _ header: HostLine) throws(HostReadError) {
    guard let size = area.sizes["Size"], area.sizes["Rss"] != nil else {
      throw header.error(
        found: "an area without 'Size' or 'Rss'", expected: "both (the file is truncated)", errno: truncated)
    }
    guard size == area.kibibytes else {
      throw header.error(
        found: "an area of \(area.kibibytes) kB with 'Size: \(size) kB'", expected: "the same size")
    }
  }

  private static func hex(_ value: UInt64) -> String { String(value, radix: 16) }
}
