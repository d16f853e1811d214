import Interleaving

/// Making and freeing areas, and the groups and objects that they are listed in.
extension Machine {
  // MARK: - Users of groups and objects

  /// Takes one more use of a group, unless it has been freed.
  ///
  /// The number may be out of date: the caller checks afterwards that the place where it read the number
  /// still has it.
  ///
  /// - Kernel: mm/rmap.c:folio_get_anon_vma (6.1); without reading the folio's mapping, which the caller
  ///   does.
  func holdGroup(_ id: RowID) -> Bool {
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
  func releaseGroup(_ id: RowID) {
    let last = global.tablesLock.withLock {
      let group = anonGroup(id)
      group.users -= 1
      return group.users == 0
    }
    if last { returnPoolRow(.anonGroups, id) }
  }

  /// Takes one more use of an object, unless it has been freed.
  func holdObject(_ id: RowID) -> Bool {
    global.tablesLock.withLock {
      let object = object(id)
      guard object.users > 0 else { return false }
      object.users += 1
      return true
    }
  }

  /// Drops a use of an object; the last one frees its pages.
  ///
  /// - Locks: the caller holds no lock above the space's: pages are locked one by one.
  func releaseObject(_ id: RowID, on processor: Int) {
    let last = global.tablesLock.withLock {
      let object = object(id)
      // The row counts as in use until its pages are freed, although no new use can be taken.
      guard object.users == 1 else {
        object.users -= 1
        return false
      }
      object.users = 0
      return true
    }
    guard last else { return }
    emptyCache(id, on: processor)
    returnPoolRow(.objects, id)
  }

  // MARK: - Areas

  /// Makes an area and inserts it into its space's tree; it takes over the caller's use of `object`.
  ///
  /// - Returns: nil if the table of areas is full.
  /// - Locks: the caller holds the space's lock exclusively.
  func createArea(
    _ space: RowID, _ span: PageSpan, flags: AreaFlags, object: RowID, offset: UInt64
  ) -> Area? {
    guard let id = takePoolRow(.areas) else { return nil }
    let new = area(id)
    new.space = space
    new.start = span.start
    new.end = span.end
    new.flags = flags
    new.pageOffset = offset
    new.object = object
    if object != .none {
      let backing = self.object(object)
      backing.lock.withLock { linkToObject(new, backing) }
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
  func splitArea(_ space: AddressSpace, _ old: Area, at page: UInt64, on processor: Int) -> Area? {
    guard let id = takePoolRow(.areas) else { return nil }
    if !old.flags.contains(.hugetlb) { splitHugeMapping(space, page, on: processor) }
    let new = area(id)
    new.space = old.space
    new.start = page
    new.end = old.end
    new.flags = old.flags
    new.pageOffset = old.offset(of: page)
    new.object = old.object
    new.anonGroup = old.anonGroup
    if new.object != .none { _ = holdObject(new.object) }
    if new.anonGroup != .none { _ = holdGroup(new.anonGroup) }

    // A reverse-mapping walk must see both areas together, or the old one alone.
    let backing = new.object == .none ? nil : object(new.object)
    let group = new.anonGroup == .none ? nil : anonGroup(new.anonGroup)
    backing?.lock.lock()
    group?.lock.lock()
    old.end = page
    if let backing { linkToObject(new, backing) }
    if let group { linkToGroup(new, group) }
    group?.lock.unlock()
    backing?.lock.unlock()
    insertArea(space, new)
    return new
  }

  /// Removes an area from its space and frees it; nothing is mapped in it any more.
  ///
  /// - Locks: the caller holds the space's lock exclusively.
  /// - Kernel: mm/mmap.c:remove_vma (6.1); without files, memory policies.
  /// - Kernel: mm/rmap.c:unlink_anon_vmas (6.1); without chains of several anon_vmas.
  /// - Kernel: mm/mmap.c:unlink_file_vma (6.1)
  func destroyArea(_ space: AddressSpace, _ old: Area, on processor: Int) {
    removeArea(space, old)
    let object = old.object
    let group = old.anonGroup
    if group != .none {
      let row = anonGroup(group)
      row.lock.withLock { unlinkFromGroup(old, row) }
      releaseGroup(group)
    }
    if object != .none {
      let row = self.object(object)
      row.lock.withLock { unlinkFromObject(old, row) }
    }
    returnPoolRow(.areas, old.id)
    if object != .none { releaseObject(object, on: processor) }
  }

  /// Gives an area its anonymous group if it has none.
  ///
  /// - Returns: false if the table of groups is full.
  /// - Locks: the caller holds the space's lock.
  /// - Kernel: mm/rmap.c:__anon_vma_prepare (6.1); without sharing the anon_vma of a neighbour.
  func prepareGroup(_ space: AddressSpace, _ area: Area) -> Bool {
    if area.anonGroup != .none { return true }
    guard let id = takePoolRow(.anonGroups) else { return false }
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
    if !isFirst { releaseGroup(id) }
    return true
  }

  // MARK: - Lists

  private func linkToGroup(_ new: Area, _ group: AnonGroup) {
    new.groupPrevious = .none
    new.groupNext = group.firstArea
    if group.firstArea != .none { area(group.firstArea).groupPrevious = new.id }
    group.firstArea = new.id
  }

  private func unlinkFromGroup(_ old: Area, _ group: AnonGroup) {
    if old.groupPrevious == .none {
      group.firstArea = old.groupNext
    } else {
      area(old.groupPrevious).groupNext = old.groupNext
    }
    if old.groupNext != .none { area(old.groupNext).groupPrevious = old.groupPrevious }
  }

  private func linkToObject(_ new: Area, _ object: BackingObject) {
    new.objectPrevious = .none
    new.objectNext = object.firstArea
    if object.firstArea != .none { area(object.firstArea).objectPrevious = new.id }
    object.firstArea = new.id
  }

  private func unlinkFromObject(_ old: Area, _ object: BackingObject) {
    if old.objectPrevious == .none {
      object.firstArea = old.objectNext
    } else {
      area(old.objectPrevious).objectNext = old.objectNext
    }
    if old.objectNext != .none { area(old.objectNext).objectPrevious = old.objectPrevious }
  }
}
