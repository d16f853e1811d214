/// The pageblocks of a host and what is free in them by migratetype, as /proc/pagetypeinfo shows them.
public struct HostPageTypes: Sendable, Hashable {
  /// The free chunks of one migratetype in one zone.
  public struct Free: Sendable, Hashable {
    /// The memory node.
    public var node: Int
    /// The zone's name.
    public var zone: String
    /// The migratetype: `Unmovable`, `Movable`, `Reclaimable`, `HighAtomic`, `CMA` or `Isolate`.
    public var type: String
    /// How many free chunks of 2^i pages there are, at index i.
    public var counts: [Int]
    /// The orders whose count is only a lower bound, because the kernel stops counting at 100000.
    public var cappedOrders: Set<Int>
  }

  /// The pageblocks of one zone.
  public struct Blocks: Sendable, Hashable {
    /// The memory node.
    public var node: Int
    /// The zone's name.
    public var zone: String
    /// Pageblocks by migratetype.
    public var counts: [String: Int]
  }

  /// The order of a pageblock.
  public var pageblockOrder: Int
  /// The migratetypes in the kernel's order; a kernel without CMA has none of that name.
  public var types: [String]
  /// The free chunks, a row per node, zone and type.
  public var free: [Free]
  /// The pageblocks, a row per node and zone.
  public var blocks: [Blocks]

  /// The pages of a pageblock.
  public var pagesPerBlock: Int { 1 << pageblockOrder }
}

extension HostPageTypes {
  /// What the text of /proc/pagetypeinfo says.
  public static func parse(pagetypeinfo text: String, file: String) throws(HostReadError) -> HostPageTypes {
    let text = try HostText(text, file: file)
    var order: Int?
    var pages: (line: HostLine, count: Int)?
    var result = HostPageTypes(pageblockOrder: 0, types: [], free: [], blocks: [])
    var section = Section.sizes
    for line in text.lines {
      let words = line.words
      // The kernel prints the sizes again for every node.
      let beginsNode = words.count == 4 && line.text.hasPrefix("Page block order:")
      switch (section, words.first) {
      case (_, nil): continue
      case (.sizes, "Page") where beginsNode, (.blocks, "Page") where beginsNode,
        (.mixed, "Page") where beginsNode:
        order = try line.number(words[3], "the page block order", below: 32)
        section = .sizes
      case (.sizes, "Pages") where words.count == 4 && line.text.hasPrefix("Pages per block:"):
        pages = (line, try line.number(words[3], "the pages per block", below: 1 << 32))
      case (.sizes, "Free") where line.text.hasPrefix("Free pages count per migrate type at order"):
        section = .free
      case (.free, "Node"):
        result.free.append(try free(line, words, like: result.free.first))
      case (.free, "Number") where line.text.hasPrefix("Number of blocks type"):
        section = .blocks
        result.types = words.dropFirst(4).map(String.init)
      case (.blocks, "Node"):
        result.blocks.append(try blocks(line, words, result.types))
      case (.blocks, "Number"), (.mixed, "Node"):
        // Kernels with page owners also count pageblocks of mixed use, which are not needed here.
        section = .mixed
      default:
        throw line.unexpected(expected: section.expected)
      }
    }
    guard let order, let pages else { throw text.ends(before: "the size of a page block") }
    guard pages.count == 1 << order else {
      throw pages.line.error(
        found: "\(pages.count) pages per block", expected: "\(1 << order), as the order is \(order)")
    }
    guard !result.free.isEmpty else { throw text.ends(before: Section.free.expected) }
    guard !result.blocks.isEmpty else { throw text.ends(before: Section.blocks.expected) }
    result.pageblockOrder = order
    return result
  }

  private enum Section {
    case sizes, free, blocks, mixed

    var expected: String {
      switch self {
      case .sizes: "'Page block order: N', 'Pages per block: N' or 'Free pages count per migrate type'"
      case .free: "'Node N, zone NAME, type NAME' and counts, or 'Number of blocks type'"
      case .blocks, .mixed: "'Node N, zone NAME' and a count per type"
      }
    }
  }

  private static func free(
    _ line: HostLine, _ words: [Substring], like first: Free?
  ) throws(HostReadError) -> Free {
    let (node, zone) = try line.nodeAndZone(words)
    guard words.count > 6, words[4] == "type", isName(words[5]) else {
      throw line.unexpected(expected: Section.free.expected)
    }
    let (counts, capped) = try line.orders(words.dropFirst(6))
    if let first, first.counts.count != counts.count {
      throw line.error(
        found: "\(counts.count) orders", expected: "\(first.counts.count), as in the first row")
    }
    return Free(node: node, zone: zone, type: String(words[5]), counts: counts, cappedOrders: capped)
  }

  private static func blocks(
    _ line: HostLine, _ words: [Substring], _ types: [String]
  ) throws(HostReadError) -> Blocks {
    let (node, zone) = try line.nodeAndZone(words)
    let numbers = words.dropFirst(4)
    guard numbers.count == types.count else {
      throw line.error(found: "\(numbers.count) numbers", expected: "\(types.count), one per type")
    }
    var counts: [String: Int] = [:]
    for (type, word) in zip(types, numbers) { counts[type] = try line.pages(word, "blocks of type \(type)") }
    return Blocks(node: node, zone: zone, counts: counts)
  }
}
