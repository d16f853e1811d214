import Interleaving
import SystemPackage

/// Faults on hugetlb areas: one huge page of the pool for each PMD entry.
///
/// For indexes without a page, the page cache of a hugetlb object also holds two marks: a huge page was
/// reserved when the object was mapped, or a fault is filling the index. Linux has the reservation map and
/// hugetlb_fault_mutex_table for these.
extension Faults {
  /// Serves a fault on a hugetlb area.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_fault (6.1); without shared page tables, userfaultfd, hwpoison entries,
  ///   the page lock while an entry is marked accessed.
  func hugetlbFault(_ fault: Fault) -> FaultResult {
    let space = fault.space
    if let failure = pageTables.ensureTable(space, fault.page, level: 1, for: fault.process) {
      return failure
    }
    space.pageTableLock.lock()
    guard let slot = pageTables.slot(space, fault.page, level: 1) else {
      space.pageTableLock.unlock()
      return .success
    }
    let entry = slot.entry
    if entry.isNone {
      space.pageTableLock.unlock()
      return missingHugetlb(fault)
    }
    if entry.isMigration {
      space.pageTableLock.unlock()
      if !isEnabled(.poolMigrationWait) { return missingHugetlb(fault) }
      migration.waitForMigration(of: entry.frame, on: fault.processor)
      return .success
    }
    if fault.wantsOwnPage, !entry.isWritable { return writeProtectedHugetlb(fault, slot, entry) }
    touch(slot, entry, write: fault.flags.contains(.write))
    space.pageTableLock.unlock()
    return .success
  }

  /// Serves a fault on an entry that is none.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_no_page (6.1); without userfaultfd, poisoned pages, the copy in the same
  ///   fault when a private mapping of a cached page is written: a second fault makes it here.
  private func missingHugetlb(_ fault: Fault) -> FaultResult {
    let id = fault.area.object
    let index = fault.area.offset(of: fault.page) & ~(spaces.hugePages &- 1)
    guard index &+ spaces.hugePages <= pageCache.object(id).pages else { return .busError }
    switch pageCache.lockFolio(
      id, index, wait: !fault.flags.contains(.retryNoWait), on: fault.processor)
    {
    case .busy: return .retry
    case .locked(let head):
      mapCachedHugetlb(fault, head)
      return .success
    case .missing: break
    }
    if !fault.area.flags.contains(.shared), !pageCache.object(id).isPrivate {
      return privateHugetlb(fault, reserved: false)
    }

    // One fault fills an index; others return, fault again and find the page.
    var isReserved = false
    let claim = pageCache.withSlot(pageCache.object(id), index, level: 1, for: fault.process) { slot in
      let entry = slot.entry
      guard entry.isNone || entry == .reservedCachePage else { return .occupied }
      isReserved = entry == .reservedCachePage
      pageTables.setEntry(slot, .claimedCachePage)
      return .inserted
    }
    switch claim {
    case .failure(let result): return result
    case .occupied:
      giveWay(.retry, attempt: 0)
      return .success
    case .inserted: break
    }
    let result =
      fault.area.flags.contains(.shared)
      ? sharedHugetlb(fault, index, reserved: isReserved) : privateHugetlb(fault, reserved: isReserved)
    guard case .success = result else {
      endClaim(id, index, isReserved ? .reservedCachePage : .none)
      return result
    }
    endClaim(id, index, .none)
    return .success
  }

  /// Replaces the mark of a fault that fills an index, unless a page has replaced it already.
  private func endClaim(_ id: RowID, _ index: UInt64, _ entry: PageTableEntry) {
    let object = pageCache.object(id)
    object.lock.withLock {
      guard let slot = pageCache.slot(object, index), slot.entry == .claimedCachePage else { return }
      pageTables.setEntry(slot, entry)
    }
  }

  /// Takes a huge page of zeros out of the pool.
  ///
  /// - Kernel: mm/hugetlb.c:alloc_huge_page (6.1); without subpools, pages beyond the pool (overcommit),
  ///   control groups, reservations of private mappings that are restored on error.
  private func newHugePage(_ fault: Fault, reserved: Bool) -> FrameNumber? {
    guard let head = hugetlb.dequeue(reserved: reserved, for: fault.process) else { return nil }
    folios.zero(head, count: Int(spaces.hugePages))
    memmap.page(head).set(.uptodate)
    return head
  }

  /// Puts a new huge page into the page cache and maps it.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_add_to_page_cache (6.1); without marking the folio dirty, the inode's
  ///   blocks.
  private func sharedHugetlb(_ fault: Fault, _ index: UInt64, reserved: Bool) -> FaultResult {
    guard let head = newHugePage(fault, reserved: reserved) else { return .busError }
    guard memmap.page(head).lock.tryLock() else { fatalError("\(head) came locked out of its pool") }
    guard case .inserted = pageCache.insert(fault.area.object, index, head, for: fault.process) else {
      fatalError("the place of \(head) in its object was taken in spite of the claim")
    }
    mapCachedHugetlb(fault, head)
    return .success
  }

  /// Maps a locked folio of the page cache and unlocks it; the entry keeps the caller's reference.
  private func mapCachedHugetlb(_ fault: Fault, _ head: FrameNumber) {
    let isWrite = fault.flags.contains(.write) && fault.area.flags.contains(.shared)
    let isMapped = installHugetlb(
      fault, head, exclusive: false, isWrite ? pageTables.writtenBits(fault.area) : 0)
    if isWrite { memmap.page(head).set(.dirty) }
    memmap.page(head).lock.unlock()
    if !isMapped { folios.put(head, on: fault.processor) }
  }

  /// Maps a new huge page that only this process has.
  private func privateHugetlb(_ fault: Fault, reserved: Bool) -> FaultResult {
    guard reverseMap.prepareGroup(fault.space, fault.area) else { return .outOfMemory(nil) }
    guard let head = newHugePage(fault, reserved: reserved) else { return .busError }
    reverseMap.setAnonymous(head, fault.area, page: fault.page & ~(spaces.hugePages &- 1))
    let isWrite = fault.flags.contains(.write)
    if !installHugetlb(fault, head, exclusive: true, isWrite ? pageTables.writtenBits(fault.area) : 0) {
      folios.put(head, on: fault.processor)
    }
    return .success
  }

  /// Writes the PMD entry of a huge page if it is none.
  private func installHugetlb(
    _ fault: Fault, _ head: FrameNumber, exclusive: Bool, _ extraBits: UInt64
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
    if isMapped { global.hugetlbLock.withLock { memmap.page(head).isHugetlbMigratable = true } }
    return isMapped
  }

  /// Serves a write to a huge page that is mapped read-only: the page is reused or copied.
  ///
  /// - Locks: the caller holds the page-table lock, which this releases.
  /// - Kernel: mm/hugetlb.c:hugetlb_wp (6.1); without userfaultfd, MMU notifiers, reservations of private
  ///   mappings of files.
  private func writeProtectedHugetlb(
    _ fault: Fault, _ slot: EntrySlot, _ entry: PageTableEntry
  ) -> FaultResult {
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
      return .success
    }
    folios.get(old)
    space.pageTableLock.unlock()
    defer { folios.put(old, on: fault.processor) }

    guard reverseMap.prepareGroup(space, fault.area) else { return .outOfMemory(nil) }
    guard let new = hugetlb.dequeue(reserved: false, for: fault.process) else {
      guard fault.area.flags.contains(.reservationOwner) else { return .busError }
      unmapFromChildren(old, fault)
      return .success
    }
    folios.copy(from: old, to: new, count: Int(spaces.hugePages))
    memmap.page(new).set(.uptodate)
    let first = fault.page & ~(spaces.hugePages &- 1)
    reverseMap.setAnonymous(new, fault.area, page: first)
    space.pageTableLock.lock()
    guard let current = pageTables.slot(space, first, level: 1), current.entry == entry else {
      space.pageTableLock.unlock()
      folios.put(new, on: fault.processor)
      return .success
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
    return .success
  }

  /// Takes a huge page that the pool has no copy of away from the children of its owner.
  ///
  /// The owner's next fault finds that it alone maps the page. A child's next access finds no page, and none in
  /// the pool.
  ///
  /// - Kernel: mm/hugetlb.c:unmap_ref_private (6.1)
  private func unmapFromChildren(_ head: FrameNumber, _ fault: Fault) {
    reverseMap.forEachMapping(of: head) { space, area, page in
      if area.id == fault.area.id || area.flags.contains(.reservationOwner) { return true }
      space.pageTableLock.withLock {
        guard let slot = pageTables.slot(space, page, level: 1), slot.entry.mapsFrame,
          slot.entry.frame == head
        else { return }
        pageTables.setEntry(slot, .none)
        reverseMap.remove(head, huge: true, on: fault.processor)
        folios.put(head, on: fault.processor)
      }
      return true
    }
  }
}
