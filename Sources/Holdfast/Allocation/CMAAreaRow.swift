public import Interleaving

/// The layout of a CMA area's row.
@usableFromInline
package enum CMAAreaRow: FixedRow {
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> { Field("lock", .lock(.cma)) }
  @inlinable @_transparent package static var orderPerBit: Field<UInt32> {
    lock.next("order per bit", .immutable)
  }
  @inlinable @_transparent package static var base: Field<FrameNumber> {
    orderPerBit.next("base", .immutable)
  }
  @inlinable @_transparent package static var count: Field<UInt64> { base.next("frames", .immutable) }
  @inlinable @_transparent package static var bitmap: Field<UInt64> { count.next("bitmap", .immutable) }
  @inlinable @_transparent package static var pagesSucceeded: Field<UInt64> {
    bitmap.next("pages handed out", .atomic)
  }
  @inlinable @_transparent package static var pagesFailed: Field<UInt64> {
    pagesSucceeded.next("pages asked for in vain", .atomic)
  }

  @inlinable @_transparent package static var stride: Int { pagesFailed.stride(align: 64) }

  @usableFromInline package static var fields: [any RowField] {
    [lock, orderPerBit, base, count, bitmap, pagesSucceeded, pagesFailed]
  }
}

/// The layout of a word of the CMA areas' bitmaps.
@usableFromInline
package enum CMABitmapRow: FixedRow {
  @inlinable @_transparent package static var word: Field<BitWord> { Field("word", .guarded(by: .cma)) }

  @inlinable @_transparent package static var stride: Int { word.stride(align: 8) }

  @usableFromInline package static var fields: [any RowField] { [word] }
}
