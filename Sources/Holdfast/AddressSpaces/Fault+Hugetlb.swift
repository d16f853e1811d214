import Interleaving
import SystemPackage

/// Faults on hugetlb areas: one huge page of the pool for each PMD entry.
///
/// For indexes without a page, the page cache of a hugetlb object also holds two marks: a huge page was
/// reserved when the object was mapped, or a fault is filling the index. Linux has the reservation map and
/// hugetlb_fault_mutex_table for these.
extension Machine {
  /// Serves a fault on a hugetlb area.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_fault (6.1); without shared page tables, userfaultfd, hwpoison entries,
  ///   the page lock while an entry is marked accessed.
  func hugetlbFault(_ fault: Fault) -> FaultResult {
    let space = fault.space
    if let failure = ensureTable(space, fault.page, level: 1, for: fault.process) { return failure }
    space.pageTableLock.lock()
    guard let place = slot(space, fault.page, level: 1) else {
      space.pageTableLock.unlock()
      return .success
    }
    let entry = place.entry
    if entry.isNone {
      space.pageTableLock.unlock()
      return missingHugetlb(fault)
    }
    if entry.isMigration {
      space.pageTableLock.unlock()
      if !isEnabled(.poolMigrationWait) { return missingHugetlb(fault) }
      waitForMigration(of: entry.frame, on: fault.processor)
      return .success
    }
    if fault.wantsOwnPage, !entry.isWritable { return writeProtectedHugetlb(fault, place, entry) }
    touch(place, entry, write: fault.flags.contains(.write))
    space.pageTableLock.unlock()
    return .success
  }

  /// Serves a fault on an entry that is none.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_no_page (6.1); without userfaultfd, poisoned pages, the copy in the same
  ///   fault when a private mapping of a cached page is written: a second fault makes it here.
  private func missingHugetlb(_ fault: Fault) -> FaultResult {
    let id = fault.area.object
    let index = fault.area.offset(of: fault.page) & ~(hugePages &- 1)
    guard index &+ hugePages <= object(id).pages else { return .busError }
    switch lockCachedFolio(id, index, wait: !fault.flags.contains(.retryNoWait), on: fault.processor) {
    case .busy: return .retry
    case .locked(let head):
      mapCachedHugetlb(fault, head)
      return .success
    case .missing: break
    }
    if !fault.area.flags.contains(.shared), !object(id).isPrivate {
      return privateHugetlb(fault, promised: false)
    }

    // One fault fills an index; others return, fault again and find the page.
    var isPromised = false
    let claim = withCacheSlot(object(id), index, level: 1, for: fault.process) { place in
      let entry = place.entry
      guard entry.isNone || entry == .reservedCachePage else { return .occupied }
      isPromised = entry == .reservedCachePage
      setEntry(place, .claimedCachePage)
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
      ? sharedHugetlb(fault, index, promised: isPromised) : privateHugetlb(fault, promised: isPromised)
    guard case .success = result else {
      endClaim(id, index, isPromised ? .reservedCachePage : .none)
      return result
    }
    endClaim(id, index, .none)
    return .success
  }

  /// Replaces the mark of a fault that fills an index, unless a page has replaced it already.
  private func endClaim(_ id: RowID, _ index: UInt64, _ entry: PageTableEntry) {
    let object = object(id)
    object.lock.withLock {
      guard let place = cacheSlot(object, index), place.entry == .claimedCachePage else { return }
      setEntry(place, entry)
    }
  }

  /// Takes a huge page of zeros out of the pool.
  ///
  /// - Kernel: mm/hugetlb.c:alloc_huge_page (6.1); without subpools, pages beyond the pool (overcommit),
  ///   control groups, reservations of private mappings that are restored on error.
  private func newHugePage(_ fault: Fault, promised: Bool) -> FrameNumber? {
    guard let head = dequeueHugePage(promised: promised, for: fault.process) else { return nil }
    zeroContents(head, count: Int(hugePages))
    page(head).set(.uptodate)
    return head
  }

  /// Puts a new huge page into the page cache and maps it.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_add_to_page_cache (6.1)
  private func sharedHugetlb(_ fault: Fault, _ index: UInt64, promised: Bool) -> FaultResult {
    guard let head = newHugePage(fault, promised: promised) else { return .busError }
    guard page(head).lock.tryLock() else { fatalError("\(head) came locked out of its pool") }
    guard case .inserted = insertCached(fault.area.object, index, head, for: fault.process) else {
      fatalError("the place of \(head) in its object was taken in spite of the claim")
    }
    mapCachedHugetlb(fault, head)
    return .success
  }

  /// Maps a locked folio of the page cache and unlocks it; the entry keeps the caller's reference.
  private func mapCachedHugetlb(_ fault: Fault, _ head: FrameNumber) {
    let isWrite = fault.flags.contains(.write) && fault.area.flags.contains(.shared)
    let isMapped = installHugetlb(fault, head, exclusive: false, isWrite ? writtenBits(fault.area) : 0)
    if isWrite { page(head).set(.dirty) }
    page(head).lock.unlock()
    if !isMapped { putFolio(head, on: fault.processor) }
  }

  /// Maps a new huge page that only this process has.
  private func privateHugetlb(_ fault: Fault, promised: Bool) -> FaultResult {
    guard prepareGroup(fault.space, fault.area) else { return .outOfMemory(nil) }
    guard let head = newHugePage(fault, promised: promised) else { return .busError }
    setAnonymous(head, fault.area, page: fault.page & ~(hugePages &- 1))
    let isWrite = fault.flags.contains(.write)
    if !installHugetlb(fault, head, exclusive: true, isWrite ? writtenBits(fault.area) : 0) {
      putFolio(head, on: fault.processor)
    }
    return .success
  }

  /// Writes the PMD entry of a huge page if it is none.
  private func installHugetlb(
    _ fault: Fault, _ head: FrameNumber, exclusive: Bool, _ extraBits: UInt64
  ) -> Bool {
    let first = fault.page & ~(hugePages &- 1)
    let isMapped = fault.space.pageTableLock.withLock { () -> Bool in
      guard let place = slot(fault.space, first, level: 1), place.entry.isNone else { return false }
      addMapping(head, fault.area, page: first, huge: true, exclusive: exclusive, on: fault.processor)
      setEntry(place, .leaf(head, leafBits(fault.area) | extraBits | PageTableEntry.huge))
      return true
    }
    if isMapped { global.hugetlbLock.withLock { page(head).isHugetlbMigratable = true } }
    return isMapped
  }

  /// Serves a write to a huge page that is mapped read-only: the page is reused or copied.
  ///
  /// - Locks: the caller holds the page-table lock, which this releases.
  /// - Kernel: mm/hugetlb.c:hugetlb_wp (6.1); without unmapping other private mappings when the pool is
  ///   empty, userfaultfd, MMU notifiers, reservations.
  private func writeProtectedHugetlb(
    _ fault: Fault, _ place: EntrySlot, _ entry: PageTableEntry
  ) -> FaultResult {
    let space = fault.space
    let old = entry.frame
    let folio = page(old)
    let isAnonymous = folio.mapping.isAnonymous
    let isUnshare = fault.flags.contains(.unshare)
    let isOurs = isAnonymous && folio.entireMapcount.load() == 1
    if isOurs, policy.tracksExclusive { folio.set(.anonExclusive) }
    if isOurs || fault.area.flags.contains(.shared)
      || (isUnshare && !isAnonymous && !policy.unsharesAnyPrivate)
    {
      if fault.flags.contains(.write) {
        let bits = entry.rawValue | PageTableEntry.accessed | writtenBits(fault.area)
        setEntry(place, PageTableEntry(rawValue: bits))
        if !isAnonymous { folio.set(.dirty) }
      }
      space.pageTableLock.unlock()
      return .success
    }
    getFolio(old)
    space.pageTableLock.unlock()
    defer { putFolio(old, on: fault.processor) }

    guard prepareGroup(space, fault.area) else { return .outOfMemory(nil) }
    guard let new = dequeueHugePage(promised: false, for: fault.process) else { return .busError }
    copyContents(from: old, to: new, count: Int(hugePages))
    page(new).set(.uptodate)
    let first = fault.page & ~(hugePages &- 1)
    setAnonymous(new, fault.area, page: first)
    space.pageTableLock.lock()
    guard let current = slot(space, first, level: 1), current.entry == entry else {
      space.pageTableLock.unlock()
      putFolio(new, on: fault.processor)
      return .success
    }
    addMapping(new, fault.area, page: first, huge: true, exclusive: true, on: fault.processor)
    let bits = leafBits(fault.area) | (isUnshare ? 0 : writtenBits(fault.area)) | PageTableEntry.huge
    setEntry(current, .leaf(new, bits))
    removeMapping(old, huge: true, on: fault.processor)
    space.pageTableLock.unlock()
    global.hugetlbLock.withLock { page(new).isHugetlbMigratable = true }
    putFolio(old, on: fault.processor)
    return .success
  }

  // MARK: - Reservations

  /// Reserves a huge page for every index of an object's range that has none; all or nothing.
  ///
  /// - Returns: nil, or why it failed.
  /// - Kernel: mm/hugetlb.c:hugetlb_reserve_pages (6.1); without subpools, control groups, VM_NORESERVE.
  func reserveHugetlb(
    _ id: RowID, offset: UInt64, pages: UInt64, for process: Process
  ) -> AddressSpaceError? {
    let object = object(id)
    var promised: [UInt64] = []
    var failure: AddressSpaceError?
    var index = offset
    while index < offset + pages, failure == nil {
      var isShort = false
      let result = withCacheSlot(object, index, level: 1, for: process) { place in
        guard place.entry.isNone else { return .occupied }
        isShort = !promiseHugePage()
        guard !isShort else { return .occupied }
        setEntry(place, .reservedCachePage)
        return .inserted
      }
      switch result {
      case .inserted: promised.append(index)
      case .occupied where isShort:
        failure = AddressSpaceError(
          .map, .noHugePages(Int(pages / hugePages)), errno: .noMemory)
      case .occupied: break
      case .failure(let cause): failure = faultError(.map, cause, at: nil)
      }
      index += hugePages
    }
    if failure != nil {
      for index in promised { releaseReservation(object, index) }
    }
    return failure
  }

  /// Reserves one free huge page.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_acct_memory (6.1); without surplus pages, cpusets.
  private func promiseHugePage() -> Bool {
    global.hugetlbLock.withLock {
      let free = configuration.nodes.indices.reduce(0) { $0 + hugetlbPool($1).freeList.count }
      guard free > global.hugetlbReserved else { return false }
      global.hugetlbReserved += 1
      return true
    }
  }

  /// Ends the reservation of an index, if it still has one.
  func releaseReservation(_ object: BackingObject, _ index: UInt64) {
    object.lock.withLock {
      guard let place = cacheSlot(object, index), place.entry == .reservedCachePage else { return }
      setEntry(place, .none)
      global.hugetlbLock.withLock { global.hugetlbReserved -= 1 }
    }
  }
}
