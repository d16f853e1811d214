import Interleaving

/// What /sys/devices/system/memory/memoryN shows of a block.
public struct BlockDescription: Hashable, Sendable {
  /// The block.
  public let block: BlockID
  /// Its frames.
  public let frames: FrameRange
  /// `state`.
  ///
  /// - Kernel: drivers/base/memory.c:state_show (6.1)
  public let state: BlockState
  /// The node that it belongs to.
  public let node: Int
  /// Its only zone, nil if it has several, has holes, or is not online.
  public let zone: ZoneID?
  /// Frames that are memory.
  public let present: Int
  /// `valid_zones`.
  public let validZones: String
  /// `removable`: whether the machine can remove memory at all, which it can.
  ///
  /// - Kernel: drivers/base/memory.c:removable_show (6.1)
  public var removable: Bool { true }
  /// `phys_index`: the block's number.
  ///
  /// - Kernel: drivers/base/memory.c:phys_index_show (6.1)
  public var physicalIndex: String {
    let digits = String(block.rawValue, radix: 16)
    return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }
}

extension Machine {
  /// The state of a block.
  public func state(of id: BlockID) -> BlockState { isBlock(id) ? block(id).state : .absent }

  /// What a block's directory shows, or nil if there is no memory.
  public func describe(_ id: BlockID) -> BlockDescription? {
    guard isBlock(id), block(id).state != .absent else { return nil }
    let block = block(id)
    return BlockDescription(
      block: id, frames: frames(of: id), state: block.state, node: block.node, zone: block.zone,
      present: block.present, validZones: validZones(of: id))
  }

  /// The blocks that hold memory, online or offline, ascending.
  public var presentBlocks: [BlockID] {
    (0..<blockCount).lazy.map(BlockID.init(rawValue:)).filter { self.block($0).state != .absent }
  }

  /// The size of a block in the text of `block_size_bytes`: hexadecimal, without a prefix.
  ///
  /// - Kernel: drivers/base/memory.c:block_size_bytes_show (6.1)
  public var blockSizeText: String { String(geometry.blockFrames * pageSize, radix: 16) }

  /// What keeps a block from going offline now: the first folios, their total number, and their holders.
  ///
  /// The look takes no locks, so the answer may be out of date as soon as it is returned. Movable folios that
  /// only their mappings refer to are no obstacle and are left out. The others must be released first;
  /// reserved frames and frames of the kernel never leave.
  public func obstacles(to id: BlockID) -> (frames: [StuckFrame], total: Int, holders: [PinHolder]) {
    guard isBlock(id), block(id).state == .online else { return ([], 0, []) }
    let range = frames(of: id)
    materialise(range)
    var frames: [StuckFrame] = []
    var total = 0
    for head in folios(of: range) {
      let stuck = describeStuck(head, pages: folioPages(head))
      switch stuck.reason {
      case .movable, .hugePage, .perCPUList: continue
      case .offList where stuck.references == stuck.expected + 1: continue
      case .unsettled where page(head).type == .offline: continue
      default: break
      }
      total += 1
      if frames.count < Self.describedFrames { frames.append(stuck) }
    }
    return (frames, total, total > 0 ? holders(of: range) : [])
  }

  /// The heads of the folios in use in a range.
  private func folios(of range: FrameRange) -> [FrameNumber] {
    var heads: [FrameNumber] = []
    var index = range.start.index
    while index < range.endIndex {
      let frame = FrameNumber(index)
      let descriptor = page(frame)
      index += 1
      if descriptor.type == .buddy || descriptor.type == .perCPU {
        index = frame.index + 1 << descriptor.order
      } else if descriptor.refcount.load() > 0 {
        heads.append(frame)
        index = frame.index + folioPages(frame)
      }
    }
    return heads
  }
}
