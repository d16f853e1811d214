import Interleaving

/// Making and freeing areas, and the groups and objects that they are listed in.
extension Spaces {
  /// Whether all areas of a range of pages are of private anonymous memory, or all of one object.
  package func isOfOneKind(_ id: RowID, _ pages: Range<UInt64>) -> Bool {
    let space = space(id)
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    var first: RowID?
    var isMixed = false
    forEachArea(space, in: PageSpan(start: pages.lowerBound, end: pages.upperBound)) { area in
      if let first, first != area.object { isMixed = true }
      first = area.object
    }
    return !isMixed
  }

  // MARK: - Areas

  /// Makes an area and inserts it into its space's tree; it takes over the caller's uses of `object` and `reservations`.
  ///
  /// - Returns: nil if the table of areas is full.
  /// - Locks: the caller holds the space's lock exclusively.
  func createArea(
    _ space: RowID, _ span: PageSpan, flags: VirtualMemoryAreaFlags, object: RowID, offset: UInt64,
    reservations: RowID
  ) -> VirtualMemoryArea? {
    guard let id = pools.allocate(.areas) else { return nil }
    let new = area(id)
    let fresh = new.unshared
    fresh.space = space
    fresh.start = span.start
    fresh.end = span.end
    fresh.flags = flags
    fresh.pageOffset = offset
    fresh.object = object
    fresh.reservations = reservations
    if object != .none {
      let backing = pageCache.object(object)
      backing.lock.withLock { pageCache.linkToObject(new, backing) }
    }
    insertArea(self.space(space), new)
    return new
  }

  /// Splits an area at a page inside it; returns the upper part, or nil if the table of areas is full.
  ///
  /// A huge mapping across the page is split first.
  ///
  /// - Locks: the caller holds the space's lock exclusively.
  /// - Kernel: mm/mmap.c:__split_vma (6.1); without memory policies, files, the limit of areas of a process.
  /// - Kernel: mm/huge_memory.c:vma_adjust_trans_huge (6.1)
  func splitArea(_ space: AddressSpace, _ old: VirtualMemoryArea, at page: UInt64, on processor: Int)
    -> VirtualMemoryArea?
  {
    guard let id = pools.allocate(.areas) else { return nil }
    if !old.flags.contains(.hugetlb) { pageTables.splitHugeMapping(space, page, on: processor) }
    let new = area(id)
    let fresh = new.unshared
    fresh.space = old.space
    fresh.start = page
    fresh.end = old.end
    fresh.flags = old.flags
    fresh.pageOffset = old.offset(of: page)
    fresh.object = old.object
    fresh.anonGroup = old.anonGroup
    fresh.reservations = old.reservations
    fresh.lostPage = old.lostPage
    if new.reservations != .none { _ = pageCache.getObject(new.reservations) }
    if new.object != .none { _ = pageCache.getObject(new.object) }
    if new.anonGroup != .none { _ = reverseMap.getGroup(new.anonGroup) }

    // A reverse-mapping walk must see both areas together, or the old one alone.
    let backing = new.object == .none ? nil : pageCache.object(new.object)
    let group = new.anonGroup == .none ? nil : reverseMap.anonGroup(new.anonGroup)
    backing?.lock.lock()
    group?.lock.lock()
    old.end = page
    if let backing { pageCache.linkToObject(new, backing) }
    if let group { reverseMap.linkToGroup(new, group) }
    group?.lock.unlock()
    backing?.lock.unlock()
    insertArea(space, new)
    return new
  }

  /// Removes an area from its space and frees it; nothing is mapped in it any more.
  ///
  /// Huge pages that are still reserved for it are not reserved any more.
  ///
  /// - Locks: the caller holds the space's lock exclusively.
  /// - Kernel: mm/mmap.c:remove_vma (6.1); without files, memory policies.
  /// - Kernel: mm/rmap.c:unlink_anon_vmas (6.1); without chains of several anon_vmas.
  /// - Kernel: mm/mmap.c:unlink_file_vma (6.1)
  /// - Kernel: mm/hugetlb.c:hugetlb_vm_op_close (6.1); without subpools, control groups, surplus pages.
  func destroyArea(_ space: AddressSpace, _ old: VirtualMemoryArea, on processor: Int) {
    removeArea(space, old)
    let object = old.object
    let reservations = old.reservations
    if reservations != .none {
      for index in stride(from: old.pageOffset, to: old.offset(of: old.end), by: Int(hugePages)) {
        pageCache.releaseReservation(pageCache.object(reservations), index)
      }
    }
    let group = old.anonGroup
    if group != .none {
      let row = reverseMap.anonGroup(group)
      row.lock.withLock { reverseMap.unlinkFromGroup(old, row) }
      reverseMap.putGroup(group)
    }
    if object != .none {
      let row = pageCache.object(object)
      row.lock.withLock { pageCache.unlinkFromObject(old, row) }
    }
    pools.free(.areas, old.id)
    if reservations != .none { pageCache.putObject(reservations, on: processor) }
    if object != .none { pageCache.putObject(object, on: processor) }
  }
}
