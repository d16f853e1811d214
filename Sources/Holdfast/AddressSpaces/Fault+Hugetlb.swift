import Interleaving
import SystemPackage

/// Faults on hugetlb areas: one huge page of the pool for each PMD entry.
///
/// Faults on a huge page of one object are served one after another, in whatever spaces, so that none finds the pool
/// empty because another one has just taken the page that serves both.
extension Faults {
  /// How a fault goes on when it has given its mutex back.
  private enum Step {
    case done(FaultResult)
    /// Wait for the lock of a page, then fault again.
    case waitForPage(FrameNumber)
    case waitForMigration(FrameNumber)
    /// Take a page away from the children. It is locked and has a reference, which go with it.
    case unmapFromChildren(FrameNumber)
  }

  /// Serves a fault on a hugetlb area.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_fault (6.1); without shared page tables, userfaultfd, hwpoison entries, the lock
  ///   of the cached page while a private mapping has another.
  /// - Kernel: mm/hugetlb.c:hugetlb_fault_mutex_hash (6.1); with another hash.
  func hugetlbFault(_ fault: Fault) -> FaultResult {
    if let failure = pageTables.ensureTable(fault.space, fault.page, level: 1, for: fault.process) {
      return failure
    }
    let mutexes = machine.layout.hugetlbFaultMutexes
    let hash = UInt64(fault.area.object.rawValue) &+ hugeIndex(fault) >> UInt64(geometry.hugeOrder)
    let mutex = machine.row(mutexes, Int(hash & UInt64(mutexes.count - 1))).lock(HugetlbFaultMutexRow.lock)
    switch mutex.withLock({ step(fault) }) {
    case .done(let result): return result
    case .waitForPage(let head): memmap.page(head).lock.waitUntilFree()
    case .waitForMigration(let frame): migration.waitForMigration(of: frame, on: fault.processor)
    case .unmapFromChildren(let head):
      unmapFromChildren(head, fault)
      memmap.page(head).lock.unlock()
      folios.put(head, on: fault.processor)
    }
    return .success
  }

  /// The first page of the object in the huge page.
  private func hugeIndex(_ fault: Fault) -> UInt64 {
    fault.area.offset(of: fault.page) & ~(spaces.hugePages &- 1)
  }

  /// The part of a fault under its mutex.
  private func step(_ fault: Fault) -> Step {
    let space = fault.space
    space.pageTableLock.lock()
    guard let slot = pageTables.slot(space, fault.page, level: 1) else {
      space.pageTableLock.unlock()
      return .done(.success)
    }
    let entry = slot.entry
    if entry.isNone {
      space.pageTableLock.unlock()
      return .done(missingHugetlb(fault))
    }
    if entry.isMigration {
      space.pageTableLock.unlock()
      if !isEnabled(.poolMigrationWait) { return .done(missingHugetlb(fault)) }
      return .waitForMigration(entry.frame)
    }

    // A migration holds the lock while it replaces the entries one by one, and so while the count of mappings says
    // less than there will be.
    let head = entry.frame
    let folio = memmap.page(head)
    guard folio.lock.tryLock() else {
      space.pageTableLock.unlock()
      return .waitForPage(head)
    }
    folios.get(head)
    let step: Step
    if fault.wantsOwnPage, !entry.isWritable {
      step = writeProtectedHugetlb(fault, slot, entry)
    } else {
      touch(slot, entry, write: fault.flags.contains(.write))
      space.pageTableLock.unlock()
      step = .done(.success)
    }
    if case .unmapFromChildren = step { return step }
    folio.lock.unlock()
    folios.put(head, on: fault.processor)
    return step
  }

  /// Serves a fault on an entry that is none.
  ///
  /// - Locks: the caller holds the fault's mutex.
  /// - Kernel: mm/hugetlb.c:hugetlb_no_page (6.1); without userfaultfd, poisoned pages, the copy in the same
  ///   fault when a private mapping of a cached page is written: a second fault makes it here; the dirty bit of a
  ///   shared mapping that was only read.
  private func missingHugetlb(_ fault: Fault) -> FaultResult {
    if fault.area.lostPage { return .busError }
    let id = fault.area.object
    let index = hugeIndex(fault)
    guard index &+ spaces.hugePages <= pageCache.object(id).pages else { return .busError }
    switch pageCache.lockFolio(
      id, index, wait: !fault.flags.contains(.retryNoWait), on: fault.processor)
    {
    case .busy: return .retry
    case .locked(let head):
      mapCachedHugetlb(fault, head, isNew: false)
      return .success
    case .missing: break
    }
    return fault.area.flags.contains(.shared) ? sharedHugetlb(fault, index) : privateHugetlb(fault)
  }

  // MARK: - Pages of the pool

  /// A page that was taken out of the pool for a fault.
  private struct PoolPage {
    let head: FrameNumber
    /// The object and the index for which it was reserved.
    let reservation: (object: BackingObject, index: UInt64)?
  }

  /// Takes a huge page out of the pool: the one that is reserved for the place, if one is and the caller wants it.
  ///
  /// - Kernel: mm/hugetlb.c:alloc_huge_page (6.1); without subpools, pages beyond the pool (overcommit),
  ///   control groups.
  private func newHugePage(_ fault: Fault, avoidReserve: Bool = false) -> PoolPage? {
    let area = fault.area
    let marks = area.flags.contains(.shared) ? area.object : area.reservations
    let index = hugeIndex(fault)
    guard !avoidReserve, marks != .none, pageCache.isReserved(pageCache.object(marks), index) else {
      return hugetlb.dequeue(reserved: false, for: fault.process).map { PoolPage(head: $0, reservation: nil) }
    }
    guard let head = hugetlb.dequeue(reserved: true, for: fault.process) else { return nil }
    let object = pageCache.object(marks)
    pageCache.setReserved(object, index, false)
    return PoolPage(head: head, reservation: (object, index))
  }

  /// Gives a page back that was not mapped after all; it is reserved again if it was.
  ///
  /// - Kernel: mm/hugetlb.c:restore_reserve_on_error (6.1)
  private func giveBack(_ new: PoolPage, _ fault: Fault) {
    if let reservation = new.reservation {
      hugetlb.reserveAgain()
      pageCache.setReserved(reservation.object, reservation.index, true)
    }
    folios.put(new.head, on: fault.processor)
  }

  private func clear(_ head: FrameNumber) {
    folios.zero(head, count: Int(spaces.hugePages))
    memmap.page(head).set(.uptodate)
  }

  /// Puts a new huge page into the page cache and maps it.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_add_to_page_cache (6.1); without marking the folio dirty, the inode's
  ///   blocks.
  private func sharedHugetlb(_ fault: Fault, _ index: UInt64) -> FaultResult {
    guard let new = newHugePage(fault) else { return .busError }
    clear(new.head)
    guard memmap.page(new.head).lock.tryLock() else { fatalError("\(new.head) came locked out of its pool") }
    switch pageCache.insert(fault.area.object, index, new.head, for: fault.process) {
    case .inserted: break
    case .occupied: fatalError("the place of \(new.head) in its object was taken in spite of the mutex")
    case .failure(let result):
      memmap.page(new.head).lock.unlock()
      giveBack(new, fault)
      return result
    }
    mapCachedHugetlb(fault, new.head, isNew: true)
    return .success
  }

  /// Maps a locked folio of the page cache and unlocks it; the entry keeps the caller's reference.
  private func mapCachedHugetlb(_ fault: Fault, _ head: FrameNumber, isNew: Bool) {
    let isWrite = fault.flags.contains(.write) && fault.area.flags.contains(.shared)
    let isMapped = installHugetlb(
      fault, head, exclusive: false, isNew: isNew, isWrite ? pageTables.writtenBits(fault.area) : 0)
    if isWrite { memmap.page(head).set(.dirty) }
    memmap.page(head).lock.unlock()
    if !isMapped { folios.put(head, on: fault.processor) }
  }

  /// Maps a new huge page that only this process has.
  private func privateHugetlb(_ fault: Fault) -> FaultResult {
    guard reverseMap.prepareGroup(fault.space, fault.area) else { return .outOfMemory(nil) }
    guard let new = newHugePage(fault) else { return .busError }
    clear(new.head)
    reverseMap.setAnonymous(new.head, fault.area, page: fault.page & ~(spaces.hugePages &- 1))
    let isWrite = fault.flags.contains(.write)
    let bits = isWrite ? pageTables.writtenBits(fault.area) : 0
    if !installHugetlb(fault, new.head, exclusive: true, isNew: true, bits) { giveBack(new, fault) }
    return .success
  }

  // MARK: - Entries

  /// Writes the PMD entry of a huge page if it is none.
  ///
  /// Only a new page becomes one that can be isolated. A page of the cache may not be one just because it is isolated.
  private func installHugetlb(
    _ fault: Fault, _ head: FrameNumber, exclusive: Bool, isNew: Bool, _ extraBits: UInt64
  ) -> Bool {
    let first = fault.page & ~(spaces.hugePages &- 1)
    let isMapped = fault.space.pageTableLock.withLock { () -> Bool in
      guard let slot = pageTables.slot(fault.space, first, level: 1), slot.entry.isNone else {
        return false
      }
      reverseMap.add(
        head, fault.area, page: first, huge: true, exclusive: exclusive, on: fault.processor)
      pageTables.setEntry(
        slot, .leaf(head, pageTables.leafBits(fault.area) | extraBits | PageTableEntry.huge))
      return true
    }
    if isMapped, isNew { global.hugetlbLock.withLock { memmap.page(head).isHugetlbMigratable = true } }
    return isMapped
  }

  /// Serves a write to a huge page that is mapped read-only: the page is reused or copied.
  ///
  /// The copy of a page of the cache takes the page that is reserved for the place. The reservation has gone where
  /// the page is the mapping's own, so the copy of that needs one that is not reserved.
  ///
  /// - Locks: the caller holds the fault's mutex, the lock of the page with a reference, and the page-table lock, which
  ///   this releases.
  /// - Kernel: mm/hugetlb.c:hugetlb_wp (6.1); without userfaultfd, MMU notifiers.
  private func writeProtectedHugetlb(_ fault: Fault, _ slot: EntrySlot, _ entry: PageTableEntry) -> Step {
    let space = fault.space
    let old = entry.frame
    let folio = memmap.page(old)
    let isAnonymous = folio.mapping.isAnonymous
    let isUnshare = fault.flags.contains(.unshare)
    let isOurs = isAnonymous && folio.entireMapcount.load() == 1
    if isOurs, policy.tracksExclusive { folio.set(.anonExclusive) }
    if isOurs || fault.area.flags.contains(.shared)
      || (isUnshare && !isAnonymous && !policy.unsharesAnyPrivate)
    {
      if fault.flags.contains(.write) {
        let bits = entry.rawValue | PageTableEntry.accessed | pageTables.writtenBits(fault.area)
        pageTables.setEntry(slot, PageTableEntry(rawValue: bits))
        if !isAnonymous { folio.set(.dirty) }
      }
      space.pageTableLock.unlock()
      return .done(.success)
    }
    space.pageTableLock.unlock()

    guard reverseMap.prepareGroup(space, fault.area) else { return .done(.outOfMemory(nil)) }
    let isOwnersCopy = isAnonymous && fault.area.reservations != .none
    guard let copy = newHugePage(fault, avoidReserve: isOwnersCopy) else {
      return isOwnersCopy ? .unmapFromChildren(old) : .done(.busError)
    }
    let new = copy.head
    folios.copy(from: old, to: new, count: Int(spaces.hugePages))
    memmap.page(new).set(.uptodate)
    let first = fault.page & ~(spaces.hugePages &- 1)
    reverseMap.setAnonymous(new, fault.area, page: first)
    space.pageTableLock.lock()
    guard let current = pageTables.slot(space, first, level: 1), current.entry == entry else {
      space.pageTableLock.unlock()
      giveBack(copy, fault)
      return .done(.success)
    }
    reverseMap.add(new, fault.area, page: first, huge: true, exclusive: true, on: fault.processor)
    let bits =
      pageTables.leafBits(fault.area) | (isUnshare ? 0 : pageTables.writtenBits(fault.area))
      | PageTableEntry.huge
    pageTables.setEntry(current, .leaf(new, bits))
    reverseMap.remove(old, huge: true, on: fault.processor)
    space.pageTableLock.unlock()
    global.hugetlbLock.withLock { memmap.page(new).isHugetlbMigratable = true }
    folios.put(old, on: fault.processor)
    return .done(.success)
  }

  /// Takes a huge page that the pool has no copy of away from the children of its owner.
  ///
  /// The owner's next fault finds that it alone maps the page. Every later fault of such a child on a place without a
  /// page is a SIGBUS, even when the pool has pages again: zeros would look as if data had been lost.
  ///
  /// - Locks: the caller holds the page's lock and a reference, and not the fault's mutex.
  /// - Kernel: mm/hugetlb.c:unmap_ref_private (6.1)
  private func unmapFromChildren(_ head: FrameNumber, _ fault: Fault) {
    reverseMap.forEachMapping(of: head) { space, area, page in
      if area.id == fault.area.id || area.reservations != .none { return true }
      space.pageTableLock.withLock {
        guard let slot = pageTables.slot(space, page, level: 1), slot.entry.mapsFrame,
          slot.entry.frame == head
        else { return }
        area.lostPage = true
        pageTables.setEntry(slot, .none)
        reverseMap.remove(head, huge: true, on: fault.processor)
        folios.put(head, on: fault.processor)
      }
      return true
    }
  }
}
