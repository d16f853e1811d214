import Interleaving

/// Mapping counts of pages, and the way from a page to the entries that map it.
extension Machine {
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
  package func addMapping(
    _ frame: FrameNumber, _ area: Area, page: UInt64, huge: Bool, exclusive: Bool, on processor: Int
  ) {
    let head = self.head(of: frame)
    let folio = self.page(head)
    assert(folio.index &+ UInt64(frame.index &- head.index) == area.offset(of: page))
    if exclusive, policy.tracksExclusive { self.page(frame).set(.anonExclusive) }
    let newlyMapped: Int
    if huge {
      let isFirst = folio.entireMapcount.fetchAdd(1) == 0
      guard !folio.isHugetlb, isFirst else { return }
      newlyMapped = unmappedPages(head)
      if folio.mapping.isAnonymous {
        count(.anonTransparentHugePages, node: folio.node, by: 1, on: processor)
      }
    } else {
      let isFirst = self.page(frame).mapcount.fetchAdd(1) == 0
      newlyMapped = isFirst && folio.entireMapcount.load(.relaxed) == 0 ? 1 : 0
    }
    countMapped(folio, by: newlyMapped, on: processor)
  }

  /// Subtracts one mapping of a page, after the entry that mapped it was cleared or replaced.
  ///
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/rmap.c:page_remove_rmap (6.1); without deferred splitting, the encoding of PG_double_map,
  ///   locked areas.
  package func removeMapping(_ frame: FrameNumber, huge: Bool, on processor: Int) {
    let head = self.head(of: frame)
    let folio = page(head)
    let newlyUnmapped: Int
    if huge {
      let isLast = folio.entireMapcount.fetchAdd(-1) == 1
      guard !folio.isHugetlb, isLast else { return }
      newlyUnmapped = unmappedPages(head)
      if folio.mapping.isAnonymous {
        count(.anonTransparentHugePages, node: folio.node, by: -1, on: processor)
      }
    } else {
      let isLast = page(frame).mapcount.fetchAdd(-1) == 1
      newlyUnmapped = isLast && folio.entireMapcount.load(.relaxed) == 0 ? 1 : 0
    }
    countMapped(folio, by: -newlyUnmapped, on: processor)
  }

  /// Turns the whole mapping of a folio into a mapping of each of its pages, in counts and references.
  ///
  /// The caller replaces the huge entry by a table of entries under the page-table lock.
  func splitMappingCounts(_ head: FrameNumber, on processor: Int) {
    let folio = page(head)
    let pages = 1 << folio.order
    getFolio(head, refs: Int32(pages - 1))
    let isExclusive = folio.mapping.isAnonymous && folio.has(.anonExclusive)
    for i in 0..<pages {
      if isExclusive { page(head + i).set(.anonExclusive) }
      page(head + i).mapcount.fetchAdd(1)
    }
    if folio.entireMapcount.fetchAdd(-1) == 1, folio.mapping.isAnonymous {
      count(.anonTransparentHugePages, node: folio.node, by: -1, on: processor)
    }
  }

  /// Makes a new folio anonymous memory of an area, before its first mapping is added.
  ///
  /// - Kernel: mm/rmap.c:__page_set_anon_rmap (6.1)
  func setAnonymous(_ head: FrameNumber, _ area: Area, page: UInt64) {
    let folio = self.page(head)
    folio.index = area.offset(of: page)
    if !folio.isHugetlb { folio.set(.swapBacked) }
    folio.mapping = PageMapping(anonGroup: area.anonGroup)
  }

  /// Mappings of a folio: whole ones and those of single pages.
  ///
  /// - Kernel: mm/util.c:folio_mapcount (6.1)
  package func mappingCount(_ head: FrameNumber) -> Int {
    let folio = page(head)
    if !folio.isLarge { return Int(folio.mapcount.load(.relaxed)) }
    var sum = Int(folio.entireMapcount.load(.relaxed))
    for i in 0..<folioPages(head) { sum += Int(page(head + i).mapcount.load(.relaxed)) }
    return sum
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
    of head: FrameNumber, groupIsHeld: Bool = false, _ body: (AddressSpace, Area, UInt64) -> Bool
  ) {
    let folio = page(head)
    let mapping = folio.mapping
    if let id = mapping.anonGroup {
      // A page that outlived its mappings may name a group that was freed, or that is another one by now. To
      // walk the other one does no harm: none of its entries maps the page.
      guard groupIsHeld || holdGroup(id) else { return }
      let group = anonGroup(id)
      group.lock.withLock {
        var next = group.firstArea
        while next != .none {
          let area = area(next)
          next = area.groupNext
          if !visit(area, folio, body) { return }
        }
      }
      if !groupIsHeld { releaseGroup(id) }
    } else if let id = mapping.object {
      assert(folio.has(.locked))
      let object = object(id)
      object.lock.withLock {
        var next = object.firstArea
        while next != .none {
          let area = area(next)
          next = area.objectNext
          if !visit(area, folio, body) { return }
        }
      }
    }
  }

  @inline(__always)
  private func visit(_ area: Area, _ folio: Page, _ body: (AddressSpace, Area, UInt64) -> Bool) -> Bool {
    let pages: UInt64 = folio.isLarge ? 1 << UInt64(folio.order) : 1
    let first = max(folio.index, area.pageOffset)
    let end = min(folio.index &+ pages, area.pageOffset &+ (area.end &- area.start))
    guard first < end else { return true }
    return body(space(area.space), area, area.start &+ (first &- area.pageOffset))
  }

  private func unmappedPages(_ head: FrameNumber) -> Int {
    var unmapped = 0
    for i in 0..<(1 << page(head).order) where page(head + i).mapcount.load(.relaxed) == 0 { unmapped += 1 }
    return unmapped
  }

  private func countMapped(_ folio: Page, by pages: Int, on processor: Int) {
    guard pages != 0 else { return }
    count(
      folio.mapping.isAnonymous ? .anonPages : .mapped, node: folio.node, by: pages, on: processor)
  }
}
