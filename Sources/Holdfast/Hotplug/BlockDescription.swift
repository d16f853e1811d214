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

/// Memory blocks: they are added, go online and offline, and are removed.
package struct Blocks: Room {
  package let machine: Machine

  package func block(_ id: BlockID) -> MemoryBlock {
    MemoryBlock(machine.row(machine.layout.blocks, id.rawValue))
  }
}

extension Room {
  /// Memory blocks.
  @inline(__always)
  package var blocks: Blocks { Blocks(machine: machine) }
}

extension Machine {
  /// The state of a block.
  public func state(of id: BlockID) -> BlockState { blocks.isBlock(id) ? blocks.block(id).state : .absent }

  /// What a block's directory shows, or nil if there is no memory.
  public func describe(_ id: BlockID) -> BlockDescription? {
    guard blocks.isBlock(id), blocks.block(id).state != .absent else { return nil }
    let block = blocks.block(id)
    return BlockDescription(
      block: id, frames: frames(of: id), state: block.state, node: block.node, zone: block.zone,
      present: block.present, validZones: validZones(of: id))
  }

  /// The blocks that hold memory, online or offline, ascending.
  public var presentBlocks: [BlockID] {
    (0..<blockCount).lazy.map(BlockID.init(rawValue:)).filter { blocks.block($0).state != .absent }
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
    guard blocks.isBlock(id), blocks.block(id).state == .online else { return ([], 0, []) }
    let range = frames(of: id)
    buddy.materialise(range)
    var frames: [StuckFrame] = []
    var total = 0
    for head in blocks.folios(of: range) {
      let stuck = migration.describeStuck(head, pages: memmap.folioPages(head))
      switch stuck.reason {
      case .movable, .hugePage, .perCPUList: continue
      case .offList where stuck.references == stuck.expected + 1: continue
      case .unsettled where memmap.page(head).type == .offline: continue
      default: break
      }
      total += 1
      if frames.count < Migration.describedFrames { frames.append(stuck) }
    }
    return (frames, total, total > 0 ? ledger.holders(of: range) : [])
  }
}

extension Blocks {
  /// The heads of the folios in use in a range.
  fileprivate func folios(of range: FrameRange) -> [FrameNumber] {
    var heads: [FrameNumber] = []
    var index = range.start.index
    while index < range.endIndex {
      let frame = FrameNumber(index)
      let page = memmap.page(frame)
      index += 1
      if page.type == .buddy || page.type == .perCPU {
        index = frame.index + 1 << page.order
      } else if page.refcount.load() > 0 {
        heads.append(frame)
        index = frame.index + memmap.folioPages(frame)
      }
    }
    return heads
  }

  /// The zone of a frame that is online memory, whether its metadata is there or not.
  package func zoneOf(_ frame: FrameNumber) -> ZoneID? {
    guard frame.index < machine.frameCount else { return nil }
    let block = block(machine.block(of: frame))
    guard block.state == .online || block.state == .goingOffline else { return nil }
    return block.zone ?? machine.extent(of: frame)?.zone
  }

  package func bootBlocks() {
    for extent in machine.extents {
      let last = extent.frames.endIndex - 1
      for number in extent.frames.start.index >> geometry.blockOrder...last >> geometry.blockOrder {
        let id = BlockID(rawValue: number)
        let block = block(id)
        let whole = extent.frames.intersection(machine.frames(of: id))?.count ?? 0
        if block.present == 0 { block.node = extent.zone.node }
        block.present += whole
        // Frames of another zone, or a hole, leave no single zone.
        block.zone = whole == geometry.blockFrames ? extent.zone : nil
        block.state = .online
      }
    }
  }
}
