/// A zone of a host, as /proc/zoneinfo shows it.
///
/// Counts are pages.
public struct HostZone: Sendable, Hashable {
  /// The memory node.
  public var node: Int
  /// The kernel's name: `DMA`, `DMA32`, `Normal`, `Movable` or `Device`.
  public var name: String
  /// Free pages.
  public var free = 0
  /// The temporary raise of the watermarks (0 where the kernel has none).
  public var boost = 0
  /// The min watermark.
  public var min = 0
  /// The low watermark.
  public var low = 0
  /// The high watermark.
  public var high = 0
  /// End minus start.
  public var spanned = 0
  /// Spanned without holes.
  public var present = 0
  /// Present without what the kernel has never given to the allocator.
  ///
  /// Not a measure of reserved memory where `HostSnapshot.deferredPages` is not 0.
  public var managed = 0
  /// Pages of CMA areas.
  public var cma = 0
  /// The pages to keep free from requests that could use a higher zone, per zone type.
  public var protection: [Int] = []
  /// The first frame; 0 in a zone without pages.
  public var startFrame = 0
  /// The zone's named counters (`nr_free_pages`, `numa_hit` and so on).
  public var counters: [String: UInt64] = [:]
  /// The node's named counters; empty except in the first zone of each node that has pages.
  public var nodeCounters: [String: UInt64] = [:]
  /// The number of CPUs with a pageset, that is, of online CPUs; 0 in a zone without pages.
  public var cpuCount = 0
  /// The line of its header in zoneinfo, for messages.
  public var line: Int

  /// An unpopulated zone.
  public init(node: Int, name: String, line: Int = 0) {
    self.node = node
    self.name = name
    self.line = line
  }

  /// Whether any memory is in it.
  public var isPopulated: Bool { present > 0 }

  /// The frames from its start to its end, holes included.
  public var frames: Range<Int> { startFrame..<(startFrame + (isPopulated ? spanned : 0)) }
}

extension HostZone: CustomStringConvertible {
  /// The kernel's way to name it: `Node 0, zone Normal`.
  public var description: String { "Node \(node), zone \(name)" }
}
