public import Interleaving

/// The layout of an anonymous group's row.
@usableFromInline
package enum AnonGroupRow: FixedRow {
  @inlinable @_transparent package static var users: Field<UInt32> { Field("users", .guarded(by: .tables)) }
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> {
    users.next("lock", .lock(.anonGroup))
  }
  @inlinable @_transparent package static var firstArea: Field<RowID> {
    lock.next("first area", .guarded(by: lock))
  }

  @inlinable @_transparent package static var stride: Int { firstArea.stride(align: 16) }

  @usableFromInline package static var fields: [any RowField] { [users, lock, firstArea] }
}

/// Areas that may map the same anonymous pages (anon_vma).
package struct AnonGroup {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// Areas plus walks of its mappings; the row is free at 0.
  package var users: UInt32 {
    get { row[AnonGroupRow.users] }
    nonmutating set { row[AnonGroupRow.users] = newValue }
  }
  package var lock: SpinLock { row.lock(AnonGroupRow.lock) }
  /// First area.
  package var firstArea: RowID {
    get { row[AnonGroupRow.firstArea] }
    nonmutating set { row[AnonGroupRow.firstArea] = newValue }
  }
}
