public import Interleaving

/// The layout of a backing object's row.
@usableFromInline
package enum BackingObjectRow: FixedRow {
  @inlinable @_transparent package static var users: Field<UInt32> { Field("users", .guarded(by: .tables)) }
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> {
    users.next("lock", .lock(.object))
  }
  @inlinable @_transparent package static var kind: Field<UInt32> { lock.next("kind", .immutable) }
  @inlinable @_transparent package static var rootTable: Field<RowID> {
    kind.next("root table", .guarded(by: lock))
  }
  @inlinable @_transparent package static var pages: Field<UInt64> {
    rootTable.next("pages", .immutable)
  }
  @inlinable @_transparent package static var firstArea: Field<RowID> {
    pages.next("first area", .guarded(by: lock))
  }
  @inlinable @_transparent package static var height: Field<UInt32> {
    firstArea.next("height", .guarded(by: lock))
  }
  @inlinable @_transparent package static var cachedPages: Field<UInt64> {
    height.next("cached pages", .guarded(by: lock))
  }

  @inlinable @_transparent package static var stride: Int { cachedPages.stride(align: 64) }

  @usableFromInline package static var fields: [any RowField] {
    [users, lock, kind, rootTable, pages, firstArea, height, cachedPages]
  }
}

/// A backing object (address_space with its inode): page cache and areas that map it.
package struct BackingObject {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// The same row without checks of locks, while no other thread can reach it: not yet, or not any more.
  var unshared: BackingObject { BackingObject(row.unshared) }

  /// Areas, handles and walks that hold the object; free at 0.
  package var users: UInt32 {
    get { row[BackingObjectRow.users] }
    nonmutating set { row[BackingObjectRow.users] = newValue }
  }
  /// Protects the cache and the list of areas.
  package var lock: SpinLock { row.lock(BackingObjectRow.lock) }
  /// What the object is.
  package var kind: ObjectKind {
    get { ObjectKind(rawValue: row[BackingObjectRow.kind]) ?? .memfd }
    nonmutating set { row[BackingObjectRow.kind] = newValue.rawValue }
  }
  /// Root of the cache, a tree of table pages whose leaves hold frames.
  package var rootTable: RowID {
    get { row[BackingObjectRow.rootTable] }
    nonmutating set { row[BackingObjectRow.rootTable] = newValue }
  }
  /// Size in pages.
  package var pages: UInt64 {
    get { row[BackingObjectRow.pages] }
    nonmutating set { row[BackingObjectRow.pages] = newValue }
  }
  /// First area.
  package var firstArea: RowID {
    get { row[BackingObjectRow.firstArea] }
    nonmutating set { row[BackingObjectRow.firstArea] = newValue }
  }
  /// Levels of the cache's tree, 0 while it is empty.
  package var height: Int {
    get { Int(row[BackingObjectRow.height]) }
    nonmutating set { row[BackingObjectRow.height] = UInt32(newValue) }
  }
  /// Pages in the cache.
  package var cachedPages: UInt64 {
    get { row[BackingObjectRow.cachedPages] }
    nonmutating set { row[BackingObjectRow.cachedPages] = newValue }
  }
}

/// What a backing object is.
public enum ObjectKind: UInt32, Hashable, Sendable {
  /// Shared anonymous memory.
  case sharedAnonymous = 1
  /// A memfd.
  case memfd
  /// A hugetlb file.
  case hugetlb
  /// Pages of the host that a live machine was read from.
  case host
}
