/// One entry of a page table, in the layout of x86-64 where hardware has one.
///
/// Present: bit 0, writable 1, user 2, accessed 5, dirty 6, huge leaf 7, special 9, frame from bit 12 up.
/// Above the leaves, bit 11 marks a table and bits 12 up are its row. Not present and not zero: bit 8 alone
/// is PROT_NONE over a mapped frame; otherwise it is a swap-type entry with its kind in bits 1 to 4.
@frozen
@usableFromInline
package struct PageTableEntry: RawRepresentable, Hashable, Sendable {
  @usableFromInline package let rawValue: UInt64

  @inlinable @inline(__always)
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  package static var none: PageTableEntry { PageTableEntry(rawValue: 0) }

  package static var present: UInt64 { 1 << 0 }
  package static var writable: UInt64 { 1 << 1 }
  package static var user: UInt64 { 1 << 2 }
  package static var accessed: UInt64 { 1 << 5 }
  package static var dirty: UInt64 { 1 << 6 }
  package static var huge: UInt64 { 1 << 7 }
  package static var protNone: UInt64 { 1 << 8 }
  package static var special: UInt64 { 1 << 9 }
  package static var table: UInt64 { 1 << 11 }

  /// Kinds of swap-type entries: SWP_MIGRATION_READ and its neighbours in include/linux/swap.h.
  package enum SwapKind: UInt64 {
    case migrationRead = 1
    case migrationReadExclusive
    case migrationWrite
    // Of pages that a device has exclusively. From 6.15 on there is one kind, which here is the second.
    case exclusiveRead
    case exclusiveWrite
  }

  /// A leaf that maps `frame`.
  package static func leaf(_ frame: FrameNumber, _ bits: UInt64) -> PageTableEntry {
    PageTableEntry(rawValue: UInt64(frame.rawValue) << 12 | bits)
  }

  /// An upper entry that leads to a table page.
  package static func table(_ id: RowID) -> PageTableEntry {
    PageTableEntry(rawValue: UInt64(id.rawValue) << 12 | table | present | writable | user)
  }

  /// A migration entry; `young` and `dirty` carry the replaced entry's bits, `huge` that it was a PMD entry.
  package static func migration(
    _ kind: SwapKind, _ frame: FrameNumber, young: Bool, dirty: Bool, huge: Bool
  ) -> PageTableEntry {
    PageTableEntry(
      rawValue: UInt64(frame.rawValue) << 12 | kind.rawValue << 1 | (young ? accessed : 0)
        | (dirty ? Self.dirty : 0) | (huge ? Self.huge : 0))
  }

  /// The entry of a page that a device has exclusively.
  package static func exclusive(_ frame: FrameNumber, write: Bool) -> PageTableEntry {
    let kind = write ? SwapKind.exclusiveWrite : .exclusiveRead
    return PageTableEntry(rawValue: UInt64(frame.rawValue) << 12 | kind.rawValue << 1)
  }

  @inline(__always)
  package func has(_ bits: UInt64) -> Bool { rawValue & bits == bits }
  @inline(__always)
  package var isNone: Bool { rawValue == 0 }
  @inline(__always)
  package var isPresent: Bool { rawValue & (Self.present | Self.table) == Self.present }
  @inline(__always)
  package var isTable: Bool { rawValue & Self.table != 0 }
  /// Maps a frame that user space may not touch.
  @inline(__always)
  package var isProtNone: Bool { rawValue & (Self.present | Self.protNone) == Self.protNone }
  /// Maps a frame, accessible or not.
  @inline(__always)
  package var mapsFrame: Bool { isPresent || isProtNone }
  @inline(__always)
  package var isHuge: Bool { rawValue & Self.huge != 0 }
  @inline(__always)
  package var isWritable: Bool { rawValue & Self.writable != 0 }
  /// The entry without the right to write.
  @inline(__always)
  package var writeProtected: PageTableEntry { PageTableEntry(rawValue: rawValue & ~Self.writable) }
  @inline(__always)
  package var isSpecial: Bool { rawValue & Self.special != 0 }
  /// The frame mapped, or the frame that a swap-type entry names.
  @inline(__always)
  package var frame: FrameNumber { FrameNumber(rawValue: UInt32(truncatingIfNeeded: rawValue >> 12)) }
  /// The table page that an upper entry leads to.
  @inline(__always)
  package var tableID: RowID { RowID(rawValue: UInt32(truncatingIfNeeded: rawValue >> 12)) }
  /// The kind of a swap-type entry.
  package var swapKind: SwapKind? { SwapKind(rawValue: kindNumber) }
  /// The number of the kind of a swap-type entry; 0 for others.
  @inline(__always)
  private var kindNumber: UInt64 {
    rawValue & (Self.present | Self.protNone | Self.table) == 0 ? (rawValue >> 1) & 0xf : 0
  }
  /// Whether the entry is that of a page under migration.
  @inline(__always)
  package var isMigration: Bool {
    (SwapKind.migrationRead.rawValue...SwapKind.migrationWrite.rawValue).contains(kindNumber)
  }
  /// Whether a device has the page exclusively.
  @inline(__always)
  package var isExclusive: Bool {
    (SwapKind.exclusiveRead.rawValue...SwapKind.exclusiveWrite.rawValue).contains(kindNumber)
  }
}
