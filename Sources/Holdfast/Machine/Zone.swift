package import Interleaving

/// One node's LRU lists.
package struct Node {
  static let stride = 128

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// Protects the lists and PG_lru's meaning "on exactly one of them".
  package var lruLock: SpinLock { SpinLock(row.raw, rank: Ranks.lru) }

  /// One of the lists.
  ///
  /// Protected by `lruLock`.
  package func list(_ list: LRUList) -> FrameList { FrameList(row.raw + 8 + list.rawValue * 16) }
}

/// The ends of a doubly linked list of pages, chained through `Page.next` and `Page.previous`.
///
/// Protected by the lock of whatever holds it.
package struct FrameList {
  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// Atomic: the watermark test looks whether there is one without the lock.
  package var first: FrameNumber {
    get { FrameNumber(rawValue: row.uint32(0).load(.relaxed)) }
    nonmutating set { row.uint32(0).store(newValue.rawValue, .relaxed) }
  }
  package var last: FrameNumber {
    get { FrameNumber(rawValue: row.plain(4)) }
    nonmutating set { row.setPlain(4, newValue.rawValue) }
  }
  package var count: Int {
    get { row.plain(8) }
    nonmutating set { row.setPlain(8, newValue) }
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

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  private static let areasOffset = 256

  static func stride(_ geometry: Geometry) -> Int {
    let bytes = areasOffset + (geometry.maxOrder + 1) * MigrateType.allCases.count * 16
    return (bytes + 127) / 128 * 128
  }

  /// Protects free lists, pageblock types and the counts below unless noted.
  @inline(__always)
  package var lock: SpinLock { SpinLock(row.raw, rank: Ranks.zone) }
  /// Nesting of operations during which nothing may wait in per-CPU lists.
  ///
  /// Atomic.
  package var perCPUDisabled: AtomicUInt32 { row.uint32(4) }

  /// First frame spanned.
  ///
  /// Protected by the hotplug lock.
  package var start: FrameNumber {
    get { FrameNumber(rawValue: row.plain(8)) }
    nonmutating set { row.setPlain(8, newValue.rawValue) }
  }
  /// Frames spanned, holes included.
  ///
  /// Protected by the hotplug lock.
  package var spanned: Int {
    get { Int(row.plain(16, as: UInt64.self)) }
    nonmutating set { row.setPlain(16, UInt64(newValue)) }
  }
  /// Spanned frames that are memory.
  ///
  /// Protected by the hotplug lock; read freely.
  package var present: AtomicUInt64 { row.uint64(24) }
  /// Present frames that the buddy allocator manages.
  ///
  /// Protected by the hotplug lock; read freely.
  package var managed: AtomicUInt64 { row.uint64(32) }
  /// Managed frames in CMA pageblocks.
  package var cma: AtomicUInt64 { row.uint64(40) }
  /// NR_FREE_PAGES: frames in the buddy lists outside ISOLATE pageblocks, deferred ones included.
  package var free: AtomicUInt64 { row.uint64(48) }
  /// NR_FREE_CMA_PAGES.
  package var freeCMA: AtomicUInt64 { row.uint64(56) }
  /// Pageblocks of type ISOLATE.
  package var isolatedPageblocks: AtomicUInt64 { row.uint64(64) }
  /// Free frames whose metadata has not been made yet; they count in `free`.
  package var deferred: AtomicUInt64 { row.uint64(72) }
  /// Where to look for the next section of that kind.
  package var deferredCursor: Int {
    get { Int(row.plain(80, as: UInt64.self)) }
    nonmutating set { row.setPlain(80, UInt64(newValue)) }
  }
  /// Frames in HIGHATOMIC pageblocks.
  package var highAtomic: AtomicUInt64 { row.uint64(88) }

  /// A watermark in frames: 0 min, 1 low, 2 high.
  ///
  /// Protected by the hotplug lock; read freely.
  package func watermark(_ index: Int) -> AtomicUInt64 { row.uint64(96 + index * 8) }
  /// Frames kept from requests that could use a higher zone.
  ///
  /// Protected by the hotplug lock; read freely.
  package func protection(_ from: ZoneKind) -> AtomicUInt64 { protection(fromNumber: from.number) }
  @inline(__always)
  func protection(fromNumber kind: Int) -> AtomicUInt64 { row.uint64(120 &+ kind &* 8) }

  /// Most frames on one processor's lists, and how many move at once.
  ///
  /// Hotplug lock; read freely.
  package var perCPUHigh: AtomicUInt32 { row.uint32(160) }
  package var perCPUBatch: AtomicUInt32 { row.uint32(164) }

  /// Where compaction goes on: scanners for pages to move and for free pages.
  ///
  /// Zone lock.
  package var compactionMigrate: FrameNumber {
    get { FrameNumber(rawValue: row.plain(168)) }
    nonmutating set { row.setPlain(168, newValue.rawValue) }
  }
  package var compactionFree: FrameNumber {
    get { FrameNumber(rawValue: row.plain(172)) }
    nonmutating set { row.setPlain(172, newValue.rawValue) }
  }

  /// The free blocks of an order and type.
  @inline(__always)
  package func freeList(order: Int, _ type: MigrateType) -> FrameList {
    FrameList(row.raw + (Self.areasOffset &+ (order &* 6 &+ Int(type.number)) &* 16))
  }

  /// Whether the zone has memory that can be allocated.
  package var isPopulated: Bool { present.load(.relaxed) > 0 }
}

/// One processor's free lists in one zone (spec 2.11): orders 0 to 3 by type, and PMD order by movability.
package struct PerCPULists {
  static let stride = 256

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// Protects the lists.
  @inline(__always)
  package var lock: SpinLock { SpinLock(row.raw, rank: Ranks.perCPU) }
  /// Frames on all lists.
  package var count: Int {
    get { Int(row.plain(4, as: UInt32.self)) }
    nonmutating set { row.setPlain(4, UInt32(truncatingIfNeeded: newValue)) }
  }
  /// One list; 0 to 11 are order times three plus type, 12 and 13 PMD order unmovable and movable.
  @inline(__always)
  package func list(_ index: Int) -> FrameList { FrameList(row.raw + (8 &+ index &* 16)) }

  package static let listCount = 14

  /// From how many frames on the lists give some back: 0 while nothing may wait.
  ///
  /// Protected by the lock.
  @inline(__always)
  var limit: Int {
    get { Int(row.plain(232, as: UInt32.self)) }
    nonmutating set { row.setPlain(232, UInt32(truncatingIfNeeded: newValue)) }
  }
}

/// A memory block: the unit of online and offline.
///
/// Protected by the hotplug lock; the state is read freely.
package struct MemoryBlock {
  static let stride = 32

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  package var stateWord: AtomicUInt32 { row.uint32(0) }
  package var state: BlockState {
    get { BlockState(number: stateWord.load(.relaxed)) }
    nonmutating set { stateWord.store(newValue.number, .release) }
  }
  /// The single zone of all its frames, or nil if it has holes or spans several: such a block cannot go offline.
  package var zone: ZoneID? {
    get {
      let raw = row.uint32(4).load(.relaxed)
      return raw == 0 ? nil : ZoneID(rawValue: Int(raw) - 1)
    }
    nonmutating set { row.uint32(4).store(newValue.map { UInt32($0.rawValue + 1) } ?? 0, .relaxed) }
  }
  package var node: Int {
    get { Int(row.plain(8, as: UInt32.self)) }
    nonmutating set { row.setPlain(8, UInt32(newValue)) }
  }
  /// Frames that are memory.
  package var present: Int {
    get { Int(row.plain(12, as: UInt32.self)) }
    nonmutating set { row.setPlain(12, UInt32(newValue)) }
  }
  /// Whether the block's bytes were made (memory ground).
  package var hasBytes: Bool {
    get { row.plain(16, as: UInt32.self) != 0 }
    nonmutating set { row.setPlain(16, UInt32(newValue ? 1 : 0)) }
  }
}
