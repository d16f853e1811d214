public import Interleaving

/// The layout of the machine's one row of state that belongs to no table.
@usableFromInline
package enum GlobalRow: FixedRow {
  @inlinable @_transparent package static var hotplugLock: Field<SpinLock.Word> {
    Field("hotplug lock", .lock(.hotplug))
  }
  @inlinable @_transparent package static var contiguousLock: Field<SpinLock.Word> {
    hotplugLock.next("contiguous allocation lock", .lock(.contiguous))
  }
  @inlinable @_transparent package static var tablesLock: Field<SpinLock.Word> {
    contiguousLock.next("tables lock", .lock(.tables))
  }
  @inlinable @_transparent package static var ledgerLock: Field<SpinLock.Word> {
    tablesLock.next("ledger lock", .lock(.ledger))
  }
  @inlinable @_transparent package static var clock: Field<UInt64> { ledgerLock.next("clock", .atomic) }
  @inlinable @_transparent package static var lruBatchesDisabled: Field<UInt32> {
    clock.next("LRU batches disabled", .atomic)
  }
  @inlinable @_transparent package static var zeroPage: Field<FrameNumber> {
    lruBatchesDisabled.next("zero page", .immutable)
  }
  @inlinable @_transparent package static var userLockedPages: Field<UInt64> {
    zeroPage.next("locked pages of the user", .atomic)
  }
  @inlinable @_transparent package static var pools: RowArray<PoolRow> {
    userLockedPages.next(
      "pool", .guarded(by: tablesLock), rows: TablePool.count - 1,
      by: TablePool.UnderTablesLock.self, align: 64)
  }
  @inlinable @_transparent package static var recordPool: RowArray<PoolRow> {
    pools.next("pool of pin records", .guarded(by: ledgerLock), rows: 1)
  }
  @inlinable @_transparent package static var slotsUsed: Field<UInt32> {
    recordPool.next("pin slots used", .guarded(by: ledgerLock))
  }
  @inlinable @_transparent package static var freeSlots: FieldArray<UInt32> {
    slotsUsed.next("first free run of pin slots of order", .guarded(by: ledgerLock), count: 32)
  }
  @inlinable @_transparent package static var hugetlbLock: Field<SpinLock.Word> {
    freeSlots.next("hugetlb lock", .lock(.hugetlb), align: 64)
  }
  @inlinable @_transparent package static var hugetlbReserved: Field<UInt64> {
    hugetlbLock.next("reserved huge pages", .guarded(by: hugetlbLock))
  }
  @inlinable @_transparent package static var failures: RowArray<FailureRow> {
    hugetlbReserved.next("point", .atomic, rows: FailurePoint.count, by: FailurePoint.self)
  }

  @inlinable @_transparent package static var stride: Int { failures.stride(align: 64) }

  @usableFromInline package static var fields: [any RowField] {
    [
      hotplugLock, contiguousLock, tablesLock, ledgerLock, clock, lruBatchesDisabled, zeroPage,
      userLockedPages, pools, recordPool, slotsUsed, freeSlots, hugetlbLock, hugetlbReserved, failures,
    ]
  }
}

/// The layout of the free list of a table whose rows come and go.
@usableFromInline
package enum PoolRow: FixedRow {
  @inlinable @_transparent package static var firstFree: Field<RowID> { Field("first free row", .container) }
  @inlinable @_transparent package static var used: Field<UInt32> {
    firstFree.next("rows ever used", .container)
  }

  @inlinable @_transparent package static var stride: Int { used.stride(align: 8) }

  @usableFromInline package static var fields: [any RowField] { [firstFree, used] }
}

/// The beginning of every row of such a table: while the row is free, this is all that it holds.
@usableFromInline
package enum PooledRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .owner) }
  @inlinable @_transparent package static var nextFree: Field<RowID> { live.next("next free row", .owner) }

  @inlinable @_transparent package static var stride: Int { nextFree.stride(align: 8) }

  @usableFromInline package static var fields: [any RowField] { [live, nextFree] }
}

/// The layout of what is left of the failures that were asked for at a point.
@usableFromInline
package enum FailureRow: FixedRow {
  @inlinable @_transparent package static var pending: Field<UInt32> { Field("failures asked for", .atomic) }
  @inlinable @_transparent package static var delay: Field<UInt32> {
    pending.next("attempts before failures", .atomic)
  }

  @inlinable @_transparent package static var stride: Int { delay.stride(align: 8) }

  @usableFromInline package static var fields: [any RowField] { [pending, delay] }
}
