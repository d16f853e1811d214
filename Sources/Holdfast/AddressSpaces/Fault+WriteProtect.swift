import Interleaving

/// Writes to, and unsharing of, pages that are mapped read-only.
extension Faults {
  /// Serves a write to, or the unsharing of, a page that is mapped read-only.
  ///
  /// The page is reused if no other process can see it, otherwise it is copied.
  ///
  /// - Locks: the caller holds the page-table lock, which this releases.
  /// - Kernel: mm/memory.c:do_wp_page (6.1); without KSM, swap cache, userfaultfd.
  /// - Kernel: mm/memory.c:wp_page_shared (6.1); without page_mkwrite, the page lock; PG_dirty is set before
  ///   the entry, in the kernel after.
  func writeProtectFault(_ fault: Fault, _ slot: EntrySlot, _ entry: PageTableEntry) -> FaultResult {
    let space = fault.space
    let isUnshare = fault.flags.contains(.unshare)
    let frame = entry.frame
    let isAnonymous = !entry.isSpecial && memmap.page(memmap.head(of: frame)).mapping.isAnonymous
    if isAnonymous, mayReuse(frame, on: fault.processor) {
      if !isUnshare { makeWritable(fault, slot, entry) }
      space.pageTableLock.unlock()
      return .success
    }
    if !isAnonymous, isUnshare, !policy.unsharesAnyPrivate {
      space.pageTableLock.unlock()
      return .success
    }
    if !isAnonymous, fault.area.flags.contains([.shared, .write]) {
      if !entry.isSpecial { memmap.page(memmap.head(of: frame)).set(.dirty) }
      makeWritable(fault, slot, entry)
      space.pageTableLock.unlock()
      return .success
    }
    return copyPage(fault, entry)
  }

  /// Whether the process that maps an anonymous page may write to it in place.
  ///
  /// From 5.19 on it may if the page is exclusive, so that a pin never loses its page. It may also if the
  /// entry's reference is the only one, after this processor's LRU batch was drained. From 5.9 to 5.18 only
  /// the references decide, before that the mappings.
  ///
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/memory.c:do_wp_page (5.10); without KSM.
  /// - Kernel: mm/swapfile.c:reuse_swap_page (5.5); without swap, waiting for the page lock (the page is
  ///   copied here).
  private func mayReuse(_ frame: FrameNumber, on processor: Int) -> Bool {
    let head = memmap.head(of: frame)
    let folio = memmap.page(head)
    let isExclusive = policy.tracksExclusive
    if isExclusive, isEnabled(.exclusiveReuse), memmap.page(frame).has(.anonExclusive) { return true }
    if policy.reuse == .mappings || !isEnabled(.soleReference) {
      guard folios.isMappedOnce(head), folio.lock.tryLock() else { return false }
      defer { folio.lock.unlock() }
      guard folios.isMappedOnce(head) else { return false }
      if isExclusive { memmap.page(frame).set(.anonExclusive) }
      return true
    }
    if isExclusive {
      // An LRU batch may hold one reference and the swap cache one; a higher count means another user.
      if folio.refcount.load() > 3 { return false }
      if !folio.has(.lru) { lru.drain(processor: processor, on: processor) }
    }
    guard folio.refcount.load() == 1, folio.lock.tryLock() else { return false }
    defer { folio.lock.unlock() }
    guard folio.refcount.load() == 1 else { return false }
    if isExclusive { memmap.page(frame).set(.anonExclusive) }
    return true
  }

  /// Makes an entry writable and dirty, as far as the area allows it.
  ///
  /// - Kernel: mm/memory.c:wp_page_reuse (6.1); without the NUMA hint's CPU, the counter pgreuse.
  private func makeWritable(_ fault: Fault, _ slot: EntrySlot, _ entry: PageTableEntry) {
    pageTables.setEntry(
      slot,
      PageTableEntry(rawValue: entry.rawValue | PageTableEntry.accessed | pageTables.writtenBits(fault.area)))
  }

  /// Replaces the page by a copy.
  ///
  /// - Locks: the caller holds the page-table lock, which this releases.
  /// - Kernel: mm/memory.c:wp_page_copy (6.1); without MMU notifiers, memory control groups, swap cache,
  ///   poisoned sources, clearing the entry first (ptep_clear_flush_notify).
  private func copyPage(_ fault: Fault, _ entry: PageTableEntry) -> FaultResult {
    let space = fault.space
    let isZeroPage = entry.isSpecial
    let old = entry.frame
    let oldHead = memmap.head(of: old)
    if !isZeroPage { folios.get(oldHead) }
    space.pageTableLock.unlock()
    defer { if !isZeroPage { folios.put(oldHead, on: fault.processor) } }

    let new: FrameNumber
    switch newAnonymousPage(fault, isZeroPage ? [.highUserMovable, .zero] : .highUserMovable) {
    case .success(let frame): new = frame
    case .failure(let result): return result
    }
    if !isZeroPage { folios.copy(from: old, to: new) }

    space.pageTableLock.lock()
    guard let slot = pageTables.leafSlot(space, fault.page), slot.level == 0, slot.entry == entry else {
      space.pageTableLock.unlock()
      folios.put(new, on: fault.processor)
      return .success
    }
    if !isZeroPage { pageTables.countResident(space, old, by: -1) }
    let isWrite = fault.flags.contains(.write)
    mapNewAnonymous(fault, slot, new, isWrite ? pageTables.writtenBits(fault.area) : 0)
    if !isZeroPage { reverseMap.remove(old, huge: false, on: fault.processor) }
    space.pageTableLock.unlock()
    if !isZeroPage { folios.put(oldHead, on: fault.processor) }
    return .success
  }
}
