public import Interleaving

/// The layout of a node's row.
@usableFromInline
package enum NodeRow: FixedRow {
  @inlinable @_transparent package static var lruLock: Field<SpinLock.Word> { Field("LRU lock", .lock(.lru)) }
  @inlinable @_transparent package static var lists: RowArray<FrameListRow> {
    lruLock.next("list", .guarded(by: lruLock), rows: LRUList.count, by: LRUList.self)
  }

  @inlinable @_transparent package static var stride: Int { lists.stride(align: 128) }

  @usableFromInline package static var fields: [any RowField] { [lruLock, lists] }
}

/// The layout of a zone's row: what every allocation looks at, then the free lists by order and type.
@usableFromInline
package enum ZoneRow: RowLayout {
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> { Field("lock", .lock(.zone)) }
  @inlinable @_transparent package static var perCPUDisabled: Field<UInt32> {
    lock.next("per-CPU lists disabled", .atomic)
  }
  @inlinable @_transparent package static var start: Field<FrameNumber> {
    perCPUDisabled.next("start", .bothToWrite(.hotplug, .zone))
  }
  @inlinable @_transparent package static var spanned: Field<UInt64> {
    start.next("spanned", .bothToWrite(.hotplug, .zone))
  }
  @inlinable @_transparent package static var present: Field<UInt64> {
    spanned.next("present", .atomic(writtenUnder: .hotplug))
  }
  @inlinable @_transparent package static var managed: Field<UInt64> {
    present.next("managed", .atomic(writtenUnder: .hotplug))
  }
  @inlinable @_transparent package static var cma: Field<UInt64> {
    managed.next("CMA", .atomic(writtenUnder: .zone))
  }
  @inlinable @_transparent package static var free: Field<UInt64> {
    cma.next("free", .atomic(writtenUnder: .zone))
  }
  @inlinable @_transparent package static var freeCMA: Field<UInt64> {
    free.next("free CMA", .atomic(writtenUnder: .zone))
  }
  @inlinable @_transparent package static var isolatedPageblocks: Field<UInt64> {
    freeCMA.next("isolated pageblocks", .atomic(writtenUnder: .zone))
  }
  @inlinable @_transparent package static var deferred: Field<UInt64> {
    isolatedPageblocks.next("deferred", .atomic(writtenUnder: .zone))
  }
  @inlinable @_transparent package static var deferredCursor: Field<UInt64> {
    deferred.next("deferred cursor", .guarded(by: lock))
  }
  @inlinable @_transparent package static var highAtomic: Field<UInt64> {
    deferredCursor.next("high atomic", .atomic(writtenUnder: .zone))
  }
  @inlinable @_transparent package static var watermarks: FieldArray<UInt64> {
    highAtomic.next("watermark", .atomic(writtenUnder: .hotplug), count: 3)
  }
  @inlinable @_transparent package static var protections: FieldArray<UInt64> {
    watermarks.next(
      "protection from", .atomic(writtenUnder: .hotplug), count: ZoneKind.count, by: ZoneKind.self)
  }
  @inlinable @_transparent package static var perCPUHigh: Field<UInt32> {
    protections.next("per-CPU high", .atomic(writtenUnder: .hotplug))
  }
  @inlinable @_transparent package static var perCPUBatch: Field<UInt32> {
    perCPUHigh.next("per-CPU batch", .atomic(writtenUnder: .hotplug))
  }
  @inlinable @_transparent package static var compactionMigrate: Field<FrameNumber> {
    perCPUBatch.next("compaction migrate scanner", .guarded(by: lock))
  }
  @inlinable @_transparent package static var compactionFree: Field<FrameNumber> {
    compactionMigrate.next("compaction free scanner", .guarded(by: lock))
  }
  @inlinable @_transparent package static var freeLists: RowArray<FreeListsRow> {
    compactionFree.next("order", .guarded(by: lock), rows: .max, align: 128)
  }

  /// Bytes of a row: it has lists for every order.
  static func stride(_ geometry: Geometry) -> Int {
    (freeLists.offset(geometry.maxOrder + 1) + 127) / 128 * 128
  }

  @usableFromInline package static var fields: [any RowField] {
    [
      lock, perCPUDisabled, start, spanned, present, managed, cma, free, freeCMA, isolatedPageblocks,
      deferred, deferredCursor, highAtomic, watermarks, protections, perCPUHigh, perCPUBatch,
      compactionMigrate, compactionFree, freeLists,
    ]
  }
}

/// The layout of a zone's free lists of one order.
@usableFromInline
package enum FreeListsRow: FixedRow {
  @inlinable @_transparent package static var lists: RowArray<FrameListRow> {
    RowArray("list", .container, count: MigrateType.count, by: MigrateType.self)
  }

  @inlinable @_transparent package static var stride: Int { lists.stride(align: 16) }

  @usableFromInline package static var fields: [any RowField] { [lists] }
}

/// The layout of one processor's lists in one zone.
@usableFromInline
package enum PerCPUListsRow: FixedRow {
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> { Field("lock", .lock(.perCPU)) }
  @inlinable @_transparent package static var count: Field<UInt32> {
    lock.next("frames", .guarded(by: lock))
  }
  @inlinable @_transparent package static var lists: RowArray<FrameListRow> {
    count.next("list", .guarded(by: lock), rows: PerCPULists.listCount)
  }
  @inlinable @_transparent package static var limit: Field<UInt32> {
    lists.next("limit", .guarded(by: lock))
  }

  // `AllocationRoute` keeps other things in the low bits of a row's place.
  @inlinable @_transparent package static var stride: Int { limit.stride(align: 256) }

  @usableFromInline package static var fields: [any RowField] { [lock, count, lists, limit] }
}

/// The layout of a memory block's row.
@usableFromInline
package enum MemoryBlockRow: FixedRow {
  @inlinable @_transparent package static var state: Field<BlockStateWord> {
    Field("state", .atomic(writtenUnder: .hotplug))
  }
  // One more than the zone's number, 0 for none.
  @inlinable @_transparent package static var zone: Field<UInt32> {
    state.next("zone", .atomic(writtenUnder: .hotplug))
  }
  // Written while the state says that there is no memory.
  @inlinable @_transparent package static var node: Field<UInt32> {
    zone.next("node", .written(under: .hotplug))
  }
  @inlinable @_transparent package static var present: Field<UInt32> {
    node.next("present", .written(under: .hotplug))
  }

  @inlinable @_transparent package static var stride: Int { present.stride(align: 32) }

  @usableFromInline package static var fields: [any RowField] { [state, zone, node, present] }
}
