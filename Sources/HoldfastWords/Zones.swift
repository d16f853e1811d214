/// The kinds of zones, low to high, with the numbers of x86-64.
@frozen
public enum ZoneKind: String, Sendable, Hashable, Codable, CaseIterable {
  /// ZONE_DMA: frames below 16 MiB.
  case dma
  /// ZONE_DMA32: frames below 4 GiB.
  case dma32
  /// ZONE_NORMAL.
  case normal
  /// ZONE_MOVABLE: only movable allocations, so that memory can be removed.
  case movable
  /// ZONE_DEVICE: device memory, never in a free list.
  case device

  /// The number of kinds.
  @inlinable @_transparent
  public static var count: Int { 5 }

  /// The place among a node's zones.
  @inlinable @inline(__always)
  public var number: Int {
    switch self {
    case .dma: 0
    case .dma32: 1
    case .normal: 2
    case .movable: 3
    case .device: 4
    }
  }

  /// The kind of that number.
  @inlinable @inline(__always)
  public init?(number: Int) {
    switch number {
    case 0: self = .dma
    case 1: self = .dma32
    case 2: self = .normal
    case 3: self = .movable
    case 4: self = .device
    default: return nil
    }
  }

  /// The kernel's spelling, as /proc/zoneinfo prints it.
  public var kernelName: String {
    switch self {
    case .dma: "DMA"
    case .dma32: "DMA32"
    case .normal: "Normal"
    case .movable: "Movable"
    case .device: "Device"
    }
  }

  /// The kind that the kernel prints under that name.
  public init?(kernelName: String) {
    guard let kind = Self.allCases.first(where: { $0.kernelName == kernelName }) else { return nil }
    self = kind
  }

  /// Compares numbers: the comparison of raw values, which are strings, would be slower.
  @inlinable @inline(__always)
  public static func == (one: ZoneKind, other: ZoneKind) -> Bool { one.number == other.number }
}

extension ZoneKind: Comparable, CustomStringConvertible {
  /// Orders zones low to high.
  @inlinable
  public static func < (one: ZoneKind, other: ZoneKind) -> Bool { one.number < other.number }

  /// The name that the kernel prints.
  public var description: String { kernelName }
}

/// The mobility type of a pageblock, or of an allocation.
@frozen
public enum MigrateType: String, Sendable, Hashable, Codable, CaseIterable {
  /// Kernel memory, and everything allocated in a pin scope.
  case unmovable
  /// What migration can move.
  case movable
  /// What shrinkers can free.
  case reclaimable
  /// Reserved for urgent allocations.
  case highAtomic = "highatomic"
  /// Lent out by a contiguous memory area.
  case cma
  /// Taken out of use by offlining or a contiguous allocation.
  case isolate

  /// The number of types.
  @inlinable @_transparent
  public static var count: Int { 6 }

  /// The number that tables keep.
  @inlinable @inline(__always)
  public var number: UInt8 {
    switch self {
    case .unmovable: 0
    case .movable: 1
    case .reclaimable: 2
    case .highAtomic: 3
    case .cma: 4
    case .isolate: 5
    }
  }

  /// Compares numbers: the comparison of raw values, which are strings, would be slower.
  @inlinable @inline(__always)
  public static func == (one: MigrateType, other: MigrateType) -> Bool { one.number == other.number }
}

extension MigrateType: CustomStringConvertible {
  /// The name in /proc/pagetypeinfo.
  public var description: String {
    switch self {
    case .unmovable: "Unmovable"
    case .movable: "Movable"
    case .reclaimable: "Reclaimable"
    case .highAtomic: "HighAtomic"
    case .cma: "CMA"
    case .isolate: "Isolate"
    }
  }
}
