public import Interleaving

/// The layout of a page of page-table entries.
@usableFromInline
package enum TablePageRow: RowLayout {
  // Lockless walks read them; changed under the page-table or the object's lock.
  @inlinable @_transparent package static var entries: FieldArray<PageTableEntry> {
    FieldArray("entry", .atomic, count: .max)
  }

  @usableFromInline package static var fields: [any RowField] { [entries] }
}

/// The layout of what is known about a table page beside its entries.
@usableFromInline
package enum TableMetaRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .guarded(by: .tables)) }
  @inlinable @_transparent package static var frame: Field<FrameNumber> { live.next("frame", .immutable) }
  // Under the lock of the tree that the page is part of.
  @inlinable @_transparent package static var used: Field<UInt32> { frame.next("entries in use", .owner) }
  @inlinable @_transparent package static var next: Field<RowID> {
    used.next("next deposit", .guarded(by: .pageTable))
  }

  @inlinable @_transparent package static var stride: Int { next.stride(align: 16) }

  @usableFromInline package static var fields: [any RowField] { [live, frame, used, next] }
}
