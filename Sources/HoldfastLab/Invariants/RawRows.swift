import Holdfast

/// Rows as they lie in memory, read without a schedule point.
///
/// Offsets are those of the rows' own types; a test holds the two against each other. All of it is in this module, so
/// that a check is inlined.
extension StateMap {
  /// A value at an offset.
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 { (base + offset).assumingMemoryBound(to: UInt8.self).pointee }
  @inline(__always)
  func half(_ offset: Int) -> UInt32 { (base + offset).assumingMemoryBound(to: UInt32.self).pointee }
  @inline(__always)
  func word(_ offset: Int) -> UInt64 { (base + offset).assumingMemoryBound(to: UInt64.self).pointee }

  /// The descriptor of a frame.
  @inline(__always)
  func page(_ frame: Int) -> RawPage { RawPage(base + (frames.lowerBound &+ frame &* 64)) }

  /// The raw type of the pageblock of a frame.
  @inline(__always)
  func pageblockType(_ frame: Int) -> UInt8 {
    byte(pageblockTypes &+ frame &>> pageblockOrder) ^ MigrateType.movable.number
  }

  /// The raw state of the memory block of a frame.
  @inline(__always)
  func blockState(_ frame: Int) -> UInt32 { half(blocks &+ (frame &>> blockOrder) &* 32) }

  /// Whether a table page is in use.
  @inline(__always)
  func isTableLive(_ table: Int) -> Bool { half(tableMeta &+ table &* 16) != 0 }

  /// An entry of a table page.
  @inline(__always)
  func entry(_ table: Int, _ index: Int) -> PageTableEntry {
    PageTableEntry(rawValue: word(tablePages &+ table &<< tableShift &+ index &* 8))
  }

  /// Rows of a pool ever used.
  @inline(__always)
  func usedRows(_ pool: TablePool) -> Int {
    Int(truncatingIfNeeded: half(64 &+ pool.rawValue &* 8 &+ 4))
  }

  /// The root table of a space that is in use; 0 for none.
  @inline(__always)
  func rootTable(_ space: Int) -> Int {
    let row = spaces &+ space &* 128
    return half(row) == 0 ? 0 : Int(truncatingIfNeeded: half(row &+ 24))
  }

  /// A record of the ledger.
  @inline(__always)
  func record(_ index: Int) -> RawRecord { RawRecord(base + (records &+ index &* 128)) }

  /// The frame in a slot of the ledger.
  @inline(__always)
  func slot(_ index: Int) -> FrameNumber { FrameNumber(rawValue: half(slots &+ index &* 4)) }

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
  let raw: UnsafeRawPointer

  @inline(__always)
  init(_ raw: UnsafeRawPointer) { self.raw = raw }

  @inline(__always)
  var references: Int32 { raw.assumingMemoryBound(to: Int32.self).pointee }
  @inline(__always)
  var mappings: Int32 { (raw + 4).assumingMemoryBound(to: Int32.self).pointee }
  @inline(__always)
  var flagWord: UInt64 { (raw + 8).assumingMemoryBound(to: UInt64.self).pointee }
  @inline(__always)
  var flags: PageFlags { PageFlags(rawValue: flagWord) }
  @inline(__always)
  var pins: Int32 { (raw + 16).assumingMemoryBound(to: Int32.self).pointee }
  @inline(__always)
  var wholeMappings: Int32 { (raw + 20).assumingMemoryBound(to: Int32.self).pointee }
  @inline(__always)
  var headOffset: Int { Int((raw + 24).assumingMemoryBound(to: UInt32.self).pointee) }
  @inline(__always)
  var state: UInt32 { (raw + 28).assumingMemoryBound(to: UInt32.self).pointee }
  @inline(__always)
  var order: Int { Int(truncatingIfNeeded: state & 0xff) }
  @inline(__always)
  var isLarge: Bool { flags.contains(.head) }
  @inline(__always)
  var listType: UInt8 { UInt8(truncatingIfNeeded: state &>> 16) }
  @inline(__always)
  var isAnonymous: Bool { (raw + 32).assumingMemoryBound(to: UInt32.self).pointee & 1 != 0 }
  @inline(__always)
  var next: FrameNumber { FrameNumber(rawValue: (raw + 36).assumingMemoryBound(to: UInt32.self).pointee) }
  @inline(__always)
  var previous: FrameNumber { FrameNumber(rawValue: (raw + 40).assumingMemoryBound(to: UInt32.self).pointee) }
  @inline(__always)
  var contentTag: UInt64 { (raw + 56).assumingMemoryBound(to: UInt64.self).pointee }

  /// Whether the frame is of a type.
  @inline(__always)
  func isOf(_ type: PageType) -> Bool { state & 0xff00 == UInt32(type.rawValue) &<< 8 }
}

/// A record of the ledger as it lies in memory.
struct RawRecord {
  let raw: UnsafeRawPointer

  @inline(__always)
  init(_ raw: UnsafeRawPointer) { self.raw = raw }

  @inline(__always)
  var kind: UInt32 { raw.assumingMemoryBound(to: UInt32.self).pointee }
  @inline(__always)
  var space: Int { Int((raw + 12).assumingMemoryBound(to: UInt32.self).pointee) }
  @inline(__always)
  var startPage: UInt64 { (raw + 16).assumingMemoryBound(to: UInt64.self).pointee }
  @inline(__always)
  var total: Int { Int((raw + 24).assumingMemoryBound(to: UInt32.self).pointee) }
  @inline(__always)
  var flags: PinFlags { PinFlags(rawValue: (raw + 32).assumingMemoryBound(to: UInt32.self).pointee) }
  @inline(__always)
  var slots: Int { Int((raw + 36).assumingMemoryBound(to: UInt32.self).pointee) }
}
