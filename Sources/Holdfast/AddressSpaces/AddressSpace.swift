package import Interleaving

/// An address space (mm_struct): a handle to its row.
package struct AddressSpace {
  static let stride = 128

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// References: 1 while its process lives, more while someone pins remotely.
  ///
  /// Protected by the tables lock.
  package var live: UInt32 {
    get { row.plain(0) }
    nonmutating set { row.setPlain(0, newValue) }
  }
  /// mmap_lock: protects the areas.
  package var lock: ReadWriteLock { ReadWriteLock(row.raw + 4, rank: Ranks.addressSpace) }
  /// Protects the entries of all its page tables.
  package var pageTableLock: SpinLock { SpinLock(row.raw + 8, rank: Ranks.pageTable) }
  /// write_protect_seq: odd while fork copies.
  package var writeProtectSequence: SequenceCount { SequenceCount(row.raw + 12) }
  /// MMF_* flags.
  ///
  /// Atomic.
  package var flags: AtomicUInt64 { row.uint64(16) }
  /// MMF_HAS_PINNED (spec 5.3).
  package static let hasPinned: UInt64 = 1 << 27

  /// Top-level table page.
  ///
  /// Immutable while the space lives.
  package var rootTable: RowID {
    get { RowID(rawValue: row.plain(24)) }
    nonmutating set { row.setPlain(24, newValue.rawValue) }
  }
  /// Root of the tree of areas, and their number.
  ///
  /// Protected by `lock`.
  package var areaRoot: RowID {
    get { RowID(rawValue: row.plain(28)) }
    nonmutating set { row.setPlain(28, newValue.rawValue) }
  }
  package var areaCount: Int {
    get { Int(row.plain(32, as: UInt32.self)) }
    nonmutating set { row.setPlain(32, UInt32(newValue)) }
  }
  /// The process that owns the space.
  ///
  /// Immutable.
  package var owner: ProcessID {
    get { ProcessID(rawValue: row.plain(36)) }
    nonmutating set { row.setPlain(36, newValue.rawValue) }
  }

  /// locked_vm (VmLck) in pages.
  ///
  /// Atomic.
  package var lockedPages: AtomicUInt64 { row.uint64(40) }
  /// pinned_vm (VmPin) in pages.
  ///
  /// Atomic.
  package var pinnedPages: AtomicUInt64 { row.uint64(48) }
  /// Resident anonymous, file and shared pages.
  ///
  /// Protected by `pageTableLock`.
  package var residentAnon: AtomicUInt64 { row.uint64(56) }
  package var residentFile: AtomicUInt64 { row.uint64(64) }
  package var residentShared: AtomicUInt64 { row.uint64(72) }
  /// Table pages in use.
  ///
  /// Protected by `pageTableLock`.
  package var tablePages: AtomicUInt64 { row.uint64(80) }
  /// Table pages kept ready for splitting huge mappings, one for each: the first.
  ///
  /// Protected by `pageTableLock`.
  package var firstDeposit: RowID {
    get { RowID(rawValue: row.plain(88)) }
    nonmutating set { row.setPlain(88, newValue.rawValue) }
  }
  /// Grabs: they keep the row, not what is mapped (mm_count).
  ///
  /// Protected by the tables lock.
  package var grabs: UInt32 {
    get { row.plain(92) }
    nonmutating set { row.setPlain(92, newValue) }
  }
}

/// Protection and behaviour of an area (VM_* bits, spec 5.4).
public struct AreaFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt64
  /// Flags with those bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// VM_READ.
  public static let read = AreaFlags(rawValue: 1 << 0)
  /// VM_WRITE.
  public static let write = AreaFlags(rawValue: 1 << 1)
  /// VM_EXEC.
  public static let execute = AreaFlags(rawValue: 1 << 2)
  /// VM_SHARED.
  public static let shared = AreaFlags(rawValue: 1 << 3)
  /// VM_MAYREAD.
  public static let mayRead = AreaFlags(rawValue: 1 << 4)
  /// VM_MAYWRITE.
  public static let mayWrite = AreaFlags(rawValue: 1 << 5)
  /// VM_LOCKED.
  public static let locked = AreaFlags(rawValue: 1 << 13)
  /// VM_PFNMAP: frames without descriptors; never pinned.
  public static let frameMap = AreaFlags(rawValue: 1 << 10)
  /// VM_IO.
  public static let io = AreaFlags(rawValue: 1 << 14)
  /// VM_HUGETLB.
  public static let hugetlb = AreaFlags(rawValue: 1 << 22)
  /// VM_HUGEPAGE: MADV_HUGEPAGE.
  public static let hugePage = AreaFlags(rawValue: 1 << 29)
  /// VM_NOHUGEPAGE: MADV_NOHUGEPAGE.
  public static let noHugePage = AreaFlags(rawValue: 1 << 30)
}

/// An area (vm_area_struct): a handle to its row.
///
/// Protected by the address space's lock unless noted.
package struct Area {
  static let stride = 96

  let row: Row
  package let id: RowID

  init(_ raw: UnsafeMutableRawPointer, id: RowID) {
    row = Row(raw)
    self.id = id
  }

  /// 1 while the row is in use.
  package var live: UInt32 {
    get { row.plain(0) }
    nonmutating set { row.setPlain(0, newValue) }
  }
  /// The address space.
  ///
  /// Immutable while the area lives.
  package var space: RowID {
    get { RowID(rawValue: row.plain(4)) }
    nonmutating set { row.setPlain(4, newValue.rawValue) }
  }
  /// First virtual page, and one past the last.
  ///
  /// Changed with the object's or group's lock held as well.
  package var start: UInt64 {
    get { row.plain(8) }
    nonmutating set { row.setPlain(8, newValue) }
  }
  package var end: UInt64 {
    get { row.plain(16) }
    nonmutating set { row.setPlain(16, newValue) }
  }
  /// What the area is and allows.
  ///
  /// Changed with the space's lock held exclusively and the page-table lock, either of which is enough to read them:
  /// whoever comes by the reverse mapping has the latter only.
  package var flags: AreaFlags {
    get { AreaFlags(rawValue: row.plain(24)) }
    nonmutating set { row.setPlain(24, newValue.rawValue) }
  }
  /// vm_pgoff: the object's page at `start`; for private anonymous memory the first page's number at creation.
  package var pageOffset: UInt64 {
    get { row.plain(32) }
    nonmutating set { row.setPlain(32, newValue) }
  }
  /// The backing object, none for private anonymous memory.
  package var object: RowID {
    get { RowID(rawValue: row.plain(40)) }
    nonmutating set { row.setPlain(40, newValue.rawValue) }
  }
  /// The anonymous group, none until the first anonymous page.
  ///
  /// Set once, under the page-table lock; read freely.
  package var anonGroup: RowID {
    get { RowID(rawValue: row.uint32(44).load(.acquire)) }
    nonmutating set { row.uint32(44).store(newValue.rawValue, .release) }
  }
  /// Tree of the address space.
  package var left: RowID {
    get { RowID(rawValue: row.plain(48)) }
    nonmutating set { row.setPlain(48, newValue.rawValue) }
  }
  package var right: RowID {
    get { RowID(rawValue: row.plain(52)) }
    nonmutating set { row.setPlain(52, newValue.rawValue) }
  }
  /// Next and previous area of the same anonymous group.
  ///
  /// Protected by the group's lock.
  package var groupNext: RowID {
    get { RowID(rawValue: row.plain(64)) }
    nonmutating set { row.setPlain(64, newValue.rawValue) }
  }
  package var groupPrevious: RowID {
    get { RowID(rawValue: row.plain(68)) }
    nonmutating set { row.setPlain(68, newValue.rawValue) }
  }
  /// Next and previous area of the same object.
  ///
  /// Protected by the object's lock.
  package var objectNext: RowID {
    get { RowID(rawValue: row.plain(72)) }
    nonmutating set { row.setPlain(72, newValue.rawValue) }
  }
  package var objectPrevious: RowID {
    get { RowID(rawValue: row.plain(76)) }
    nonmutating set { row.setPlain(76, newValue.rawValue) }
  }

  /// Whether the area is private and may become writable: writes copy.
  package var isCopyOnWrite: Bool { flags.contains(.mayWrite) && !flags.contains(.shared) }
  /// Whether no object backs the area.
  package var isAnonymous: Bool { object == .none }
  /// The page offset that backs a virtual page.
  package func offset(of page: UInt64) -> UInt64 { page - start + pageOffset }
}

/// Areas that may map the same anonymous pages (anon_vma).
package struct AnonGroup {
  static let stride = 16

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// Areas plus walks of its mappings; the row is free at 0.
  ///
  /// Protected by the tables lock.
  package var users: UInt32 {
    get { row.plain(0) }
    nonmutating set { row.setPlain(0, newValue) }
  }
  package var lock: SpinLock { SpinLock(row.raw + 4, rank: Ranks.anonGroup) }
  /// First area.
  ///
  /// Protected by `lock`.
  package var firstArea: RowID {
    get { RowID(rawValue: row.plain(8)) }
    nonmutating set { row.setPlain(8, newValue.rawValue) }
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

/// A backing object (address_space with its inode): page cache and areas that map it.
package struct BackingObject {
  static let stride = 64

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// Areas, handles and walks that hold the object; free at 0.
  ///
  /// Protected by the tables lock.
  package var users: UInt32 {
    get { row.plain(0) }
    nonmutating set { row.setPlain(0, newValue) }
  }
  /// Protects the cache and the list of areas.
  package var lock: SpinLock { SpinLock(row.raw + 4, rank: Ranks.object) }
  /// What the object is.
  ///
  /// Immutable.
  package var kind: ObjectKind {
    get { ObjectKind(rawValue: row.plain(8)) ?? .memfd }
    nonmutating set { row.setPlain(8, newValue.rawValue) }
  }
  /// Root of the cache, a tree of table pages whose leaves hold frames.
  ///
  /// Protected by `lock`.
  package var rootTable: RowID {
    get { RowID(rawValue: row.plain(12)) }
    nonmutating set { row.setPlain(12, newValue.rawValue) }
  }
  /// Size in pages.
  ///
  /// Protected by `lock`.
  package var pages: UInt64 {
    get { row.plain(16) }
    nonmutating set { row.setPlain(16, newValue) }
  }
  /// First area.
  ///
  /// Protected by `lock`.
  package var firstArea: RowID {
    get { RowID(rawValue: row.plain(24)) }
    nonmutating set { row.setPlain(24, newValue.rawValue) }
  }
  /// Levels of the cache's tree, 0 while it is empty.
  ///
  /// Protected by `lock`.
  package var height: Int {
    get { Int(row.plain(40, as: UInt32.self)) }
    nonmutating set { row.setPlain(40, UInt32(newValue)) }
  }
  /// Whether one private mapping is all that there is: nobody else can name the object.
  ///
  /// Immutable.
  package var isPrivate: Bool {
    get { row.plain(44, as: UInt32.self) != 0 }
    nonmutating set { row.setPlain(44, UInt32(newValue ? 1 : 0)) }
  }
  /// Pages in the cache.
  ///
  /// Protected by `lock`.
  package var cachedPages: UInt64 {
    get { row.plain(32) }
    nonmutating set { row.setPlain(32, newValue) }
  }
}
