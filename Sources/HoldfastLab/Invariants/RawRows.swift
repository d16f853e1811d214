import Holdfast
import Interleaving

/// Rows as they lie in memory, read without a schedule point, as their layouts say.
extension StateMap {
  /// The descriptor of a frame.
  @inline(__always)
  func page(_ frame: Int) -> RawPage { RawPage(row: row(layout.frames, frame)) }

  /// The raw type of the pageblock of a frame.
  @inline(__always)
  func pageblockType(_ frame: Int) -> UInt8 {
    // A byte for each pageblock, four to a row.
    (base + (layout.pageblockTypes.start &+ frame &>> pageblockOrder)).load(as: UInt8.self)
      ^ MigrateType.movable.number
  }

  /// The raw state of the memory block of a frame.
  @inline(__always)
  func blockState(_ frame: Int) -> UInt32 {
    row(layout.blocks, frame &>> blockOrder)[MemoryBlockRow.state].rawValue
  }

  /// Whether a table page is in use.
  @inline(__always)
  func isTableLive(_ table: Int) -> Bool { row(layout.tableMeta, table)[TableMetaRow.live] != 0 }

  /// An entry of a table page.
  @inline(__always)
  func entry(_ table: Int, _ index: Int) -> PageTableEntry {
    RawRow(base + (layout.tablePages.start &+ table &<< tableShift))[TablePageRow.entries, index]
  }

  /// Rows of a pool ever used.
  @inline(__always)
  func usedRows(_ pool: TablePool) -> Int {
    let global = row(layout.global, 0)
    let row =
      pool == .pinRecords ? global.row(GlobalRow.recordPool) : global.row(GlobalRow.pools, pool.rawValue)
    return Int(truncatingIfNeeded: row[PoolRow.used])
  }

  /// The root table of a space that is in use; 0 for none.
  @inline(__always)
  func rootTable(_ space: Int) -> Int {
    let row = row(layout.spaces, space)
    return row[AddressSpaceRow.live] == 0 ? 0 : row[AddressSpaceRow.rootTable].index
  }

  /// Looks at the pages that devices have exclusively, with the device, until `look` gives something.
  @inline(__always)
  func mirroredFrames<Result>(_ look: (_ frame: FrameNumber, _ mirror: Int) -> Result?) -> Result? {
    let used = usedRows(.mirrors)
    if used == 0 { return nil }
    for mirror in 1...used {
      let row = row(layout.mirrors, mirror)
      if row[MirrorRow.live] == 0 { continue }
      if let found = pages(under: row[MirrorRow.root], { look($0, mirror) }) { return found }
    }
    return nil
  }

  private func pages<Result>(under root: RowID, _ look: (FrameNumber) -> Result?) -> Result? {
    if root == .none { return nil }
    let row = row(layout.mirroredPages, root.index)
    return look(row[MirroredPageRow.frame]) ?? pages(under: row[MirroredPageRow.left], look)
      ?? pages(under: row[MirroredPageRow.right], look)
  }

  /// A record of the ledger.
  @inline(__always)
  func record(_ index: Int) -> RawRecord { RawRecord(row: row(layout.pinRecords, index)) }

  /// The frame in a slot of the ledger.
  @inline(__always)
  func slot(_ index: Int) -> FrameNumber { row(layout.pinSlots, index)[PinSlotRow.frame] }

  /// The frame that a space's tables map a page to, if they do.
  @inline(__always)
  func mappedFrame(_ space: Int, _ page: UInt64) -> Int? {
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
struct RawPage {
  let row: RawRow

  @inline(__always)
  var references: Int32 { row[PageRow.refcount] }
  @inline(__always)
  var mappings: Int32 { row[PageRow.mapcount] }
  @inline(__always)
  var flagWord: UInt64 { flags.rawValue }
  @inline(__always)
  var flags: PageFlags { row[PageRow.flags] }
  @inline(__always)
  var pins: Int32 { row[PageRow.pincount] }
  @inline(__always)
  var wholeMappings: Int32 { row[PageRow.entireMapcount] }
  @inline(__always)
  var headOffset: Int { Int(row[PageRow.headOffset]) }
  @inline(__always)
  var state: UInt32 { row[PageRow.state].rawValue }
  @inline(__always)
  var order: Int { Int(truncatingIfNeeded: state & 0xff) }
  @inline(__always)
  var isLarge: Bool { flags.contains(.head) }
  @inline(__always)
  var listType: UInt8 { UInt8(truncatingIfNeeded: state &>> 16) }
  @inline(__always)
  var isAnonymous: Bool { row[PageRow.mapping].rawValue & 1 != 0 }
  @inline(__always)
  var next: FrameNumber { row[PageRow.next] }
  @inline(__always)
  var previous: FrameNumber { row[PageRow.previous] }
  @inline(__always)
  var contentTag: UInt64 { row[PageRow.contentTag] }

  /// Whether the frame is of a type.
  @inline(__always)
  func isOf(_ type: PageType) -> Bool { state & 0xff00 == UInt32(type.rawValue) &<< 8 }
}

/// A record of the ledger as it lies in memory.
struct RawRecord {
  let row: RawRow

  @inline(__always)
  var kind: UInt32 { row[PinRecordRow.kind] }
  @inline(__always)
  var space: Int { row[PinRecordRow.space].index }
  @inline(__always)
  var startPage: UInt64 { row[PinRecordRow.startPage] }
  @inline(__always)
  var total: Int { Int(row[PinRecordRow.total]) }
  @inline(__always)
  var flags: PinFlags { row[PinRecordRow.flags] }
  @inline(__always)
  var slots: Int { Int(row[PinRecordRow.slots]) }
}
