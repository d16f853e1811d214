public import Interleaving

/// The layout of a processor's row: what others look at, then its counters, which only it writes.
@usableFromInline
package enum ProcessorRow: RowLayout {
  @inlinable @_transparent package static var walkers: Field<UInt32> { Field("walkers", .atomic) }
  @inlinable @_transparent package static var node: Field<UInt32> { walkers.next("node", .immutable) }
  @inlinable @_transparent package static var batchLock: Field<SpinLock.Word> {
    node.next("LRU batch lock", .lock(.lruBatch))
  }
  @inlinable @_transparent package static var batchCount: Field<UInt32> {
    batchLock.next("LRU batch length", .guarded(by: batchLock))
  }
  @inlinable @_transparent package static var batch: FieldArray<FrameNumber> {
    batchCount.next("LRU batch", .guarded(by: batchLock), count: Processor.batchCapacity)
  }
  @inlinable @_transparent package static var calls: Field<UInt64> { batch.next("calls", .atomic) }
  @inlinable @_transparent package static var events: FieldArray<UInt64> {
    calls.next("event", .atomic, count: EventCounter.count, by: EventCounter.self, align: 128)
  }
  @inlinable @_transparent package static var nodes: RowArray<NodeCountersRow> {
    events.next("node", .atomic, rows: .max)
  }

  /// Bytes of a row: it has counters for every node.
  static func stride(nodes count: Int) -> Int { (nodes.offset(count) + 127) / 128 * 128 }

  @usableFromInline package static var fields: [any RowField] {
    [walkers, node, batchLock, batchCount, batch, calls, events, nodes]
  }
}

/// The layout of one processor's part of a node's counts.
@usableFromInline
package enum NodeCountersRow: FixedRow {
  @inlinable @_transparent package static var counters: FieldArray<UInt64> {
    FieldArray("count of", .atomic, count: NodeCounter.count, by: NodeCounter.self)
  }
  @inlinable @_transparent package static var lists: RowArray<ListCountsRow> {
    counters.next("zone", .atomic, rows: ZoneKind.count, by: ZoneKind.self)
  }

  @inlinable @_transparent package static var stride: Int { lists.stride(align: 8) }

  @usableFromInline package static var fields: [any RowField] { [counters, lists] }
}

/// The layout of one processor's part of a zone's counts of LRU lists.
@usableFromInline
package enum ListCountsRow: FixedRow {
  @inlinable @_transparent package static var counts: FieldArray<UInt64> {
    FieldArray("count of", .atomic, count: LRUList.count, by: LRUList.self)
  }

  @inlinable @_transparent package static var stride: Int { counts.stride(align: 8) }

  @usableFromInline package static var fields: [any RowField] { [counts] }
}
