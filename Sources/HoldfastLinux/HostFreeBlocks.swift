/// The free chunks of one zone by order, as /proc/buddyinfo shows them.
public struct HostFreeBlocks: Sendable, Hashable {
  /// The memory node.
  public var node: Int
  /// The zone's name.
  public var zone: String
  /// How many free chunks of 2^i pages there are, at index i; all migratetypes together.
  public var counts: [Int]

  /// The counts of one zone.
  public init(node: Int, zone: String, counts: [Int]) {
    self.node = node
    self.zone = zone
    self.counts = counts
  }

  /// The pages in all of them.
  public var pages: Int { counts.enumerated().reduce(0) { $0 + $1.element << $1.offset } }

  /// The rows in the text of /proc/buddyinfo, in file order; only zones with pages have one.
  public static func parse(buddyinfo text: String, file: String) throws(HostReadError) -> [HostFreeBlocks] {
    let text = try HostText(text, file: file)
    var rows: [HostFreeBlocks] = []
    for line in text.lines {
      let words = line.words
      let (node, zone) = try line.nodeAndZone(words)
      let counts = try line.orders(words.dropFirst(4)).counts
      if let first = rows.first, first.counts.count != counts.count {
        throw line.error(
          found: "\(counts.count) orders", expected: "\(first.counts.count), as in the first line")
      }
      if rows.contains(where: { $0.node == node && $0.zone == zone }) {
        throw line.error(found: "a second Node \(node), zone \(zone)", expected: "each zone once")
      }
      rows.append(HostFreeBlocks(node: node, zone: zone, counts: counts))
    }
    return rows
  }
}

extension HostLine {
  /// Free chunks per order, and the orders at which the kernel stopped counting (`>100000`).
  func orders(_ words: ArraySlice<Substring>) throws(HostReadError) -> (counts: [Int], capped: Set<Int>) {
    guard (1...32).contains(words.count) else {
      throw error(found: "\(words.count) numbers", expected: "one per order, between 1 and 32")
    }
    var counts: [Int] = []
    var capped: Set<Int> = []
    for (order, word) in words.enumerated() {
      if word.hasPrefix(">") { capped.insert(order) }
      let digits = word.hasPrefix(">") ? word.dropFirst() : word
      counts.append(try number(digits, "order \(order)", below: frameLimit >> order))
    }
    return (counts, capped)
  }
}
