package import Interleaving

/// The machine's one row of state that belongs to no table.
package struct GlobalRow {
  /// Where the pending failures begin: two words for each point.
  static let firstFailure = 400
  static let stride = 512

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// Serialises online, offline, add and remove.
  var hotplugLock: SpinLock { SpinLock(row.raw, rank: Ranks.hotplug) }
  /// One contiguous allocation at a time (the CMA mutex).
  var contiguousLock: SpinLock { SpinLock(row.raw + 4, rank: Ranks.contiguous) }
  /// Protects the free lists of the tables below.
  var tablesLock: SpinLock { SpinLock(row.raw + 8, rank: Ranks.tables) }
  /// Protects pin records and their slots.
  var ledgerLock: SpinLock { SpinLock(row.raw + 12, rank: Ranks.ledger) }

  /// The logical clock: advances with every call that a process makes.
  ///
  /// Atomic.
  var clock: AtomicUInt64 { row.uint64(16) }
  /// Nesting of `lru_cache_disable`: while not zero, nothing waits in batches.
  ///
  /// Atomic.
  package var lruBatchesDisabled: AtomicUInt32 { row.uint32(24) }
  /// The zero page.
  ///
  /// Immutable after start.
  var zeroPage: FrameNumber {
    get { FrameNumber(rawValue: row.plain(32)) }
    nonmutating set { row.setPlain(32, newValue.rawValue) }
  }
  /// Pages charged to the user whose processes all of them are, against RLIMIT_MEMLOCK (user_struct.locked_vm).
  ///
  /// Atomic.
  package var userLockedPages: AtomicUInt64 { row.uint64(40) }

  /// First free row and high-water mark of a table.
  ///
  /// Protected by `tablesLock` (pins: `ledgerLock`).
  func pool(_ pool: TablePool) -> PoolState { PoolState(row: Row(row.raw + 64 + pool.rawValue * 8)) }

  /// First free run of pin slots of 2^order slots.
  ///
  /// Protected by `ledgerLock`.
  func freeSlots(order: Int) -> Row { Row(row.raw + 160 + order * 4) }
  /// High-water mark of pin slots.
  ///
  /// Protected by `ledgerLock`.
  var slotsUsed: UInt32 {
    get { row.plain(152) }
    nonmutating set { row.setPlain(152, newValue) }
  }

  /// Protects the hugetlb pools and the flags of free hugetlb folios.
  var hugetlbLock: SpinLock { SpinLock(row.raw + 376, rank: Ranks.hugetlb) }
  /// Free huge pages that mappings may claim for certain.
  ///
  /// Protected by `hugetlbLock`.
  var hugetlbReserved: Int {
    get { Int(row.plain(384, as: UInt64.self)) }
    nonmutating set { row.setPlain(384, UInt64(newValue)) }
  }

  /// Pending injected failures of a kind.
  ///
  /// Atomic.
  func failures(_ point: FailurePoint) -> AtomicUInt32 { row.uint32(Self.firstFailure + point.number * 8) }
  /// Attempts that still succeed before those failures begin.
  ///
  /// Atomic.
  func failureDelay(_ point: FailurePoint) -> AtomicUInt32 {
    row.uint32(Self.firstFailure + 4 + point.number * 8)
  }
}

/// Tables whose rows come and go.
package enum TablePool: Int, CaseIterable {
  case processes, spaces, areas, anonGroups, objects, pinRecords, tablePages
}

/// The free list of one such table: a free row has 0 in its first word and the next free row in its second.
package struct PoolState {
  let row: Row

  /// First free row, 0 for none.
  var firstFree: UInt32 {
    get { row.plain(0) }
    nonmutating set { row.setPlain(0, newValue) }
  }
  /// Rows ever used; row 0 never is.
  var used: UInt32 {
    get { row.plain(4) }
    nonmutating set { row.setPlain(4, newValue) }
  }
}
