import Interleaving

/// Writes to, and unsharing of, pages that are mapped read-only (do_wp_page).
extension Machine {
  /// Makes the page behind a read-only entry one's own: the same one if nobody else can see it, else a copy.
  ///
  /// Called with the page-table lock held, which it gives back.
  func writeProtectFault(_ fault: Fault, _ place: EntrySlot, _ entry: PageTableEntry) -> FaultResult {
    let space = fault.space
    let isUnshare = fault.flags.contains(.unshare)
    let frame = entry.frame
    let isAnonymous = !entry.isSpecial && page(head(of: frame)).mapping.isAnonymous
    if isAnonymous, mayReuse(frame, on: fault.processor) {
      if !isUnshare { makeWritable(fault, place, entry) }
      space.pageTableLock.unlock()
      return .success
    }
    if !isAnonymous, isUnshare, !policy.unsharesAnyPrivate {
      space.pageTableLock.unlock()
      return .success
    }
    if !isAnonymous, fault.area.flags.contains([.shared, .write]) {
      if !entry.isSpecial { page(head(of: frame)).set(.dirty) }
      makeWritable(fault, place, entry)
      space.pageTableLock.unlock()
      return .success
    }
    return copyPage(fault, entry)
  }

  /// Whether an anonymous page may be written in place by the one that maps it.
  ///
  /// The page-table lock is held.
  ///
  /// From 5.19 on an exclusive page always may, so that a pin never loses the page (spec 5.9, bug 15); another
  /// one if the entry's reference is the only one, after a look past the batches of this processor. Before,
  /// only the count decides.
  private func mayReuse(_ frame: FrameNumber, on processor: Int) -> Bool {
    let head = self.head(of: frame)
    let folio = page(head)
    if policy.tracksExclusive {
      if has(.exclusiveReuse), page(frame).has(.anonExclusive) { return true }
      // A batch may hold one reference and the swap cache one; more than that means another user.
      if folio.refcount.load() > 3 { return false }
      if !folio.has(.lru) { drainLRU(processor: processor, on: processor) }
    }
    guard folio.refcount.load() == 1, folio.lock.tryLock() else { return false }
    defer { folio.lock.unlock() }
    guard folio.refcount.load() == 1 else { return false }
    if policy.tracksExclusive { page(frame).set(.anonExclusive) }
    return true
  }

  private func makeWritable(_ fault: Fault, _ place: EntrySlot, _ entry: PageTableEntry) {
    setEntry(
      place,
      PageTableEntry(rawValue: entry.rawValue | PageTableEntry.accessed | writtenBits(fault.area)))
  }

  /// Replaces the page by a copy (wp_page_copy).
  ///
  /// Called with the page-table lock held, which it gives back.
  private func copyPage(_ fault: Fault, _ entry: PageTableEntry) -> FaultResult {
    let space = fault.space
    let isZeroPage = entry.isSpecial
    let old = entry.frame
    let oldHead = head(of: old)
    if !isZeroPage { getFolio(oldHead) }
    space.pageTableLock.unlock()
    defer { if !isZeroPage { putFolio(oldHead, on: fault.processor) } }

    let new: FrameNumber
    switch newAnonymousPage(fault, isZeroPage ? [.highUserMovable, .zero] : .highUserMovable) {
    case .success(let frame): new = frame
    case .failure(let result): return result
    }
    if !isZeroPage { copyContents(from: old, to: new) }

    space.pageTableLock.lock()
    guard let place = leafSlot(space, fault.page), place.level == 0, place.entry == entry else {
      space.pageTableLock.unlock()
      putFolio(new, on: fault.processor)
      return .success
    }
    if !isZeroPage { countResident(space, old, by: -1) }
    let isWrite = fault.flags.contains(.write)
    mapNewAnonymous(fault, place, new, isWrite ? writtenBits(fault.area) : 0)
    if !isZeroPage { removeMapping(old, huge: false, on: fault.processor) }
    space.pageTableLock.unlock()
    if !isZeroPage { putFolio(oldHead, on: fault.processor) }
    return .success
  }
}
