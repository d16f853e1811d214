public import HoldfastScenario
import SystemPackage

/// A memory block of a host: the unit in which memory goes online and offline.
public struct HostMemoryBlock: Sendable, Hashable {
  /// The N of `memoryN`; the block starts at N times the block size.
  public var index: Int
  /// Its state.
  public var state: BlockState
  /// Online: the one zone it is in; else the zones it can go to; empty: none, or the kernel does not say.
  public var validZones: [String]
  /// What the file `phys_index` says: the same as `index`.
  public var physIndex: Int
  /// Whether the kernel can remove memory at all (before 5.8: this block); nil if it does not say.
  public var isRemovable: Bool?
  /// The nodes that have memory in it, usually one; empty on a kernel without nodes.
  public var nodes: [Int]

  /// A block.
  public init(
    index: Int, state: BlockState, validZones: [String], physIndex: Int, isRemovable: Bool?, nodes: [Int]
  ) {
    self.index = index
    self.state = state
    self.validZones = validZones
    self.physIndex = physIndex
    self.isRemovable = isRemovable
    self.nodes = nodes
  }

  /// The node, if it is exactly one.
  public var node: Int? { nodes.count == 1 ? nodes[0] : nil }

  /// The name of the zone that the block is in, if it is online and in a single one.
  public var zoneName: String? { state == .online && validZones.count == 1 ? validZones[0] : nil }
}

extension HostMemoryBlock {
  /// The block size in bytes that the text of `block_size_bytes` says: hexadecimal, a power of two.
  public static func parse(blockSize text: String, file: String, pageSize: Int) throws(HostReadError) -> Int {
    let (line, word) = try onlyWord(of: text, file: file)
    let bytes = try line.number(word, "the block size", below: 1 << 52, radix: 16)
    guard bytes >= pageSize, bytes & (bytes - 1) == 0 else {
      throw line.error(
        found: "a block size of \(bytes) bytes",
        expected: "a power of two of at least a page (\(pageSize) bytes)")
    }
    return bytes
  }

  /// What the text of `memoryN/state` says.
  public static func parse(state text: String, file: String) throws(HostReadError) -> BlockState {
    let (line, word) = try onlyWord(of: text, file: file)
    // The kernel says nothing of a block that is absent.
    guard let state = BlockState(rawValue: String(word)), state != .absent else {
      let names = BlockState.allCases.filter { $0 != .absent }.map { "'\($0.rawValue)'" }
        .joined(separator: ", ")
      throw line.error(found: quoted(word), expected: "one of \(names)")
    }
    return state
  }

  /// The zone names in the text of `memoryN/valid_zones`; `none` is an empty list.
  public static func parse(validZones text: String, file: String) throws(HostReadError) -> [String] {
    let text = try HostText(text, file: file)
    guard text.lines.count == 1, let line = text.lines.first else {
      throw HostReadError(
        file: file, found: "\(text.lines.count) lines", expected: "one line", errno: .invalidArgument)
    }
    let words = line.words
    if words == ["none"] { return [] }
    guard !words.isEmpty, words.allSatisfy(isName) else {
      throw line.unexpected(expected: "names of zones, or 'none'")
    }
    return words.map(String.init)
  }

  /// What the text of `memoryN/phys_index` says: hexadecimal, the index of the block.
  public static func parse(physIndex text: String, file: String, index: Int) throws(HostReadError) -> Int {
    let (line, word) = try onlyWord(of: text, file: file)
    let value = try line.number(word, "the physical index", below: frameLimit, radix: 16)
    guard value == index else {
      throw line.error(found: "index \(value)", expected: "\(index), as in the name of the directory")
    }
    return value
  }

  /// What the text of `memoryN/removable` says: 0 or 1.
  public static func parse(removable text: String, file: String) throws(HostReadError) -> Bool {
    let (line, word) = try onlyWord(of: text, file: file)
    return try line.number(word, "removable", below: 2) == 1
  }

  private static func onlyWord(
    of text: String, file: String
  ) throws(HostReadError) -> (HostLine, Substring) {
    let text = try HostText(text, file: file)
    guard text.lines.count == 1, let line = text.lines.first else {
      throw HostReadError(
        file: file, found: "\(text.lines.count) lines", expected: "one line", errno: .invalidArgument)
    }
    let words = line.words
    guard words.count == 1 else { throw line.unexpected(expected: "one word") }
    return (line, words[0])
  }
}
