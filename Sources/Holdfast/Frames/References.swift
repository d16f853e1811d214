import Interleaving

/// The references on a folio that its mappings, its cache and its owner's data account for.
package struct ExpectedReferences: Equatable {
  /// One for each mapping.
  var mappings: Int
  /// Those of its object's cache.
  var cache: Int
  /// One if its owner keeps data with it (PG_private).
  var ownerData: Int

  /// All of them; the references of an isolation, a pin or a look-up come on top.
  var total: Int { mappings + cache + ownerData }
}

/// References to folios: taking, trying and dropping them, and freeing a folio with the last one.
extension Folios {
  /// Takes references on a folio on which the caller holds one already.
  ///
  /// - Kernel: include/linux/mm.h:folio_get (6.1)
  @inline(__always)
  package func get(_ head: FrameNumber, refs: Int32 = 1) {
    memmap.page(head).refcount.fetchAdd(refs)
  }

  /// Takes references on the folio of a frame that may be free, frozen, or about to be split.
  ///
  /// Fails if the count is zero or has overflowed. The head is read again afterwards, because a split may
  /// have come in between.
  ///
  /// - Kernel: mm/gup.c:try_get_folio (6.1)
  @inline(__always)
  package func tryGet(_ frame: FrameNumber, refs: Int32 = 1, processor: Int) -> FrameNumber? {
    while true {
      let head = memmap.head(of: frame)
      guard addReferences(memmap.page(head), refs) else { return nil }
      if !isEnabled(.folioRecheck) || memmap.head(of: frame) == head { return head }
      put(head, refs: refs, on: processor)
    }
  }

  /// Adds references to a count, unless that is zero or has overflowed.
  ///
  /// - Kernel: include/linux/page_ref.h:folio_ref_try_add_rcu (6.1)
  @inline(__always)
  package func addReferences(_ folio: Page, _ refs: Int32) -> Bool {
    if isEnabled(.freePageRefusal), isEnabled(.overflowRefusal) {
      return folio.refcount.addIfPositive(refs)
    }
    while true {
      let references = folio.refcount.load()
      if references == 0, isEnabled(.freePageRefusal) { return false }
      if references < 0, isEnabled(.overflowRefusal) { return false }
      if folio.refcount.compareExchange(references, references &+ refs).exchanged { return true }
    }
  }

  /// What accounts for the references on a folio: the one place that says so.
  ///
  /// The sum is stable only for a locked folio without mappings; for others it is a hint. A huge page of the
  /// pool has one reference from its cache, as mm/migrate.c:migrate_huge_page_move_mapping (6.1) expects,
  /// whatever its size.
  ///
  /// - Kernel: include/linux/mm.h:folio_expected_ref_count (6.1); without the swap cache.
  package func expectedReferences(of head: FrameNumber) -> ExpectedReferences {
    expectedReferences(of: head, mappings: mappingCount(head))
  }

  /// The same for a folio whose mappings are known: none, once a migration has replaced them.
  ///
  /// - Kernel: mm/migrate.c:folio_expected_refs (6.1); without the isolation's own reference, which the
  ///   caller adds.
  package func expectedReferences(of head: FrameNumber, mappings: Int) -> ExpectedReferences {
    let folio = memmap.page(head)
    guard folio.mapping.object != nil else {
      return ExpectedReferences(mappings: mappings, cache: 0, ownerData: 0)
    }
    return ExpectedReferences(
      mappings: mappings, cache: cacheReferences(of: head), ownerData: folio.has(.hasPrivate) ? 1 : 0)
  }

  /// References that an object's cache holds on a folio in it: one for each page, but one for a huge page of
  /// the pool.
  ///
  /// mm/filemap.c:__filemap_add_folio (6.1) takes them.
  package func cacheReferences(of head: FrameNumber) -> Int {
    memmap.page(head).isHugetlb ? 1 : memmap.folioPages(head)
  }

  /// Drops references; with the last one the folio is freed.
  ///
  /// - Kernel: include/linux/mm.h:folio_put_refs (6.1)
  /// - Kernel: include/linux/mm.h:folio_put (6.1)
  @inline(__always)
  package func put(_ head: FrameNumber, refs: Int32 = 1, on processor: Int) {
    let before = memmap.page(head).refcount.fetchAdd(0 &- refs)
    if before == refs { destroy(head, on: processor) }
    assert(before >= refs || before < 0, "refcount of \(head) fell from \(before) by \(refs)")
  }

  /// Frees a folio whose count reached zero.
  ///
  /// - Kernel: mm/swap.c:__folio_put (6.1); without device memory, memory control groups.
  @inline(never)
  private func destroy(_ head: FrameNumber, on processor: Int) {
    let folio = memmap.page(head)
    if folio.has(.lru) { lru.removeDying(head, on: processor) }
    let order = folio.isLarge ? folio.order : 0
    if folio.pincount.load(.relaxed) != 0 || folio.entireMapcount.load(.relaxed) != 0
      || folio.pagesMapped.load(.relaxed) != 0
    {
      fatalError("\(head) is freed while pinned or mapped")
    }
    // A huge page of a pool stays one folio in the pool.
    let isPooled = folio.isHugetlb
    let cleared = isPooled ? PageFlags.clearedAtFree.subtracting(.head) : .clearedAtFree
    for i in 0..<(1 << order) {
      let part = memmap.page(head + i)
      if part.mapcount.load(.relaxed) != 0 { fatalError("\(head + i) is freed while mapped") }
      part.clear(cleared)
      if !isPooled { part.headOffset.store(0) }
    }
    // Its count is zero: a walk of mappings may look at it, but not hold it.
    folio.unshared.mapping = .none
    if isPooled {
      hugetlb.free(head, on: processor)
    } else {
      allocator.free(head, order: order, on: processor)
    }
  }

  /// Where a folio's references are about to be compared with those that can be explained.
  package enum BystanderPlace: String {
    /// By the migration of the folio.
    case migration
    /// By a scan for movable folios: contiguous allocation and compaction.
    case rangeScan = "a range's scan"
    /// By a pass of an offline over its block, in all its attempts.
    case offlinePass = "an offline's pass"
  }

  /// Lets a bystander take a reference on a folio, if a failure was injected or an explorer chooses so.
  ///
  /// - Returns: whether the bystander has a reference now, which the caller drops at the end of its attempt.
  @inline(__always)
  package func bystanderRefers(to head: FrameNumber, before place: BystanderPlace, on processor: Int) -> Bool
  {
    guard failures.shouldFail(.reference, "a bystander's reference before \(place.rawValue)") else {
      return false
    }
    return tryGet(head, processor: processor) != nil
  }
}
