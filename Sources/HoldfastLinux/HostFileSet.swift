import SystemPackage

extension String {
  static let zoneinfo = "proc/zoneinfo"
  static let buddyinfo = "proc/buddyinfo"
  static let pagetypeinfo = "proc/pagetypeinfo"
  static let meminfo = "proc/meminfo"
  static let vmstat = "proc/vmstat"
  static let version = "proc/version"
  static let memory = "sys/devices/system/memory"
  static let blockSize = "sys/devices/system/memory/block_size_bytes"
  static let node = "sys/devices/system/node"
  static let captured = "captured"
}

/// The texts of a host's files, each read once, so that what is saved is what was checked.
struct HostFileSet {
  let source: HostFiles
  /// Texts by relative path.
  var texts: [String: String] = [:]
  /// The indices of the memory blocks, ascending.
  var blocks: [Int] = []
  /// The nodes of each memory block, by its index.
  var nodes: [Int: [Int]] = [:]
  /// Why optional files were not read.
  var missing: [HostReadError] = []

  init(reading source: HostFiles) throws(HostReadError) {
    self.source = source
    if case .directory(let root) = source {
      do throws(HostReadError) {
        _ = try HostFiles.names(at: root)
      } catch {
        throw HostReadError(
          file: root, found: error.found, expected: "a directory that 'holdfast snapshot' has written",
          errno: error.errno)
      }
    }
    for path in [String.zoneinfo, .blockSize] { texts[path] = try source.text(of: path) }
    for path in [String.buddyinfo, .pagetypeinfo, .meminfo, .vmstat, .version] { try readIfPresent(path) }
    if case .directory = source { try readIfPresent(.captured, isExpected: false) }
    blocks = try Self.numbers(in: .memory, after: "memory", source)
    for index in blocks {
      for file in ["state", "phys_index"] {
        texts[Self.block(index, file)] = try source.text(of: Self.block(index, file))
      }
      for file in ["valid_zones", "removable"] {
        try readIfPresent(Self.block(index, file), isExpected: false)
      }
    }
    try readNodes()
  }

  /// The relative path of a file of a memory block.
  static func block(_ index: Int, _ file: String) -> String { "\(String.memory)/memory\(index)/\(file)" }

  /// The path of a file, for messages.
  func path(_ relative: String) -> String { source.path(of: relative) }

  /// The text of a file that was read successfully.
  func required(_ relative: String) throws(HostReadError) -> String {
    guard let text = texts[relative] else {
      throw HostReadError(
        file: path(relative), errno: .noSuchFileOrDirectory, expected: "a readable file")
    }
    return text
  }

  /// The third word of /proc/version.
  var kernelRelease: String? {
    guard let words = texts[.version]?.split(separator: " ", maxSplits: 3), words.count > 2 else {
      return nil
    }
    return String(words[2])
  }

  /// The page size of the host that the files are from: this one's, or what the copy says.
  ///
  /// A copy made by hand says nothing; then it is 4096, as on most machines.
  func pageSize() throws(HostReadError) -> Int {
    if source == .live { return HostFiles.pageSize }
    guard let text = texts[.captured] else { return 4096 }
    let lines = try HostText(text, file: path(.captured))
    for line in lines.lines where line.text.hasPrefix("page size:") {
      let words = line.words
      guard words.count == 3 else { throw line.unexpected(expected: "'page size: BYTES'") }
      let bytes = try line.number(words[2], "the page size", below: 1 << 22)
      guard bytes >= 4096, bytes & (bytes - 1) == 0 else {
        throw line.error(
          found: "a page size of \(bytes) bytes", expected: "a power of two of at least 4096")
      }
      return bytes
    }
    throw lines.ends(before: "'page size: BYTES'")
  }

  private mutating func readIfPresent(_ relative: String, isExpected: Bool = true) throws(HostReadError) {
    do throws(HostReadError) {
      texts[relative] = try source.text(of: relative)
    } catch {
      guard error.isUnavailable else { throw error }
      if isExpected { missing.append(error) }
    }
  }

  private mutating func readNodes() throws(HostReadError) {
    do throws(HostReadError) {
      for node in try Self.numbers(in: .node, after: "node", source) {
        for index in try Self.numbers(in: "\(String.node)/node\(node)", after: "memory", source) {
          nodes[index, default: []].append(node)
        }
      }
    } catch {
      guard error.isUnavailable else { throw error }
      missing.append(error)
    }
  }

  /// The numbers N of the entries of a directory that are called `prefixN`, ascending.
  private static func numbers(
    in directory: String, after prefix: String, _ source: HostFiles
  ) throws(HostReadError) -> [Int] {
    var numbers: [Int] = []
    for name in try source.names(in: directory) where name.hasPrefix(prefix) {
      let digits = name.dropFirst(prefix.count)
      guard !digits.isEmpty, digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
      else { continue }
      guard let number = Int(digits), number < frameLimit, String(number) == digits else {
        throw HostReadError(
          file: source.path(of: directory), found: quoted(Substring(name)),
          expected: "\(prefix)N with a number below \(frameLimit)", errno: .outOfRange)
      }
      numbers.append(number)
    }
    return numbers.sorted()
  }
}
