public import Interleaving

/// The layout of a node's pool of huge pages.
@usableFromInline
package enum HugetlbPoolRow: FixedRow {
  @inlinable @_transparent package static var freeList: RowArray<FrameListRow> {
    RowArray("free list", .guarded(by: .hugetlb), count: 1)
  }
  @inlinable @_transparent package static var total: Field<UInt64> {
    freeList.next("total", .guarded(by: .hugetlb))
  }
  @inlinable @_transparent package static var surplus: Field<UInt64> {
    total.next("surplus", .guarded(by: .hugetlb))
  }

  @inlinable @_transparent package static var stride: Int { surplus.stride(align: 64) }

  @usableFromInline package static var fields: [any RowField] { [freeList, total, surplus] }
}
