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

/// The layout of a lock that faults on huge pages of the pool take (hugetlb_fault_mutex_table).
@usableFromInline
package enum HugetlbFaultMutexRow: FixedRow {
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> {
    Field("lock", .lock(.hugetlbFault))
  }

  @inlinable @_transparent package static var stride: Int { lock.stride(align: 64) }

  @usableFromInline package static var fields: [any RowField] { [lock] }

  /// Number of locks: a power of two, eight or more for each processor, one on a machine with one
  /// (mm/hugetlb.c:hugetlb_init (6.1)).
  static func count(processors: Int) -> Int {
    var count = 1
    while processors > 1, count < 8 * processors { count *= 2 }
    return count
  }
}
