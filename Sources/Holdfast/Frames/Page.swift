package import Interleaving

/// The descriptor of one frame: 64 bytes of the memmap, reached by field.
///
/// Counts of a large folio live on its head (rule 1.1). `PageRow` says where each field lies and what protects it.
@frozen
package struct Page: Equatable {
  @usableFromInline let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// The same descriptor without checks of locks, while no other thread can reach it: not yet, or not any more.
  @inline(__always)
  var unshared: Page { Page(row.unshared) }

  @inline(__always)
  package static func == (one: Page, other: Page) -> Bool { one.row.raw == other.row.raw }

  /// `_refcount`: 0 is free, frozen, or a tail.
  @inline(__always)
  package var refcount: AtomicInt32 { row.atomic(PageRow.refcount) }

  /// PTEs that map this very page (Linux stores it minus one).
  @inline(__always)
  package var mapcount: AtomicInt32 { row.atomic(PageRow.mapcount) }

  /// PG_* bits, processor, zone and node.
  @inline(__always)
  package var flagWord: AtomicUInt64 { row.atomic(PageRow.flags) }

  /// Pins of a large folio, on its head.
  @inline(__always)
  package var pincount: AtomicInt32 { row.atomic(PageRow.pincount) }

  /// PMD entries that map the whole folio, on its head.
  @inline(__always)
  package var entireMapcount: AtomicInt32 { row.atomic(PageRow.entireMapcount) }

  /// Distance to the head of the folio: 0 for a head or a small page.
  @inline(__always)
  package var headOffset: AtomicUInt32 { row.atomic(PageRow.headOffset) }

  /// Order, type, list type and hugetlb mark, a byte each.
  @inline(__always)
  package var state: PageState {
    get { PageState(rawValue: row.atomic(PageRow.state).load(.relaxed)) }
    nonmutating set { row.atomic(PageRow.state).store(newValue.rawValue, .relaxed) }
  }

  /// Order of the folio or free chunk, on its head.
  @inline(__always)
  package var order: Int {
    get { state.order }
    nonmutating set {
      state = PageState(rawValue: state.rawValue & ~0xff | UInt32(truncatingIfNeeded: newValue) & 0xff)
    }
  }

  /// What the frame is.
  @inline(__always)
  package var type: PageType {
    get { state.type }
    nonmutating set {
      state = PageState(rawValue: state.rawValue & ~0xff00 | UInt32(newValue.rawValue) &<< 8)
    }
  }

  /// The migratetype whose list a free chunk is on.
  @inline(__always)
  package var listType: MigrateType {
    get { state.listType }
    nonmutating set {
      state = PageState(rawValue: state.rawValue & ~0xff_0000 | UInt32(newValue.number) &<< 16)
    }
  }

  /// Whether the folio is of a hugetlb pool.
  @inline(__always)
  package var isHugetlb: Bool {
    get { state.rawValue & 1 << 24 != 0 }
    nonmutating set { setHugetlbBit(1 << 24, newValue) }
  }

  /// Whether a hugetlb folio may be isolated: in use, and not isolated yet.
  ///
  /// Protected by the hugetlb lock.
  package var isHugetlbMigratable: Bool {
    get { state.rawValue & 2 << 24 != 0 }
    nonmutating set { setHugetlbBit(2 << 24, newValue) }
  }

  /// Whether a hugetlb folio goes back to the buddy lists when freed: a migration's target that no pool counts.
  package var isHugetlbTemporary: Bool {
    get { state.rawValue & 4 << 24 != 0 }
    nonmutating set { setHugetlbBit(4 << 24, newValue) }
  }

  /// Whether a hugetlb folio is on its pool's list of free ones; without references it may also be on its way there.
  ///
  /// Protected by the hugetlb lock.
  package var isHugetlbFree: Bool {
    get { state.rawValue & 8 << 24 != 0 }
    nonmutating set { setHugetlbBit(8 << 24, newValue) }
  }

  private func setHugetlbBit(_ bit: UInt32, _ value: Bool) {
    let others = state.rawValue & ~bit
    state = PageState(rawValue: value ? others | bit : others)
  }

  /// `mapping`: what the page belongs to.
  @inline(__always)
  package var mapping: PageMapping {
    get { PageMapping(rawValue: row.atomic(PageRow.mapping).load(.relaxed)) }
    nonmutating set { row.atomic(PageRow.mapping).store(newValue.rawValue, .relaxed) }
  }

  /// Next on a free list, LRU list, or private list.
  @inline(__always)
  package var next: FrameNumber {
    get { row[PageRow.next] }
    nonmutating set { row[PageRow.next] = newValue }
  }

  /// Previous on the same list.
  @inline(__always)
  package var previous: FrameNumber {
    get { row[PageRow.previous] }
    nonmutating set { row[PageRow.previous] = newValue }
  }

  /// How many pages of a large folio are mapped one by one, on its head, plus `wholeMapping` while PMD entries map
  /// it; not kept for hugetlb folios.
  ///
  /// One word decides how many pages a change maps or unmaps: entries of several address spaces change under
  /// several locks.
  @inline(__always)
  package var pagesMapped: AtomicInt32 { row.atomic(PageRow.pagesMapped) }

  /// What a first mapping by a PMD entry adds to `pagesMapped`: more than any folio has pages.
  package static let wholeMapping: Int32 = 1 << 23

  /// `index`: page offset in the object, or the linear page number of anonymous memory.
  @inline(__always)
  package var index: UInt64 {
    get { row[PageRow.index] }
    nonmutating set { row[PageRow.index] = newValue }
  }

  /// The tag that stands for the contents where frames have no bytes.
  @inline(__always)
  package var contentTag: UInt64 {
    get { row.atomic(PageRow.contentTag).load(.relaxed) }
    nonmutating set { row.atomic(PageRow.contentTag).store(newValue, .relaxed) }
  }

  // MARK: - Flags

  /// The flags now.
  @inline(__always)
  package var flags: PageFlags { PageFlags(rawValue: flagWord.load(.acquire)) }

  /// Whether all of `flags` are set.
  @inline(__always)
  package func has(_ wanted: PageFlags) -> Bool { flags.contains(wanted) }

  /// Sets flags.
  @inline(__always)
  package func set(_ wanted: PageFlags) { flagWord.fetchOr(wanted.rawValue) }

  /// Clears flags.
  @inline(__always)
  package func clear(_ unwanted: PageFlags) { flagWord.fetchAnd(~unwanted.rawValue) }

  /// Clears one flag; returns whether it was set before.
  @inline(__always)
  package func testAndClear(_ flag: PageFlags) -> Bool {
    flagWord.fetchAnd(~flag.rawValue) & flag.rawValue != 0
  }

  /// The page lock (PG_locked).
  @inline(__always)
  package var lock: BitLock { BitLock(flagWord, bit: PageFlags.locked.rawValue, rank: .page) }

  /// The zone that the frame belongs to.
  ///
  /// Immutable while the frame is online.
  @inline(__always)
  package var zone: ZoneID {
    PageFlags.zone(of: flagWord.load(.relaxed))
  }

  /// The node of that zone, in fewer steps.
  @inline(__always)
  package var node: Int { PageFlags.node(of: flagWord.load(.relaxed)) }

  /// Whether that zone is ZONE_MOVABLE.
  @inline(__always)
  var isInMovableZone: Bool { PageFlags.zoneKind(of: flagWord.load(.relaxed)) == ZoneKind.movable.number }

  /// Gives the frame its zone and wipes its flags: metadata of a section coming into being.
  package func initialise(zone: ZoneID, type: PageType) {
    flagWord.store(
      UInt64(zone.node) << PageFlags.nodeShift | UInt64(zone.kind.number) << PageFlags.zoneShift
        | PageFlags.lastProcessor, .relaxed)
    let fresh = unshared
    refcount.store(0, .relaxed)
    fresh.mapcount.store(0, .relaxed)
    pincount.store(0, .relaxed)
    fresh.entireMapcount.store(0, .relaxed)
    pagesMapped.store(0, .relaxed)
    headOffset.store(0, .relaxed)
    order = 0
    fresh.mapping = .none
    self.type = type
  }

  /// Whether the page is a tail of a large folio.
  @inline(__always)
  package var isTail: Bool { headOffset.load(.acquire) != 0 }

  /// Whether the page heads a large folio.
  @inline(__always)
  package var isLarge: Bool { has(.head) }
}

/// What a page belongs to: nothing, an anonymous group, or a backing object.
///
/// The low bit tells anonymous (1) from object (0), as in Linux's `page->mapping`.
@usableFromInline
package struct PageMapping: RawRepresentable, Hashable, Sendable {
  @usableFromInline package let rawValue: UInt32

  @inlinable @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static var none: PageMapping { PageMapping(rawValue: 0) }

  /// An anonymous page of a group.
  package init(anonGroup: RowID) { rawValue = anonGroup.rawValue << 2 | 1 }

  /// A page of an object's cache.
  package init(object: RowID) { rawValue = object.rawValue << 2 }

  /// Whether the page is anonymous.
  @inline(__always)
  package var isAnonymous: Bool { rawValue & 1 != 0 }

  /// The group of an anonymous page.
  package var anonGroup: RowID? { rawValue & 1 != 0 ? RowID(rawValue: rawValue >> 2) : nil }

  /// The object of a cached page.
  package var object: RowID? { rawValue != 0 && rawValue & 1 == 0 ? RowID(rawValue: rawValue >> 2) : nil }
}

/// The word of a descriptor that says what the frame is: order, type, list type and hugetlb mark.
@frozen
@usableFromInline
package struct PageState: RawRepresentable, Hashable, Sendable {
  @usableFromInline package let rawValue: UInt32

  @inlinable @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The state of a frame that is not hugetlb.
  @inline(__always)
  package init(order: Int, type: PageType, listType: MigrateType) {
    self.init(order: order, type: type, listTypeNumber: listType.number)
  }

  /// The same, given the number of the list's type.
  @inline(__always)
  init(order: Int, type: PageType, listTypeNumber: UInt8) {
    rawValue =
      UInt32(truncatingIfNeeded: order) | UInt32(type.rawValue) &<< 8 | UInt32(listTypeNumber) &<< 16
  }

  @inline(__always)
  package var order: Int { Int(rawValue & 0xff) }
  @inline(__always)
  package var type: PageType { PageType(rawValue: UInt8(truncatingIfNeeded: rawValue &>> 8)) ?? .absent }
  @inline(__always)
  package var listType: MigrateType {
    MigrateType(stored: UInt8(truncatingIfNeeded: rawValue &>> 16))
  }

  /// `type == wanted`, in fewer steps.
  @inline(__always)
  package func isOf(_ wanted: PageType) -> Bool {
    rawValue & 0xff00 == UInt32(wanted.rawValue) &<< 8
  }

  /// Whether the frame begins an allocation of that order.
  @inline(__always)
  func isAllocated(order: Int) -> Bool {
    UInt(bitPattern: order) < 0x100
      && rawValue & 0xffff == UInt32(truncatingIfNeeded: order) | UInt32(PageType.none.rawValue) &<< 8
  }

  /// Whether the frame heads a free chunk of that order in the buddy lists.
  @inline(__always)
  package func isFreeChunk(order: Int) -> Bool {
    rawValue & 0xffff == UInt32(truncatingIfNeeded: order) | UInt32(PageType.buddy.rawValue) &<< 8
  }
}
