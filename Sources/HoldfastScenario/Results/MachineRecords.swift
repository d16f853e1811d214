/// A zone at one instant; amounts in pages.
public struct ZoneRecord: Codable, Sendable, Equatable {
  /// Its node.
  public var node: Int
  /// Its name.
  public var zone: ZoneKind
  /// Its first frame.
  public var startFrame: UInt64
  /// As in /proc/zoneinfo.
  public var spanned: Int64
  /// As in /proc/zoneinfo.
  public var present: Int64
  /// As in /proc/zoneinfo.
  public var managed: Int64
  /// As in /proc/zoneinfo.
  public var free: Int64
  /// As in /proc/zoneinfo.
  public var cma: Int64
  /// Free pages in CMA pageblocks.
  public var freeCMA: Int64
  /// Pages with a pin; nil where the ground cannot tell.
  public var pinned: Int64?

  /// Makes a record.
  public init(
    node: Int, zone: ZoneKind, startFrame: UInt64, spanned: Int64, present: Int64, managed: Int64,
    free: Int64,
    cma: Int64 = 0, freeCMA: Int64 = 0, pinned: Int64? = nil
  ) {
    self.node = node
    self.zone = zone
    self.startFrame = startFrame
    self.spanned = spanned
    self.present = present
    self.managed = managed
    self.free = free
    self.cma = cma
    self.freeCMA = freeCMA
    self.pinned = pinned
  }

  /// What an expectation reads from the record.
  public func value(_ value: Subject.ZoneValue) -> Int64? {
    switch value {
    case .spanned: spanned
    case .present: present
    case .managed: managed
    case .free: free
    case .cma: cma
    case .freeCMA: freeCMA
    case .pinned: pinned
    }
  }

  private enum CodingKeys: String, CodingKey {
    case node, zone
    case startFrame = "start_frame"
    case spanned, present, managed, free, cma
    case freeCMA = "free_cma"
    case pinned
  }
}

/// A memory block at one instant; amounts in pages.
public struct BlockRecord: Codable, Sendable, Equatable {
  /// Its number.
  public var index: Int
  /// Its first frame.
  public var startFrame: UInt64
  /// Its frames.
  public var frames: UInt64
  /// Its node.
  public var node: Int
  /// The zone of its pages; nil if it is offline or has pages of several.
  public var zone: ZoneKind?
  /// Its state.
  public var state: BlockState
  /// Whether all its frames are memory of that one zone.
  public var whole: Bool
  /// Free pages; nil where the ground cannot tell.
  public var free: Int64?
  /// Used pages that could be moved.
  public var movable: Int64?
  /// Pages with a pin; nil where the ground cannot tell.
  public var pinned: Int64?
  /// Used pages that cannot be moved.
  public var unmovable: Int64?

  /// Makes a record.
  public init(
    index: Int, startFrame: UInt64, frames: UInt64, node: Int, zone: ZoneKind?, state: BlockState,
    whole: Bool,
    free: Int64?, movable: Int64?, pinned: Int64?, unmovable: Int64?
  ) {
    self.index = index
    self.startFrame = startFrame
    self.frames = frames
    self.node = node
    self.zone = zone
    self.state = state
    self.whole = whole
    self.free = free
    self.movable = movable
    self.pinned = pinned
    self.unmovable = unmovable
  }

  private enum CodingKeys: String, CodingKey {
    case index
    case startFrame = "start_frame"
    case frames, node, zone, state, whole, free, movable, pinned, unmovable
  }
}

extension Subject.BlockSet {
  /// Whether a block belongs to the set, by the record taken when the run began.
  public func contains(_ block: BlockRecord) -> Bool {
    if wholeOnly && !block.whole { return false }
    switch pick {
    case .all: return true
    case .zone(let zone): return block.zone == zone
    case .indices(let indices): return indices.contains(block.index)
    }
  }
}

extension Subject.BlockFilter {
  /// Whether the description fits a block; nil if it asks for what the ground cannot tell.
  public func matches(_ block: BlockRecord) -> Bool? {
    if let state, state != block.state { return false }
    if let zone, zone != block.zone { return false }
    if let free {
      guard let count = block.free else { return nil }
      if free != (block.state == .online && count == Int64(block.frames)) { return false }
    }
    if let pinned {
      guard let count = block.pinned else { return nil }
      if pinned != (count > 0) { return false }
    }
    return true
  }
}
