import Interleaving

/// Faults that a huge page serves, outside hugetlb.
extension Faults {
  /// Serves a fault at the level of PMD entries, or returns nil if single pages must serve it.
  ///
  /// The table that holds the PMD entry exists. In the kernel this is the middle of
  /// mm/memory.c:__handle_mm_fault (6.1).
  ///
  /// - Kernel: mm/huge_memory.c:huge_pmd_set_accessed (6.1)
  func hugeFault(_ fault: Fault) -> FaultResult? {
    let space = fault.space
    guard let slot = pageTables.slot(space, fault.page, level: 1) else { return nil }
    let entry = slot.entry
    if entry.isTable { return nil }
    if entry.isNone {
      guard fault.flags.contains(.write), fault.area.isAnonymous, wantsHuge(fault.area, fault.page) else {
        return nil
      }
      return newHugeFault(fault)
    }

    space.pageTableLock.lock()
    let current = slot.entry
    if current.isTable || current.isNone {
      space.pageTableLock.unlock()
      return .success
    }
    if current.isMigration {
      space.pageTableLock.unlock()
      migration.waitForMigration(of: current.frame, on: fault.processor)
      return .success
    }
    if fault.wantsOwnPage, !current.isWritable {
      let isServed = reuseHuge(fault, slot, current)
      if !isServed { pageTables.splitHuge(space, slot, fault.page, on: fault.processor) }
      space.pageTableLock.unlock()
      return isServed ? .success : nil
    }
    touch(slot, current, write: fault.flags.contains(.write))
    space.pageTableLock.unlock()
    return .success
  }

  /// Whether an area asks for huge pages and has room for one around a page.
  ///
  /// - Kernel: mm/huge_memory.c:hugepage_vma_check (6.1); without the setting "always", shared memory,
  ///   khugepaged.
  private func wantsHuge(_ area: VirtualMemoryArea, _ page: UInt64) -> Bool {
    let first = page & ~(spaces.hugePages &- 1)
    return area.flags.contains(.hugePage) && geometry.hugeOrder <= geometry.maxOrder
      && first >= area.start && first &+ spaces.hugePages <= area.end
  }

  /// Maps a new huge page of zeros; nil if none can be allocated.
  ///
  /// - Kernel: mm/huge_memory.c:do_huge_pmd_anonymous_page (6.1); without the huge zero page, khugepaged, the
  ///   first attempt on the local node alone.
  /// - Kernel: mm/huge_memory.c:__do_huge_pmd_anonymous_page (6.1); without userfaultfd, memory control
  ///   groups.
  private func newHugeFault(_ fault: Fault) -> FaultResult? {
    let space = fault.space
    let head: FrameNumber
    switch newAnonymousPage(fault, [.transhuge, .zero], order: geometry.hugeOrder) {
    case .success(let new): head = new
    case .failure:
      counters.bump(.thpFaultFallback, on: fault.process)
      return nil
    }
    let table: RowID
    switch pageTables.allocateTable(.table, for: fault.process) {
    case .success(let new): table = new
    case .failure(let result):
      folios.put(head, on: fault.processor)
      return result
    }
    space.pageTableLock.lock()
    guard let slot = pageTables.slot(space, fault.page, level: 1), slot.entry.isNone else {
      space.pageTableLock.unlock()
      pageTables.freeTable(table, on: fault.processor)
      folios.put(head, on: fault.processor)
      return .success
    }
    let first = fault.page & ~(spaces.hugePages &- 1)
    reverseMap.setAnonymous(head, fault.area, page: first)
    reverseMap.add(head, fault.area, page: first, huge: true, exclusive: true, on: fault.processor)
    lru.add(head, on: fault.processor)
    pageTables.deposit(table, in: space)
    pageTables.countResident(space, head, by: Int(spaces.hugePages))
    pageTables.setEntry(
      slot,
      .leaf(head, pageTables.leafBits(fault.area) | pageTables.writtenBits(fault.area) | PageTableEntry.huge))
    space.pageTableLock.unlock()
    counters.bump(.thpFaultAlloc, on: fault.process)
    return .success
  }

  /// Makes a huge page that is mapped read-only writable, if this process alone has it.
  ///
  /// - Returns: false if others have it too, or may have it: then the mapping is split and the one page
  ///   copied.
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/huge_memory.c:do_huge_pmd_wp_page (6.1); without waiting for the page lock (a locked folio
  ///   is split here), swap cache, the copy of the whole huge page (up to 5.7).
  private func reuseHuge(_ fault: Fault, _ slot: EntrySlot, _ entry: PageTableEntry) -> Bool {
    let head = entry.frame
    let folio = memmap.page(head)
    guard folio.mapping.isAnonymous else { return false }
    let isExclusive = policy.tracksExclusive
    if !(isEnabled(.exclusiveReuse) && isExclusive && folio.has(.anonExclusive)) {
      guard folio.lock.tryLock() else { return false }
      defer { folio.lock.unlock() }
      // Up to 5.18 the mappings decide, although the references do for small pages from 5.9 on.
      guard isExclusive && isEnabled(.soleReference) ? folio.refcount.load() == 1 : folios.isMappedOnce(head)
      else {
        return false
      }
      if isExclusive { folio.set(.anonExclusive) }
    }
    if fault.flags.contains(.write) {
      pageTables.setEntry(
        slot,
        PageTableEntry(
          rawValue: entry.rawValue | PageTableEntry.accessed | pageTables.writtenBits(fault.area)))
    }
    return true
  }
}
