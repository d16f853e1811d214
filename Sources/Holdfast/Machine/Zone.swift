package import Interleaving

/// One node's LRU lists.
package struct Node {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// Protects the lists and PG_lru's meaning "on exactly one of them".
  package var lruLock: SpinLock { row.lock(NodeRow.lruLock) }

  /// One of the lists.
  package func list(_ list: LRUList) -> FrameList { FrameList(row.row(NodeRow.lists, list.rawValue)) }
}

/// The ends of a doubly linked list of pages, chained through `Page.next` and `Page.previous`.
///
/// Protected by the lock of whatever holds it.
package struct FrameList {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  package var first: FrameNumber {
    get { FrameNumber(rawValue: row.atomic(FrameListRow.first).load(.relaxed)) }
    nonmutating set { row.atomic(FrameListRow.first).store(newValue.rawValue, .relaxed) }
  }
  package var last: FrameNumber {
    get { row[FrameListRow.last] }
    nonmutating set { row[FrameListRow.last] = newValue }
  }
  package var count: Int {
    get { row[FrameListRow.count] }
    nonmutating set { row[FrameListRow.count] = newValue }
  }

  func reset() {
    first = .none
    last = .none
    count = 0
  }
}

/// A zone: its extent, free lists, watermarks.
package struct Zone {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// Protects free lists, pageblock types and the counts below unless noted.
  @inline(__always)
  package var lock: SpinLock { row.lock(ZoneRow.lock) }
  /// Nesting of operations during which nothing may wait in per-CPU lists.
  package var perCPUDisabled: AtomicUInt32 { row.atomic(ZoneRow.perCPUDisabled) }

  /// First frame spanned.
  package var start: FrameNumber {
    get { row[ZoneRow.start] }
    nonmutating set { row[ZoneRow.start] = newValue }
  }
  /// Frames spanned, holes included.
  package var spanned: Int {
    get { Int(row[ZoneRow.spanned]) }
    nonmutating set { row[ZoneRow.spanned] = UInt64(newValue) }
  }

  /// The frames that the zone spans now, holes included.
  ///
  /// - Locks: takes the zone lock.
  package var span: FrameRange {
    lock.withLock { FrameRange(start: start, count: spanned) }
  }
  /// Spanned frames that are memory.
  package var present: AtomicUInt64 { row.atomic(ZoneRow.present) }
  /// Present frames that the buddy allocator manages.
  package var managed: AtomicUInt64 { row.atomic(ZoneRow.managed) }
  /// Managed frames in CMA pageblocks.
  package var cma: AtomicUInt64 { row.atomic(ZoneRow.cma) }
  /// NR_FREE_PAGES: frames in the buddy lists outside ISOLATE pageblocks, deferred ones included.
  package var free: AtomicUInt64 { row.atomic(ZoneRow.free) }
  /// NR_FREE_CMA_PAGES.
  package var freeCMA: AtomicUInt64 { row.atomic(ZoneRow.freeCMA) }
  /// Pageblocks of type ISOLATE.
  package var isolatedPageblocks: AtomicUInt64 { row.atomic(ZoneRow.isolatedPageblocks) }
  /// Free frames whose metadata has not been made yet; they count in `free`.
  package var deferred: AtomicUInt64 { row.atomic(ZoneRow.deferred) }
  /// Where to look for the next section of that kind.
  package var deferredCursor: Int {
    get { Int(row[ZoneRow.deferredCursor]) }
    nonmutating set { row[ZoneRow.deferredCursor] = UInt64(newValue) }
  }
  /// Frames in HIGHATOMIC pageblocks.
  package var highAtomic: AtomicUInt64 { row.atomic(ZoneRow.highAtomic) }

  /// A watermark in frames: 0 min, 1 low, 2 high.
  package func watermark(_ index: Int) -> AtomicUInt64 { row.atomic(ZoneRow.watermarks, index) }
  /// Frames kept from requests that could use a higher zone.
  package func protection(_ from: ZoneKind) -> AtomicUInt64 { protection(fromNumber: from.number) }
  @inline(__always)
  func protection(fromNumber kind: Int) -> AtomicUInt64 { row.atomic(ZoneRow.protections, kind) }

  /// Most frames on one processor's lists, and how many move at once.
  package var perCPUHigh: AtomicUInt32 { row.atomic(ZoneRow.perCPUHigh) }
  package var perCPUBatch: AtomicUInt32 { row.atomic(ZoneRow.perCPUBatch) }

  /// Where compaction goes on: scanners for pages to move and for free pages.
  package var compactionMigrate: FrameNumber {
    get { row[ZoneRow.compactionMigrate] }
    nonmutating set { row[ZoneRow.compactionMigrate] = newValue }
  }
  package var compactionFree: FrameNumber {
    get { row[ZoneRow.compactionFree] }
    nonmutating set { row[ZoneRow.compactionFree] = newValue }
  }

  /// The free chunks of an order and type.
  @inline(__always)
  package func freeList(order: Int, _ type: MigrateType) -> FrameList {
    FrameList(row.row(ZoneRow.freeLists, order).row(FreeListsRow.lists, Int(type.number)))
  }

  /// Whether the zone has memory that can be allocated.
  package var isPopulated: Bool { present.load(.relaxed) > 0 }
}

/// One processor's free lists in one zone (rule 2.11): orders 0 to 3 by type, and PMD order by movability.
@usableFromInline
package struct PerCPULists {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// Protects the lists.
  @inline(__always)
  package var lock: SpinLock { row.lock(PerCPUListsRow.lock) }
  /// Frames on all lists.
  package var count: Int {
    get { Int(row[PerCPUListsRow.count]) }
    nonmutating set { row[PerCPUListsRow.count] = UInt32(truncatingIfNeeded: newValue) }
  }
  /// One list; 0 to 11 are order times three plus type, 12 and 13 PMD order unmovable and movable.
  @inline(__always)
  package func list(_ index: Int) -> FrameList { FrameList(row.row(PerCPUListsRow.lists, index)) }

  @inlinable @_transparent package static var listCount: Int { 14 }

  /// From how many frames on the lists give some back: 0 while nothing may wait.
  @inline(__always)
  var limit: Int {
    get { Int(row[PerCPUListsRow.limit]) }
    nonmutating set { row[PerCPUListsRow.limit] = UInt32(truncatingIfNeeded: newValue) }
  }
}

/// The word that holds the state of a memory block.
@frozen
@usableFromInline
package struct BlockStateWord: RawRepresentable {
  @usableFromInline package let rawValue: UInt32

  @inlinable @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The state.
  package var state: BlockState { BlockState(number: rawValue) }
}

/// A memory block: the unit of online and offline.
package struct MemoryBlock {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  package var stateWord: AtomicUInt32 { row.atomic(MemoryBlockRow.state) }
  package var state: BlockState {
    get { BlockStateWord(rawValue: stateWord.load(.relaxed)).state }
    nonmutating set { stateWord.store(newValue.number, .release) }
  }
  /// The single zone of all its frames, or nil if it has holes or spans several: such a block cannot go offline.
  package var zone: ZoneID? {
    get {
      let raw = row.atomic(MemoryBlockRow.zone).load(.relaxed)
      return raw == 0 ? nil : ZoneID(rawValue: Int(raw) - 1)
    }
    nonmutating set {
      row.atomic(MemoryBlockRow.zone).store(newValue.map { UInt32($0.rawValue + 1) } ?? 0, .relaxed)
    }
  }
  package var node: Int {
    get { Int(row[MemoryBlockRow.node]) }
    nonmutating set { row[MemoryBlockRow.node] = UInt32(newValue) }
  }
  /// Frames that are memory.
  package var present: Int {
    get { Int(row[MemoryBlockRow.present]) }
    nonmutating set { row[MemoryBlockRow.present] = UInt32(newValue) }
  }
}
