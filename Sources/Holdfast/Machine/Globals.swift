package import Interleaving

/// The machine's state that belongs to no table.
package struct Globals {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// Serialises online, offline, add and remove.
  var hotplugLock: SpinLock { row.lock(GlobalRow.hotplugLock) }
  /// One contiguous allocation at a time (the CMA mutex).
  var contiguousLock: SpinLock { row.lock(GlobalRow.contiguousLock) }
  /// Protects the free lists of the tables below.
  var tablesLock: SpinLock { row.lock(GlobalRow.tablesLock) }
  /// Protects pin records and their slots.
  var ledgerLock: SpinLock { row.lock(GlobalRow.ledgerLock) }

  /// The logical clock: advances with every call that a process makes.
  var clock: AtomicUInt64 { row.atomic(GlobalRow.clock) }
  /// Nesting of `lru_cache_disable`: while not zero, nothing waits in batches.
  package var lruBatchesDisabled: AtomicUInt32 { row.atomic(GlobalRow.lruBatchesDisabled) }
  /// The zero page.
  var zeroPage: FrameNumber {
    get { row[GlobalRow.zeroPage] }
    nonmutating set { row[GlobalRow.zeroPage] = newValue }
  }
  /// Pages charged to the user whose processes all of them are, against RLIMIT_MEMLOCK (user_struct.locked_vm).
  package var userLockedPages: AtomicUInt64 { row.atomic(GlobalRow.userLockedPages) }

  /// First free row and high-water mark of a table.
  func pool(_ pool: TablePool) -> PoolState {
    PoolState(
      row: pool == .pinRecords ? row.row(GlobalRow.recordPool) : row.row(GlobalRow.pools, pool.rawValue))
  }

  /// First free run of pin slots of 2^order slots.
  func firstFreeSlots(order: Int) -> UInt32 { row[GlobalRow.freeSlots, order] }
  func setFirstFreeSlots(order: Int, _ slots: UInt32) { row[GlobalRow.freeSlots, order] = slots }
  /// High-water mark of pin slots.
  var slotsUsed: UInt32 {
    get { row[GlobalRow.slotsUsed] }
    nonmutating set { row[GlobalRow.slotsUsed] = newValue }
  }

  /// Protects the hugetlb pools and the flags of free hugetlb folios.
  var hugetlbLock: SpinLock { row.lock(GlobalRow.hugetlbLock) }
  /// Free huge pages that mappings may claim for certain.
  var hugetlbReserved: Int {
    get { Int(row[GlobalRow.hugetlbReserved]) }
    nonmutating set { row[GlobalRow.hugetlbReserved] = UInt64(newValue) }
  }

  /// Pending injected failures of a kind.
  func failures(_ point: FailurePoint) -> AtomicUInt32 {
    row.row(GlobalRow.failures, point.number).atomic(FailureRow.pending)
  }
  /// Attempts that still succeed before those failures begin.
  func failureDelay(_ point: FailurePoint) -> AtomicUInt32 {
    row.row(GlobalRow.failures, point.number).atomic(FailureRow.delay)
  }
}

/// Tables whose rows come and go.
///
/// The last one has a lock of its own, the ledger's.
@usableFromInline
package enum TablePool: Int, CaseIterable {
  case processes, spaces, areas, anonGroups, objects, tablePages
  case containers, domains, deviceGroups, mappings, sharedMemory, mirrors, mirroredPages
  case pinRecords

  @inlinable @_transparent package static var count: Int { 14 }
}

extension TablePool {
  /// All but the last.
  @usableFromInline
  struct UnderTablesLock: CaseIterable, CustomStringConvertible {
    let pool: TablePool
    @usableFromInline static var allCases: [Self] { TablePool.allCases.dropLast().map(Self.init) }
    @usableFromInline var description: String { "\(pool)" }
  }
}

/// The free list of one such table, whose free rows are as `PooledRow` says.
package struct PoolState {
  let row: Row

  /// First free row, 0 for none.
  var firstFree: RowID {
    get { row[PoolRow.firstFree] }
    nonmutating set { row[PoolRow.firstFree] = newValue }
  }
  /// Rows ever used; row 0 never is.
  var used: UInt32 {
    get { row[PoolRow.used] }
    nonmutating set { row[PoolRow.used] = newValue }
  }
}
