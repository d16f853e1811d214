/// The number of a physical page frame (pfn).
///
/// Prints as `pfn:0x40255`. Machines have at most 2^32 - 1 frames (16 TiB of 4 KiB pages).
@frozen
public struct FrameNumber: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The pfn.
  public let rawValue: UInt32

  /// The frame with that pfn.
  @inlinable @inline(__always)
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The frame with that pfn.
  @inlinable @inline(__always)
  public init(_ index: Int) { rawValue = UInt32(truncatingIfNeeded: index) }

  /// No frame: the end of a list, an empty slot.
  @inlinable @inline(__always)
  public static var none: FrameNumber { FrameNumber(rawValue: .max) }

  /// The pfn as an index.
  @inlinable @inline(__always)
  public var index: Int { Int(rawValue) }

  /// The frame `count` frames further on.
  @inlinable @inline(__always)
  public static func + (frame: FrameNumber, count: Int) -> FrameNumber { FrameNumber(frame.index &+ count) }

  /// The frame `count` frames before.
  @inlinable @inline(__always)
  public static func - (frame: FrameNumber, count: Int) -> FrameNumber { FrameNumber(frame.index &- count) }

  /// Orders frames by pfn.
  @inlinable @inline(__always)
  public static func < (one: FrameNumber, other: FrameNumber) -> Bool { one.rawValue < other.rawValue }

  /// `pfn:0x…`, or `pfn:none`.
  public var description: String {
    self == .none ? "pfn:none" : "pfn:0x" + String(rawValue, radix: 16)
  }
}

/// Consecutive frames.
public struct FrameRange: Hashable, Sendable, CustomStringConvertible {
  /// The first frame.
  public var start: FrameNumber
  /// How many frames there are.
  public var count: Int

  /// `count` frames from `start` on.
  public init(start: FrameNumber, count: Int) {
    self.start = start
    self.count = count
  }

  /// One past the last frame, as an index.
  public var endIndex: Int { start.index + count }

  /// Whether the range holds `frame`.
  public func contains(_ frame: FrameNumber) -> Bool { frame >= start && frame.index < endIndex }

  /// The frames in ascending order.
  public var frames: some Sequence<FrameNumber> { (start.index..<endIndex).lazy.map(FrameNumber.init) }

  /// `[0x…-0x…]`, both ends included.
  public var description: String {
    "[0x\(String(start.index, radix: 16))-0x\(String(max(start.index, endIndex - 1), radix: 16))]"
  }
}

/// A virtual address of an address space, in bytes.
@frozen
public struct VirtualAddress: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The address in bytes.
  public let rawValue: UInt64

  /// The address with that value.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The first address of a virtual page.
  package init(page: UInt64) { rawValue = page << 12 }

  /// One past the last page that an address of 64 bits can lie in.
  package static var endPage: UInt64 { 1 << (64 - 12) }

  /// The number of the page that holds the address.
  package var page: UInt64 { rawValue >> 12 }

  /// The address `bytes` further on.
  public static func + (address: VirtualAddress, bytes: UInt64) -> VirtualAddress {
    VirtualAddress(rawValue: address.rawValue &+ bytes)
  }

  /// Orders addresses by value.
  public static func < (one: VirtualAddress, other: VirtualAddress) -> Bool { one.rawValue < other.rawValue }

  /// The address in hexadecimal.
  public var description: String { "0x" + String(rawValue, radix: 16) }
}

/// The size of a page in bytes.
public let pageSize = 4096

/// What the engine keeps of a pageblock's type.
extension MigrateType {
  /// The type with that number, movable if there is none: what a table's byte says, without a call.
  @inline(__always)
  package init(stored raw: UInt8) {
    switch raw {
    case 0: self = .unmovable
    case 2: self = .reclaimable
    case 3: self = .highAtomic
    case 4: self = .cma
    case 5: self = .isolate
    default: self = .movable
    }
  }

  /// How many of the types have per-CPU lists: the first three.
  package static let perCPUCount = 3
}

/// The index of a zone: one of each kind for every node, whether populated or not.
@frozen
public struct ZoneID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// Node number times the number of kinds plus the number of the kind.
  public let rawValue: Int

  /// The zone with that index.
  @inlinable @inline(__always)
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// The zone of a kind on a node.
  public init(node: Int, kind: ZoneKind) { rawValue = node &* ZoneKind.count &+ kind.number }

  /// The node's number.
  public var node: Int { rawValue / ZoneKind.count }

  /// The zone's kind.
  public var kind: ZoneKind { ZoneKind(number: rawValue % ZoneKind.count) ?? .device }

  /// `Node 0, zone Normal`.
  public var description: String { "Node \(node), zone \(kind)" }
}

/// The number of a memory block: its first frame divided by the frames of a block.
public struct BlockID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The number, as in /sys/devices/system/memory/memoryN.
  public let rawValue: Int

  /// The block with that number.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Orders blocks by number.
  public static func < (one: BlockID, other: BlockID) -> Bool { one.rawValue < other.rawValue }

  /// `memoryN`.
  public var description: String { "memory\(rawValue)" }
}

/// The index of a row in a table whose row zero stands for "none".
@frozen
@usableFromInline
package struct RowID: RawRepresentable, Hashable, Sendable {
  @usableFromInline package let rawValue: UInt32

  @inlinable @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  @inline(__always)
  package static var none: RowID { RowID(rawValue: 0) }

  @inline(__always)
  package var index: Int { Int(rawValue) }
}

/// The number of a process.
@frozen
public struct ProcessID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number; 0 is no process.
  public let rawValue: UInt32

  /// The process with that number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The number in decimal.
  public var description: String { String(rawValue) }
}
