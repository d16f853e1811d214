/// The state of a memory block.
@frozen
public enum BlockState: String, Sendable, Hashable, Codable, CaseIterable {
  /// In use.
  case online
  /// Known, its memory not in use.
  case offline
  /// Being emptied.
  case goingOffline = "going-offline"
  /// Not there, or taken out.
  case absent

  /// The number that tables keep; a table of zeros has absent blocks.
  @inlinable @inline(__always)
  public var number: UInt32 {
    switch self {
    case .absent: 0
    case .offline: 1
    case .goingOffline: 2
    case .online: 3
    }
  }

  /// The state of that number, absent if there is none.
  @inlinable @inline(__always)
  public init(number: UInt32) {
    switch number {
    case 1: self = .offline
    case 2: self = .goingOffline
    case 3: self = .online
    default: self = .absent
    }
  }

  /// Compares numbers: the comparison of raw values, which are strings, would be slower.
  @inlinable @inline(__always)
  public static func == (one: BlockState, other: BlockState) -> Bool { one.number == other.number }
}

extension BlockState: CustomStringConvertible {
  /// The word in /sys/devices/system/memory/memoryN/state.
  public var description: String { rawValue }
}

/// What is written to a block's `state` to bring it into use.
public enum OnlineKind: String, Sendable, Hashable, Codable, CaseIterable {
  /// `online`: the online policy chooses the zone.
  case online = "default"
  /// `online_kernel`: a zone for the kernel.
  case kernel
  /// `online_movable`: ZONE_MOVABLE.
  case movable

  /// The kernel's word, in the file `state`.
  public var kernelName: String {
    switch self {
    case .online: "online"
    case .kernel: "online_kernel"
    case .movable: "online_movable"
    }
  }
}
