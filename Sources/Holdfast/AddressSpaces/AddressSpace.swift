public import Interleaving

/// The layout of an address space's row.
@usableFromInline
package enum AddressSpaceRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> {
    Field("references", .guarded(by: .tables))
  }
  @inlinable @_transparent package static var lock: Field<ReadWriteLock.Word> {
    live.next("lock", .lock(.addressSpace))
  }
  @inlinable @_transparent package static var pageTableLock: Field<SpinLock.Word> {
    lock.next("page table lock", .lock(.pageTable))
  }
  @inlinable @_transparent package static var writeProtectSequence: Field<SequenceCount.Word> {
    pageTableLock.next("write protect sequence", .sequence)
  }
  @inlinable @_transparent package static var flags: Field<UInt64> {
    writeProtectSequence.next("flags", .atomic)
  }
  @inlinable @_transparent package static var rootTable: Field<RowID> { flags.next("root table", .immutable) }
  @inlinable @_transparent package static var areaRoot: Field<RowID> {
    rootTable.next("root of the areas", .guarded(by: lock))
  }
  @inlinable @_transparent package static var areaCount: Field<UInt32> {
    areaRoot.next("areas", .guarded(by: lock))
  }
  @inlinable @_transparent package static var owner: Field<ProcessID> { areaCount.next("owner", .immutable) }
  @inlinable @_transparent package static var lockedPages: Field<UInt64> {
    owner.next("locked pages", .atomic)
  }
  @inlinable @_transparent package static var pinnedPages: Field<UInt64> {
    lockedPages.next("pinned pages", .atomic)
  }
  @inlinable @_transparent package static var residentAnon: Field<UInt64> {
    pinnedPages.next("resident anonymous pages", .atomic(writtenUnder: .pageTable))
  }
  @inlinable @_transparent package static var residentFile: Field<UInt64> {
    residentAnon.next("resident file pages", .atomic(writtenUnder: .pageTable))
  }
  @inlinable @_transparent package static var residentShared: Field<UInt64> {
    residentFile.next("resident shared pages", .atomic(writtenUnder: .pageTable))
  }
  @inlinable @_transparent package static var tablePages: Field<UInt64> {
    residentShared.next("table pages", .atomic(writtenUnder: .pageTable))
  }
  @inlinable @_transparent package static var firstDeposit: Field<RowID> {
    tablePages.next("first deposit", .guarded(by: pageTableLock))
  }
  @inlinable @_transparent package static var grabs: Field<UInt32> {
    firstDeposit.next("grabs", .guarded(by: .tables))
  }
  @inlinable @_transparent package static var firstMirror: Field<RowID> {
    grabs.next("first mirror", .guarded(by: pageTableLock))
  }

  @inlinable @_transparent package static var stride: Int { firstMirror.stride(align: 64) }

  @usableFromInline package static var fields: [any RowField] {
    [
      live, lock, pageTableLock, writeProtectSequence, flags, rootTable, areaRoot, areaCount, owner,
      lockedPages, pinnedPages, residentAnon, residentFile, residentShared, tablePages, firstDeposit, grabs,
      firstMirror,
    ]
  }
}

/// An address space (mm_struct): a handle to its row.
package struct AddressSpace {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// The same row without checks of locks, while no other thread can reach it: not yet, or not any more.
  var unshared: AddressSpace { AddressSpace(row.unshared) }

  /// References: 1 while its process lives, more while someone pins remotely.
  package var live: UInt32 {
    get { row[AddressSpaceRow.live] }
    nonmutating set { row[AddressSpaceRow.live] = newValue }
  }
  /// mmap_lock: protects the areas.
  package var lock: ReadWriteLock { row.lock(AddressSpaceRow.lock) }
  /// Protects the entries of all its page tables.
  package var pageTableLock: SpinLock { row.lock(AddressSpaceRow.pageTableLock) }
  /// The same lock while a parent, whose own it holds, fills the tables of this space.
  ///
  /// No thread that has the lock of a child takes that of its parent.
  package var childPageTableLock: SpinLock {
    SpinLock(row.raw + AddressSpaceRow.pageTableLock.offset, rank: .childPageTable)
  }
  /// write_protect_seq: odd while fork copies.
  package var writeProtectSequence: SequenceCount { row.sequence(AddressSpaceRow.writeProtectSequence) }
  /// MMF_* flags.
  package var flags: AtomicUInt64 { row.atomic(AddressSpaceRow.flags) }
  /// MMF_HAS_PINNED (rule 5.3).
  package static let hasPinned: UInt64 = 1 << 27

  /// Top-level table page.
  package var rootTable: RowID {
    get { row[AddressSpaceRow.rootTable] }
    nonmutating set { row[AddressSpaceRow.rootTable] = newValue }
  }
  /// Root of the tree of areas, and their number.
  package var areaRoot: RowID {
    get { row[AddressSpaceRow.areaRoot] }
    nonmutating set { row[AddressSpaceRow.areaRoot] = newValue }
  }
  package var areaCount: Int {
    get { Int(row[AddressSpaceRow.areaCount]) }
    nonmutating set { row[AddressSpaceRow.areaCount] = UInt32(newValue) }
  }
  /// The process that owns the space.
  package var owner: ProcessID {
    get { row[AddressSpaceRow.owner] }
    nonmutating set { row[AddressSpaceRow.owner] = newValue }
  }

  /// locked_vm (VmLck) in pages.
  package var lockedPages: AtomicUInt64 { row.atomic(AddressSpaceRow.lockedPages) }
  /// pinned_vm (VmPin) in pages.
  package var pinnedPages: AtomicUInt64 { row.atomic(AddressSpaceRow.pinnedPages) }
  /// Resident anonymous, file and shared pages.
  package var residentAnon: AtomicUInt64 { row.atomic(AddressSpaceRow.residentAnon) }
  package var residentFile: AtomicUInt64 { row.atomic(AddressSpaceRow.residentFile) }
  package var residentShared: AtomicUInt64 { row.atomic(AddressSpaceRow.residentShared) }
  /// Table pages in use.
  package var tablePages: AtomicUInt64 { row.atomic(AddressSpaceRow.tablePages) }
  /// Table pages kept ready for splitting huge mappings, one for each: the first.
  package var firstDeposit: RowID {
    get { row[AddressSpaceRow.firstDeposit] }
    nonmutating set { row[AddressSpaceRow.firstDeposit] = newValue }
  }
  /// Grabs: they keep the row, not what is mapped (mm_count).
  package var grabs: UInt32 {
    get { row[AddressSpaceRow.grabs] }
    nonmutating set { row[AddressSpaceRow.grabs] = newValue }
  }
  /// The list of devices that mirror the space.
  var firstMirror: RowID {
    get { row[AddressSpaceRow.firstMirror] }
    nonmutating set { row[AddressSpaceRow.firstMirror] = newValue }
  }
}
