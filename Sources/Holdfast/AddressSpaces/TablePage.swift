package import Interleaving

/// A page of page-table entries: 2^tableBits words of the table arena.
@frozen
package struct TablePage {
  @usableFromInline let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// One entry.
  @inline(__always)
  package func entry(_ index: Int) -> EntryCell { EntryCell(row.atomic(TablePageRow.entries, index)) }

  /// The entries from one on, numbered from zero.
  @inline(__always)
  func entries(from first: Int) -> Entries {
    Entries(row: Row(row.raw + TablePageRow.entries.offset(first)))
  }

  /// Consecutive entries of a table page.
  struct Entries {
    fileprivate let row: Row

    @inline(__always)
    subscript(_ index: Int) -> EntryCell { EntryCell(row.atomic(TablePageRow.entries, index)) }
  }
}

/// What is known about a table page beside its entries.
package struct TableMeta {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// The same row without checks of locks, while no other thread can reach it: not yet, or not any more.
  var unshared: TableMeta { TableMeta(row.unshared) }

  /// 1 while in use.
  package var live: UInt32 {
    get { row[TableMetaRow.live] }
    nonmutating set { row[TableMetaRow.live] = newValue }
  }
  /// The frame charged for it.
  package var frame: FrameNumber {
    get { row[TableMetaRow.frame] }
    nonmutating set { row[TableMetaRow.frame] = newValue }
  }
  /// Entries that are not none.
  package var used: Int {
    get { Int(row[TableMetaRow.used]) }
    nonmutating set { row[TableMetaRow.used] = UInt32(newValue) }
  }
  /// The next table page in a list of deposits.
  package var next: RowID {
    get { row[TableMetaRow.next] }
    nonmutating set { row[TableMetaRow.next] = newValue }
  }
}
