public import Interleaving

/// The layout of an area's row.
@usableFromInline
package enum VirtualMemoryAreaRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .guarded(by: .tables)) }
  @inlinable @_transparent package static var space: Field<RowID> { live.next("space", .immutable) }
  // The reverse mapping reads them under the lock of the object or group, which is taken to change them too.
  @inlinable @_transparent package static var start: Field<UInt64> {
    space.next("first page", .guarded(by: .addressSpace, orToRead: .object, .anonGroup))
  }
  @inlinable @_transparent package static var end: Field<UInt64> {
    start.next("end", .guarded(by: .addressSpace, orToRead: .object, .anonGroup))
  }
  // The reverse mapping reads it under the page-table lock only.
  @inlinable @_transparent package static var flags: Field<VirtualMemoryAreaFlags> {
    end.next("flags", .bothToWrite(.addressSpace, .pageTable))
  }
  @inlinable @_transparent package static var pageOffset: Field<UInt64> {
    flags.next("page offset", .guarded(by: .addressSpace, orToRead: .object, .anonGroup))
  }
  @inlinable @_transparent package static var object: Field<RowID> {
    pageOffset.next("object", .immutable)
  }
  // Set once.
  @inlinable @_transparent package static var anonGroup: Field<RowID> {
    object.next("anonymous group", .atomic(writtenUnder: .pageTable))
  }
  @inlinable @_transparent package static var left: Field<RowID> {
    anonGroup.next("left area", .guarded(by: .addressSpace))
  }
  @inlinable @_transparent package static var right: Field<RowID> {
    left.next("right area", .guarded(by: .addressSpace))
  }
  @inlinable @_transparent package static var groupNext: Field<RowID> {
    right.next("next area of the group", .guarded(by: .anonGroup))
  }
  @inlinable @_transparent package static var groupPrevious: Field<RowID> {
    groupNext.next("previous area of the group", .guarded(by: .anonGroup))
  }
  @inlinable @_transparent package static var objectNext: Field<RowID> {
    groupPrevious.next("next area of the object", .guarded(by: .object))
  }
  @inlinable @_transparent package static var objectPrevious: Field<RowID> {
    objectNext.next("previous area of the object", .guarded(by: .object))
  }
  @inlinable @_transparent package static var reservations: Field<RowID> {
    objectPrevious.next("reservations", .immutable)
  }
  @inlinable @_transparent package static var lostPage: Field<UInt32> {
    reservations.next("lost a page", .atomic(writtenUnder: .pageTable))
  }

  @inlinable @_transparent package static var stride: Int { lostPage.stride(align: 32) }

  @usableFromInline package static var fields: [any RowField] {
    [
      live, space, start, end, flags, pageOffset, object, anonGroup, left, right, groupNext, groupPrevious,
      objectNext, objectPrevious, reservations, lostPage,
    ]
  }
}

/// An area (vm_area_struct): a handle to its row.
package struct VirtualMemoryArea {
  let row: Row
  package let id: RowID

  @inline(__always)
  init(_ row: Row, id: RowID) {
    self.row = row
    self.id = id
  }

  /// The same row without checks of locks, while no other thread can reach it: not yet, or not any more.
  var unshared: VirtualMemoryArea { VirtualMemoryArea(row.unshared, id: id) }

  /// 1 while the row is in use.
  package var live: UInt32 {
    get { row[VirtualMemoryAreaRow.live] }
    nonmutating set { row[VirtualMemoryAreaRow.live] = newValue }
  }
  /// The address space.
  package var space: RowID {
    get { row[VirtualMemoryAreaRow.space] }
    nonmutating set { row[VirtualMemoryAreaRow.space] = newValue }
  }
  /// First virtual page, and one past the last.
  package var start: UInt64 {
    get { row[VirtualMemoryAreaRow.start] }
    nonmutating set { row[VirtualMemoryAreaRow.start] = newValue }
  }
  package var end: UInt64 {
    get { row[VirtualMemoryAreaRow.end] }
    nonmutating set { row[VirtualMemoryAreaRow.end] = newValue }
  }
  /// What the area is and allows.
  package var flags: VirtualMemoryAreaFlags {
    get { row[VirtualMemoryAreaRow.flags] }
    nonmutating set { row[VirtualMemoryAreaRow.flags] = newValue }
  }
  /// vm_pgoff: the object's page at `start`; for private anonymous memory the first page's number at creation.
  package var pageOffset: UInt64 {
    get { row[VirtualMemoryAreaRow.pageOffset] }
    nonmutating set { row[VirtualMemoryAreaRow.pageOffset] = newValue }
  }
  /// The backing object, none for private anonymous memory.
  package var object: RowID {
    get { row[VirtualMemoryAreaRow.object] }
    nonmutating set { row[VirtualMemoryAreaRow.object] = newValue }
  }
  /// The anonymous group, none until the first anonymous page.
  package var anonGroup: RowID {
    get { RowID(rawValue: row.atomic(VirtualMemoryAreaRow.anonGroup).load(.acquire)) }
    nonmutating set { row.atomic(VirtualMemoryAreaRow.anonGroup).store(newValue.rawValue, .release) }
  }
  /// Tree of the address space.
  package var left: RowID {
    get { row[VirtualMemoryAreaRow.left] }
    nonmutating set { row[VirtualMemoryAreaRow.left] = newValue }
  }
  package var right: RowID {
    get { row[VirtualMemoryAreaRow.right] }
    nonmutating set { row[VirtualMemoryAreaRow.right] = newValue }
  }
  /// Next and previous area of the same anonymous group.
  package var groupNext: RowID {
    get { row[VirtualMemoryAreaRow.groupNext] }
    nonmutating set { row[VirtualMemoryAreaRow.groupNext] = newValue }
  }
  package var groupPrevious: RowID {
    get { row[VirtualMemoryAreaRow.groupPrevious] }
    nonmutating set { row[VirtualMemoryAreaRow.groupPrevious] = newValue }
  }
  /// Next and previous area of the same object.
  package var objectNext: RowID {
    get { row[VirtualMemoryAreaRow.objectNext] }
    nonmutating set { row[VirtualMemoryAreaRow.objectNext] = newValue }
  }
  package var objectPrevious: RowID {
    get { row[VirtualMemoryAreaRow.objectPrevious] }
    nonmutating set { row[VirtualMemoryAreaRow.objectPrevious] = newValue }
  }
  /// The object whose cache holds the marks of the huge pages that were reserved for a private hugetlb mapping.
  ///
  /// None for other areas, and for a child's copy, for which nothing is reserved. It stands for HPAGE_RESV_OWNER, and
  /// the object for struct resv_map.
  package var reservations: RowID {
    get { row[VirtualMemoryAreaRow.reservations] }
    nonmutating set { row[VirtualMemoryAreaRow.reservations] = newValue }
  }
  /// HPAGE_RESV_UNMAPPED: whether the owner of the pool's pages took one away from this area.
  ///
  /// What a page held is lost to the area then, so that no fault may fill a hole with zeros.
  package var lostPage: Bool {
    get { row.atomic(VirtualMemoryAreaRow.lostPage).load(.relaxed) != 0 }
    nonmutating set { row.atomic(VirtualMemoryAreaRow.lostPage).store(newValue ? 1 : 0, .relaxed) }
  }

  /// Whether the area is private and may become writable: writes copy.
  package var isCopyOnWrite: Bool { flags.contains(.mayWrite) && !flags.contains(.shared) }
  /// Whether no object backs the area.
  package var isAnonymous: Bool { object == .none }
  /// The page offset that backs a virtual page.
  package func offset(of page: UInt64) -> UInt64 { page - start + pageOffset }
}

/// Protection and behaviour of an area (VM_* bits, rule 5.4).
public struct VirtualMemoryAreaFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
  /// The bits.
  public let rawValue: UInt64
  /// Flags with those bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// VM_READ.
  public static let read = VirtualMemoryAreaFlags(rawValue: 1 << 0)
  /// VM_WRITE.
  public static let write = VirtualMemoryAreaFlags(rawValue: 1 << 1)
  /// VM_EXEC.
  public static let execute = VirtualMemoryAreaFlags(rawValue: 1 << 2)
  /// VM_SHARED.
  public static let shared = VirtualMemoryAreaFlags(rawValue: 1 << 3)
  /// VM_MAYREAD.
  public static let mayRead = VirtualMemoryAreaFlags(rawValue: 1 << 4)
  /// VM_MAYWRITE.
  public static let mayWrite = VirtualMemoryAreaFlags(rawValue: 1 << 5)
  /// VM_LOCKED.
  public static let locked = VirtualMemoryAreaFlags(rawValue: 1 << 13)
  /// VM_PFNMAP: frames without descriptors; never pinned.
  public static let frameMap = VirtualMemoryAreaFlags(rawValue: 1 << 10)
  /// VM_IO.
  public static let io = VirtualMemoryAreaFlags(rawValue: 1 << 14)
  /// VM_DONTCOPY: MADV_DONTFORK.
  public static let dontCopy = VirtualMemoryAreaFlags(rawValue: 1 << 17)
  /// VM_HUGETLB.
  public static let hugetlb = VirtualMemoryAreaFlags(rawValue: 1 << 22)
  /// VM_WIPEONFORK: MADV_WIPEONFORK.
  public static let wipeOnFork = VirtualMemoryAreaFlags(rawValue: 1 << 25)
  /// VM_HUGEPAGE: MADV_HUGEPAGE.
  public static let hugePage = VirtualMemoryAreaFlags(rawValue: 1 << 29)
  /// VM_NOHUGEPAGE: MADV_NOHUGEPAGE.
  public static let noHugePage = VirtualMemoryAreaFlags(rawValue: 1 << 30)
  /// VM_NOMOVABLE of seed 004: faults allocate in the pin scope.
  ///
  /// The seed takes bit 32, which is the first bit of a protection key on x86. Protection keys are not modelled, so
  /// the bit means nothing else here.
  public static let noMovable = VirtualMemoryAreaFlags(rawValue: 1 << 32)
}
