public import Interleaving

/// The layout of a page's descriptor.
@usableFromInline
package enum PageRow: FixedRow {
  @inlinable @_transparent package static var refcount: Field<Int32> { Field("refcount", .atomic) }
  // Under the lock of the tables that map the page: several spaces' tables may.
  @inlinable @_transparent package static var mapcount: Field<Int32> {
    refcount.next("mapcount", .atomic(writtenUnder: .pageTable))
  }
  @inlinable @_transparent package static var flags: Field<PageFlags> { mapcount.next("flags", .atomic) }
  @inlinable @_transparent package static var pincount: Field<Int32> { flags.next("pincount", .atomic) }
  @inlinable @_transparent package static var entireMapcount: Field<Int32> {
    pincount.next("entire mapcount", .atomic(writtenUnder: .pageTable))
  }
  // A lockless walk reads it.
  @inlinable @_transparent package static var headOffset: Field<UInt32> {
    entireMapcount.next("head offset", .atomic)
  }
  // Merging and walkers look at frames of others. Changed under the zone or per-CPU lock for free frames, else by
  // the owner of the folio.
  @inlinable @_transparent package static var state: Field<PageState> { headOffset.next("type", .atomic) }
  @inlinable @_transparent package static var mapping: Field<PageMapping> {
    state.next("mapping", .atomic(writtenUnder: .page))
  }
  // Under the lock of the list that the page is on, if the list is not its owner's alone.
  @inlinable @_transparent package static var next: Field<FrameNumber> { mapping.next("next", .owner) }
  @inlinable @_transparent package static var previous: Field<FrameNumber> { next.next("previous", .owner) }
  // Under no one lock: several spaces may map the folio, each under its own page-table lock.
  @inlinable @_transparent package static var pagesMapped: Field<Int32> {
    previous.next("pages mapped", .atomic)
  }
  // A reader has a reference on a page that is mapped or cached, which keeps its index.
  @inlinable @_transparent package static var index: Field<UInt64> {
    pagesMapped.next("index", .written(under: .page))
  }
  // Protected like the bytes: by nothing.
  @inlinable @_transparent package static var contentTag: Field<UInt64> { index.next("contents", .atomic) }

  // A cache line, which the fields must fit; builds without optimisation would add it up for every frame.
  @inlinable @_transparent package static var stride: Int { 64 }

  @usableFromInline package static var fields: [any RowField] {
    [
      refcount, mapcount, flags, pincount, entireMapcount, headOffset, state, mapping, next, previous,
      pagesMapped, index, contentTag,
    ]
  }
}

/// The layout of the ends of a list of pages.
@usableFromInline
package enum FrameListRow: FixedRow {
  // The watermark test looks whether there is one without the lock.
  @inlinable @_transparent package static var first: Field<FrameNumber> {
    Field("first frame", .atomicInContainer)
  }
  @inlinable @_transparent package static var last: Field<FrameNumber> {
    first.next("last frame", .container)
  }
  @inlinable @_transparent package static var count: Field<Int> { last.next("length", .container) }

  @inlinable @_transparent package static var stride: Int { count.stride(align: 16) }

  @usableFromInline package static var fields: [any RowField] { [first, last, count] }
}
