import Interleaving

/// Where a machine's tables lie, and their rows as bytes: for checks between two steps of an execution.
///
/// Reading a row here is no schedule point and takes no lock, so nobody may act on the machine meanwhile. Offsets
/// are those of the rows' own types.
@frozen
package struct StateMap: @unchecked Sendable {
  // Sendable: addresses that never change; who reads through them sees to it that nobody acts.
  package let base: UnsafeRawPointer
  package let size: Int
  package let processors: Range<Int>
  package let processorStride: Int
  package let nodes: Range<Int>
  package let zones: Range<Int>
  package let zoneStride: Int
  package let perCPULists: Range<Int>
  package let blocks: Int
  package let pageblockTypes: Int
  package let processes: Int
  package let spaces: Int
  package let records: Int
  package let tableMeta: Int
  package let slots: Int
  package let frames: Range<Int>
  package let tablePages: Int
  package let tableShift: Int
  package let tableBits: Int
  package let maxOrder: Int
  package let pageblockOrder: Int
  package let blockOrder: Int
  package let zeroPage: Int

  init(_ machine: Machine) {
    let layout = machine.layout
    base = UnsafeRawPointer(machine.arena)
    size = layout.size
    processorStride = layout.processorStride
    processors = layout.processors..<layout.processors + layout.processorCount * layout.processorStride
    nodes = layout.nodes..<layout.nodes + layout.nodeCount * Node.stride
    zoneStride = layout.zoneStride
    zones = layout.zones..<layout.zones + layout.zoneCount * layout.zoneStride
    perCPULists =
      layout.perCPULists..<layout.perCPULists + layout.processorCount * layout.zoneCount * PerCPULists.stride
    blocks = layout.blocks
    pageblockTypes = layout.pageblockTypes
    processes = layout.processes
    spaces = layout.spaces
    records = layout.pinRecords
    tableMeta = layout.tableMeta
    slots = layout.pinSlots
    frames = layout.frames..<layout.frames + layout.frameCount * Page.stride
    tablePages = layout.tablePages
    tableShift = machine.tableShift
    tableBits = machine.geometry.tableBits
    maxOrder = machine.geometry.maxOrder
    pageblockOrder = machine.geometry.pageblockOrder
    blockOrder = machine.geometry.blockOrder
    zeroPage = machine.zeroPageFrame.index
  }

  /// A value at an offset.
  @inlinable @inline(__always)
  package func load<Value: BitwiseCopyable>(_ offset: Int, as type: Value.Type = Value.self) -> Value {
    base.load(fromByteOffset: offset, as: Value.self)
  }

  /// The descriptor of a frame.
  @inlinable @inline(__always)
  package func page(_ frame: Int) -> RawPage { RawPage(base + (frames.lowerBound &+ frame &* 64)) }

  /// The raw type of the pageblock of a frame.
  @inlinable @inline(__always)
  package func pageblockType(_ frame: Int) -> UInt8 {
    load(pageblockTypes &+ frame &>> pageblockOrder, as: UInt8.self) ^ MigrateType.movable.rawValue
  }

  /// The raw state of the memory block of a frame.
  @inlinable @inline(__always)
  package func blockState(_ frame: Int) -> UInt32 { load(blocks &+ (frame &>> blockOrder) &* 32) }

  /// Whether a table page is in use.
  @inlinable @inline(__always)
  package func isTableLive(_ table: Int) -> Bool { load(tableMeta &+ table &* 16, as: UInt32.self) != 0 }

  /// An entry of a table page.
  @inlinable @inline(__always)
  package func entry(_ table: Int, _ index: Int) -> PageTableEntry {
    PageTableEntry(rawValue: load(tablePages &+ table &<< tableShift &+ index &* 8))
  }

  /// Rows of a pool ever used.
  @inlinable @inline(__always)
  package func usedRows(_ pool: TablePool) -> Int {
    Int(truncatingIfNeeded: load(64 &+ pool.rawValue &* 8 &+ 4, as: UInt32.self))
  }

  /// The root table of a space that is in use; 0 for none.
  @inlinable @inline(__always)
  package func rootTable(_ space: Int) -> Int {
    let row = spaces &+ space &* 128
    return load(row, as: UInt32.self) == 0 ? 0 : Int(truncatingIfNeeded: load(row &+ 24, as: UInt32.self))
  }

  /// A record of the ledger.
  @inlinable @inline(__always)
  package func record(_ index: Int) -> RawRecord { RawRecord(base + (records &+ index &* 128)) }

  /// The frame in a slot of the ledger.
  @inlinable @inline(__always)
  package func slot(_ index: Int) -> FrameNumber { FrameNumber(rawValue: load(slots &+ index &* 4)) }

  /// The frame that a space's tables map a page to, if they do.
  @inlinable
  package func mappedFrame(_ space: Int, _ page: UInt64) -> Int? {
    var table = rootTable(space)
    if table == 0 { return nil }
    let mask = 1 &<< tableBits &- 1
    var level = 3
    while true {
      let entry = entry(table, Int(truncatingIfNeeded: page &>> UInt64(level &* tableBits)) & mask)
      if entry.isTable, level > 0 {
        table = Int(truncatingIfNeeded: entry.tableID.rawValue)
        level &-= 1
      } else if level > 1 || !entry.mapsFrame || entry.isTable {
        return nil
      } else {
        let inside = level == 1 ? Int(truncatingIfNeeded: page) & mask : 0
        return entry.frame.index &+ inside
      }
    }
  }
}

/// The descriptor of a frame as it lies in memory.
@frozen
package struct RawPage {
  @usableFromInline let raw: UnsafeRawPointer

  @inlinable @inline(__always)
  init(_ raw: UnsafeRawPointer) { self.raw = raw }

  @inlinable @inline(__always)
  package var references: Int32 { raw.load(as: Int32.self) }
  @inlinable @inline(__always)
  package var mappings: Int32 { raw.load(fromByteOffset: 4, as: Int32.self) }
  @inlinable @inline(__always)
  package var flagWord: UInt64 { raw.load(fromByteOffset: 8, as: UInt64.self) }
  @inlinable @inline(__always)
  package var flags: PageFlags { PageFlags(rawValue: flagWord) }
  @inlinable @inline(__always)
  package var pins: Int32 { raw.load(fromByteOffset: 16, as: Int32.self) }
  @inlinable @inline(__always)
  package var wholeMappings: Int32 { raw.load(fromByteOffset: 20, as: Int32.self) }
  @inlinable @inline(__always)
  package var headOffset: Int { Int(raw.load(fromByteOffset: 24, as: UInt32.self)) }
  @inlinable @inline(__always)
  package var state: UInt32 { raw.load(fromByteOffset: 28, as: UInt32.self) }
  @inlinable @inline(__always)
  package var order: Int { Int(truncatingIfNeeded: state & 0xff) }
  @inlinable @inline(__always)
  package var isLarge: Bool { flags.contains(.head) }
  @inlinable @inline(__always)
  package var listType: UInt8 { UInt8(truncatingIfNeeded: state &>> 16) }
  @inlinable @inline(__always)
  package var isAnonymous: Bool { raw.load(fromByteOffset: 32, as: UInt32.self) & 1 != 0 }
  @inlinable @inline(__always)
  package var next: FrameNumber { FrameNumber(rawValue: raw.load(fromByteOffset: 36, as: UInt32.self)) }
  @inlinable @inline(__always)
  package var previous: FrameNumber { FrameNumber(rawValue: raw.load(fromByteOffset: 40, as: UInt32.self)) }
  @inlinable @inline(__always)
  package var contentTag: UInt64 { raw.load(fromByteOffset: 56, as: UInt64.self) }

  /// Whether the frame is of a type.
  @inlinable @inline(__always)
  package func isOf(_ type: PageType) -> Bool { state & 0xff00 == UInt32(type.rawValue) &<< 8 }
}

/// A record of the ledger as it lies in memory.
@frozen
package struct RawRecord {
  @usableFromInline let raw: UnsafeRawPointer

  @inlinable @inline(__always)
  init(_ raw: UnsafeRawPointer) { self.raw = raw }

  @inlinable @inline(__always)
  package var kind: UInt32 { raw.load(as: UInt32.self) }
  @inlinable @inline(__always)
  package var space: Int { Int(raw.load(fromByteOffset: 12, as: UInt32.self)) }
  @inlinable @inline(__always)
  package var startPage: UInt64 { raw.load(fromByteOffset: 16, as: UInt64.self) }
  @inlinable @inline(__always)
  package var total: Int { Int(raw.load(fromByteOffset: 24, as: UInt32.self)) }
  @inlinable @inline(__always)
  package var flags: PinFlags { PinFlags(rawValue: raw.load(fromByteOffset: 32, as: UInt32.self)) }
  @inlinable @inline(__always)
  package var slots: Int { Int(raw.load(fromByteOffset: 36, as: UInt32.self)) }
}

extension Process {
  /// The scopes in force, read without a schedule point.
  package var unannouncedScope: AllocationScope {
    AllocationScope(rawValue: UnsafeRawPointer(row.raw).load(fromByteOffset: 16, as: UInt32.self))
  }
}

extension Machine {
  /// Where the tables lie.
  package var stateMap: StateMap { StateMap(self) }

  /// The order from which a large folio counts its pins exactly.
  package var leastExactOrder: Int { pinRules.leastExactOrder }
  /// What a pin adds to the references of any other folio.
  package var pinWeight: Int32 { pinRules.bias }
}
