import Interleaving

/// Mapping counts of pages, and the way from a page to the entries that map it.
package struct ReverseMap: Room {
  package let machine: Machine

  // MARK: - Users of groups and objects

  /// Takes one more use of a group, unless it has been freed.
  ///
  /// The number may be out of date: the caller checks afterwards that the place where it read the number
  /// still has it.
  ///
  /// - Kernel: mm/rmap.c:folio_get_anon_vma (6.1); without reading the folio's mapping, which the caller
  ///   does.
  package func getGroup(_ id: RowID) -> Bool {
    global.tablesLock.withLock {
      let group = anonGroup(id)
      guard group.users > 0 else { return false }
      group.users += 1
      return true
    }
  }

  /// Drops a use of a group; the last one frees it.
  ///
  /// - Kernel: include/linux/rmap.h:put_anon_vma (6.1)
  package func putGroup(_ id: RowID) {
    let last = global.tablesLock.withLock {
      let group = anonGroup(id)
      group.users -= 1
      return group.users == 0
    }
    if last { pools.free(.anonGroups, id) }
  }

  /// Gives an area its anonymous group if it has none.
  ///
  /// - Returns: false if the table of groups is full.
  /// - Locks: the caller holds the space's lock.
  /// - Kernel: mm/rmap.c:__anon_vma_prepare (6.1); without sharing the anon_vma of a neighbour.
  func prepareGroup(_ space: AddressSpace, _ area: VirtualMemoryArea) -> Bool {
    if area.anonGroup != .none { return true }
    guard let id = pools.allocate(.anonGroups) else { return false }
    let group = anonGroup(id)
    group.lock.lock()
    space.pageTableLock.lock()
    let isFirst = area.anonGroup == .none
    if isFirst {
      linkToGroup(area, group)
      area.anonGroup = id
    }
    space.pageTableLock.unlock()
    group.lock.unlock()
    if !isFirst { putGroup(id) }
    return true
  }

  // MARK: - Lists

  func linkToGroup(_ new: VirtualMemoryArea, _ group: AnonGroup) {
    new.groupPrevious = .none
    new.groupNext = group.firstArea
    if group.firstArea != .none { spaces.area(group.firstArea).groupPrevious = new.id }
    group.firstArea = new.id
  }

  /// Links the area of a child behind that of its parent.
  ///
  /// A walk that visits the parent's area first finds the child's entry, whatever a fork copies meanwhile.
  func linkToGroup(_ new: VirtualMemoryArea, _ group: AnonGroup, after old: VirtualMemoryArea) {
    new.groupPrevious = old.id
    new.groupNext = old.groupNext
    if old.groupNext != .none { spaces.area(old.groupNext).groupPrevious = new.id }
    old.groupNext = new.id
  }

  func unlinkFromGroup(_ old: VirtualMemoryArea, _ group: AnonGroup) {
    if old.groupPrevious == .none {
      group.firstArea = old.groupNext
    } else {
      spaces.area(old.groupPrevious).groupNext = old.groupNext
    }
    if old.groupNext != .none { spaces.area(old.groupNext).groupPrevious = old.groupPrevious }
  }

  /// Whether a group's list has an area.
  ///
  /// - Locks: takes the group's lock.
  package func lists(_ area: RowID, in id: RowID) -> Bool {
    let group = anonGroup(id)
    return group.lock.withLock {
      var next = group.firstArea
      while next != .none, next != area { next = spaces.area(next).groupNext }
      return next == area
    }
  }

  func anonGroup(_ id: RowID) -> AnonGroup { AnonGroup(machine.row(machine.layout.anonGroups, id.index)) }
}

extension Room {
  /// The reverse map.
  @inline(__always)
  package var reverseMap: ReverseMap { ReverseMap(machine: machine) }
}

extension ReverseMap {
  /// Counts one more mapping of a page, before the entry that maps it is written.
  ///
  /// The page's `mapping` says of which kind it is. Pages of hugetlb folios count in no statistic.
  ///
  /// - Parameters:
  ///   - frame: the page that the entry maps; the head if `huge`.
  ///   - page: the virtual page.
  ///   - exclusive: sets PG_anon_exclusive, if the policy has it; never clears it.
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/rmap.c:page_add_anon_rmap (6.1); without the encoding of PG_double_map, locked areas, KSM.
  /// - Kernel: mm/rmap.c:page_add_file_rmap (6.1); without the encoding of PG_double_map, locked areas,
  ///   counts of huge pages of files.
  /// - Kernel: mm/rmap.c:hugepage_add_anon_rmap (6.1)
  /// - Kernel: mm/rmap.c:hugepage_add_new_anon_rmap (6.1)
  package func add(
    _ frame: FrameNumber, _ area: VirtualMemoryArea, page: UInt64, huge: Bool, exclusive: Bool,
    on processor: Int
  ) {
    let head = memmap.head(of: frame)
    let folio = memmap.page(head)
    assert(folio.index &+ UInt64(frame.index &- head.index) == area.offset(of: page))
    if exclusive, policy.tracksExclusive { memmap.page(frame).set(.anonExclusive) }
    if huge {
      let isFirst = folio.entireMapcount.fetchAdd(1) == 0
      guard !folio.isHugetlb, isFirst else { return }
      countMapped(folio, by: Page.wholeMapping, on: processor)
      if folio.mapping.isAnonymous {
        counters.count(.anonTransparentHugePages, node: folio.node, by: 1, on: processor)
      }
    } else if memmap.page(frame).mapcount.fetchAdd(1) == 0 {
      countMapped(folio, by: 1, on: processor)
    }
  }

  /// Subtracts one mapping of a page, after the entry that mapped it was cleared or replaced.
  ///
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/rmap.c:page_remove_rmap (6.1); without deferred splitting, the encoding of PG_double_map,
  ///   locked areas.
  package func remove(_ frame: FrameNumber, huge: Bool, on processor: Int) {
    let head = memmap.head(of: frame)
    let folio = memmap.page(head)
    if huge {
      let isLast = folio.entireMapcount.fetchAdd(-1) == 1
      guard !folio.isHugetlb, isLast else { return }
      countMapped(folio, by: -Page.wholeMapping, on: processor)
      if folio.mapping.isAnonymous {
        counters.count(.anonTransparentHugePages, node: folio.node, by: -1, on: processor)
      }
    } else if memmap.page(frame).mapcount.fetchAdd(-1) == 1 {
      countMapped(folio, by: -1, on: processor)
    }
  }

  /// Whether a page may be pinned, so that a fork has to copy it for the child and must not share it.
  ///
  /// - Parameter mayBePinned: whether the parent has ever pinned pages, and the policy has forks look at that.
  /// - Locks: the caller holds the parent's page-table lock, and a reference on the folio.
  /// - Kernel: include/linux/mm.h:page_needs_cow_for_dma (6.1); without the look at MMF_HAS_PINNED, which the
  ///   caller has made.
  @inline(__always)
  func mustCopy(_ frame: FrameNumber, of head: FrameNumber, mayBePinned: Bool) -> Bool {
    mayBePinned && (!policy.tracksExclusive || memmap.page(frame).has(.anonExclusive))
      && folios.isMaybePinned(head)
  }

  /// Counts one more mapping of a page for the child of a fork; an anonymous page is exclusive no more.
  ///
  /// The caller has asked `mustCopy` and write-protected the parent's entry. The kernel does that last of all,
  /// under the same lock; done first, no page is ever mapped writable and not exclusive.
  ///
  /// - Locks: the caller holds the parent's page-table lock, and a reference on the folio for the child's entry.
  /// - Kernel: include/linux/rmap.h:page_try_dup_anon_rmap (6.1); without device-private pages.
  /// - Kernel: include/linux/rmap.h:__page_dup_rmap (6.1)
  /// - Kernel: include/linux/rmap.h:page_dup_file_rmap (6.1)
  @inline(__always)
  func share(_ frame: FrameNumber, huge: Bool) {
    let page = memmap.page(frame)
    if page.has(.anonExclusive) { page.clear(.anonExclusive) }
    if huge { page.entireMapcount.fetchAdd(1) } else { page.mapcount.fetchAdd(1) }
  }

  /// Turns the whole mapping of a folio into a mapping of each of its pages, in counts and references.
  ///
  /// The caller replaces the huge entry by a table of entries under the page-table lock.
  func splitMappingCounts(_ head: FrameNumber, on processor: Int) {
    let folio = memmap.page(head)
    let pages = 1 << folio.order
    folios.get(head, refs: Int32(pages - 1))
    let isExclusive = folio.mapping.isAnonymous && folio.has(.anonExclusive)
    var newlyMapped: Int32 = 0
    for i in 0..<pages {
      if isExclusive { memmap.page(head + i).set(.anonExclusive) }
      if memmap.page(head + i).mapcount.fetchAdd(1) == 0 { newlyMapped += 1 }
    }
    countMapped(folio, by: newlyMapped, on: processor)
    if folio.entireMapcount.fetchAdd(-1) == 1 {
      countMapped(folio, by: -Page.wholeMapping, on: processor)
      if folio.mapping.isAnonymous {
        counters.count(.anonTransparentHugePages, node: folio.node, by: -1, on: processor)
      }
    }
  }

  /// Makes a new folio anonymous memory of an area, before its first mapping is added.
  ///
  /// - Kernel: mm/rmap.c:__page_set_anon_rmap (6.1)
  func setAnonymous(_ head: FrameNumber, _ area: VirtualMemoryArea, page: UInt64) {
    let folio = memmap.page(head).unshared
    folio.index = area.offset(of: page)
    if !folio.isHugetlb { folio.set(.swapBacked) }
    folio.mapping = PageMapping(anonGroup: area.anonGroup)
  }

  /// Calls `body` with every area in which a folio may be mapped.
  ///
  /// `body` also gets the virtual page at which the folio's first page in the area would be mapped. It takes
  /// the page-table lock itself and tests whether an entry maps the folio. If the folio's pages are mapped
  /// one by one, it looks at the pages that follow too, up to the end of the area. It returns false to stop.
  ///
  /// - Parameter groupIsHeld: whether the caller keeps the anonymous group from being freed.
  /// - Locks: the caller holds a reference on the folio, and the page lock of an object's page, which keeps
  ///   the object; the lock of the anonymous group or object is held during `body`.
  /// - Kernel: mm/rmap.c:rmap_walk (6.1); without KSM.
  /// - Kernel: mm/rmap.c:rmap_walk_anon (6.1)
  /// - Kernel: mm/rmap.c:rmap_walk_file (6.1)
  @inline(__always)  // A closure that is called would be retained for every folio.
  package func forEachMapping(
    of head: FrameNumber, groupIsHeld: Bool = false, _ body: (AddressSpace, VirtualMemoryArea, UInt64) -> Bool
  ) {
    let folio = memmap.page(head)
    let mapping = folio.mapping
    if let id = mapping.anonGroup {
      // A page that outlived its mappings may name a group that was freed, or that is another one by now. To
      // walk the other one does no harm: none of its entries maps the page.
      guard groupIsHeld || getGroup(id) else { return }
      let group = anonGroup(id)
      group.lock.withLock {
        var next = group.firstArea
        while next != .none {
          let area = spaces.area(next)
          next = area.groupNext
          if !visit(area, folio, body) { return }
        }
      }
      if !groupIsHeld { putGroup(id) }
    } else if let id = mapping.object {
      assert(folio.has(.locked))
      let object = pageCache.object(id)
      object.lock.withLock {
        var next = object.firstArea
        while next != .none {
          let area = spaces.area(next)
          next = area.objectNext
          if !visit(area, folio, body) { return }
        }
      }
    }
  }

  @inline(__always)
  private func visit(
    _ area: VirtualMemoryArea, _ folio: Page, _ body: (AddressSpace, VirtualMemoryArea, UInt64) -> Bool
  ) -> Bool {
    let pages: UInt64 = folio.isLarge ? 1 << UInt64(folio.order) : 1
    let first = max(folio.index, area.pageOffset)
    let end = min(folio.index &+ pages, area.pageOffset &+ (area.end &- area.start))
    guard first < end else { return true }
    return body(spaces.space(area.space), area, area.start &+ (first &- area.pageOffset))
  }

  /// Counts pages of a folio that became mapped, or are mapped no more, in the statistics.
  ///
  /// - Parameter change: pages that are mapped one by one now, or `Page.wholeMapping`; negative if no more.
  private func countMapped(_ folio: Page, by change: Int32, on processor: Int) {
    var pages = Int(change)
    if folio.isLarge {
      let before = folio.pagesMapped.fetchAdd(change)
      let whole = Int32(truncatingIfNeeded: 1 &<< folio.order)
      func mapped(_ word: Int32) -> Int32 { word >= Page.wholeMapping ? whole : word }
      pages = Int(mapped(before &+ change) &- mapped(before))
    }
    guard pages != 0 else { return }
    counters.count(
      folio.mapping.isAnonymous ? .anonPages : .mapped, node: folio.node, by: pages, on: processor)
  }
}
