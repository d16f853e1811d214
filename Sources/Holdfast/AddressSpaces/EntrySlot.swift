package import Interleaving

/// The memory of one page-table entry, which only this file can write.
package struct EntryCell {
  private let cell: AtomicUInt64

  @inline(__always)
  init(_ cell: AtomicUInt64) { self.cell = cell }

  /// The entry now.
  @inline(__always)
  package func load(_ order: MemoryOrder = .acquire) -> PageTableEntry {
    PageTableEntry(rawValue: cell.load(order))
  }

  @inline(__always)
  fileprivate func store(_ entry: PageTableEntry, _ order: MemoryOrder) { cell.store(entry.rawValue, order) }
}

/// The place of one page-table entry.
package struct EntrySlot {
  /// The entry itself.
  package let cell: EntryCell
  /// 0 for a PTE, 1 for a PMD entry, up to 3 in the root.
  package let level: Int
  /// The table page that holds the entry, and where in it.
  package let table: RowID
  package let index: Int

  /// The entry now.
  @inline(__always)
  package var entry: PageTableEntry { cell.load() }
}

/// The one place where page-table entries change; a mirror of the tables is to be told here.
extension PageTables {
  /// The place of an entry, given its table.
  @inline(__always)
  package func entrySlot(_ table: RowID, _ index: Int, level: Int) -> EntrySlot {
    EntrySlot(cell: tablePage(table).entry(index), level: level, table: table, index: index)
  }

  /// Writes an entry, and counts it in its table.
  ///
  /// - Parameter order: `.sequential` if a later load must not be made before the store.
  /// - Locks: the caller holds the page-table lock, or for the cache of an object the object's lock,
  ///   for a domain of devices the domain's.
  package func setEntry(_ slot: EntrySlot, _ value: PageTableEntry, _ order: MemoryOrder = .release) {
    let before = slot.cell.load(.relaxed)
    slot.cell.store(value, order)
    if before.isNone != value.isNone {
      tableMeta(slot.table).used += value.isNone ? -1 : 1
    }
  }

  /// Writes an entry that stays none or stays something, so that its table need not be counted again.
  @inline(__always)
  func changeEntry(_ cell: EntryCell, to value: PageTableEntry) { cell.store(value, .release) }

  /// Writes an entry that was none; the caller counts it with others by `countEntries`.
  @inline(__always)
  func fillEntry(_ cell: EntryCell, with value: PageTableEntry) { cell.store(value, .release) }

  /// Counts entries of a table that `fillEntry` has written.
  func countEntries(_ table: RowID, added: Int) { tableMeta(table).used += added }

  /// Fills a table to which no entry leads yet with leaves of consecutive frames.
  ///
  /// The store that makes an upper entry lead to the table publishes all of them.
  func fillTable(_ table: RowID, from first: FrameNumber, _ bits: UInt64) {
    for i in 0..<geometry.tableEntries { tablePage(table).entry(i).store(.leaf(first + i, bits), .relaxed) }
    tableMeta(table).used = geometry.tableEntries
  }
}
