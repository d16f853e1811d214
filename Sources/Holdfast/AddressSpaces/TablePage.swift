package import Interleaving

/// A page of page-table entries: 2^tableBits words of the table arena.
@frozen
package struct TablePage {
  @usableFromInline let row: Row

  @inline(__always)
  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// One entry.
  ///
  /// Atomic: lockless walks read it; changed under the page-table or object lock.
  @inline(__always)
  package func entry(_ index: Int) -> EntryCell { EntryCell(row.uint64(index &* 8)) }

  /// The entries from one on, numbered from zero.
  @inline(__always)
  func entries(from first: Int) -> Entries { Entries(row: Row(row.raw + first &* 8)) }

  /// Consecutive entries of a table page.
  struct Entries {
    fileprivate let row: Row

    @inline(__always)
    subscript(_ index: Int) -> EntryCell { EntryCell(row.uint64(index &* 8)) }
  }
}

/// What is known about a table page beside its entries.
package struct TableMeta {
  static let stride = 16

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// 1 while in use.
  ///
  /// Protected by the tables lock.
  package var live: UInt32 {
    get { row.plain(0) }
    nonmutating set { row.setPlain(0, newValue) }
  }
  /// The frame charged for it.
  ///
  /// Immutable while in use.
  package var frame: FrameNumber {
    get { FrameNumber(rawValue: row.plain(4)) }
    nonmutating set { row.setPlain(4, newValue.rawValue) }
  }
  /// Entries that are not none.
  ///
  /// Protected by the lock of the tree that the page is part of.
  package var used: Int {
    get { Int(row.plain(8, as: UInt32.self)) }
    nonmutating set { row.setPlain(8, UInt32(newValue)) }
  }
  /// The next table page in a list of deposits.
  ///
  /// Protected by the page-table lock.
  package var next: RowID {
    get { RowID(rawValue: row.plain(12)) }
    nonmutating set { row.setPlain(12, newValue.rawValue) }
  }
}
