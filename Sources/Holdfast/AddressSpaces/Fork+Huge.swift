import Interleaving

/// Copying huge mappings for a child.
extension PageTables {
  /// What came of the copy of a PMD entry.
  enum HugeCopy {
    case copied
    /// A table is there now, whose entries are to be copied.
    case isTable
    case failed(FaultResult)
  }

  /// Copies a PMD entry that maps a huge page, or its migration entry.
  ///
  /// The mapping of a huge page that may be pinned is split instead: then its pages are copied one by one.
  ///
  /// - Kernel: mm/huge_memory.c:copy_huge_pmd (6.1); without the huge zero page, userfaultfd and soft-dirty
  ///   bits.
  func copyHuge(_ copy: AreaCopy, _ page: UInt64) -> HugeCopy {
    // Faults map pages of objects again.
    guard copy.source.isAnonymous else { return .copied }
    let processor = copy.process.processor
    let table: RowID
    switch allocateTable(.table, for: copy.process) {
    case .success(let new): table = new
    case .failure(let failure): return .failed(failure)
    }
    copy.lockTables()
    guard let from = slot(copy.parent, page, level: 1), let to = slot(copy.child, page, level: 1),
      !from.entry.isTable
    else {
      copy.unlockTables()
      freeTable(table, on: processor)
      return .isTable
    }
    let entry = from.entry
    if entry.isMigration {
      let shared = sharedMigration(entry, copy.source)
      if shared != entry { setEntry(from, shared) }
      deposit(table, in: copy.child)
      countResident(copy.child, entry.frame, by: Int(spaces.hugePages))
      setEntry(to, shared)
      copy.unlockTables()
      return .copied
    }
    let head = entry.frame
    folios.get(head)
    if reverseMap.mustCopy(head, of: head, mayBePinned: mayBePinned(copy)) {
      copy.unlockTables()
      folios.put(head, on: processor)
      freeTable(table, on: processor)
      copy.parent.pageTableLock.withLock {
        if let slot = slot(copy.parent, page, level: 1), !slot.entry.isTable {
          splitHuge(copy.parent, slot, page, on: processor)
        }
      }
      return .isTable
    }
    setEntry(from, entry.writeProtected)
    reverseMap.share(head, huge: true)
    deposit(table, in: copy.child)
    countResident(copy.child, head, by: Int(spaces.hugePages))
    setEntry(to, PageTableEntry(rawValue: entry.rawValue & ~lostBits(copy.source)))
    copy.unlockTables()
    return .copied
  }

  /// Copies the entry of a huge page of the pool.
  ///
  /// For one that may be pinned the child gets another out of the pool, none that is reserved.
  ///
  /// - Kernel: mm/hugetlb.c:copy_hugetlb_page_range (6.1); without shared page tables, userfaultfd, hwpoison
  ///   entries, markers, the accessed bit, the copy of shared mappings: faults map them again.
  /// - Kernel: mm/hugetlb.c:hugetlb_install_page (6.1); without a writable entry where the area may not be written, which
  ///   lets the child store there.
  func copyHugetlb(_ copy: AreaCopy, _ page: UInt64) -> FaultResult? {
    let processor = copy.process.processor
    var spare: FrameNumber?
    defer { if let spare { folios.put(spare, on: processor) } }
    // What the spare page holds.
    var copied = PageTableEntry.none
    while true {
      copy.lockTables()
      guard let from = slot(copy.parent, page, level: 1), let to = slot(copy.child, page, level: 1),
        !from.entry.isNone
      else {
        copy.unlockTables()
        return nil
      }
      let entry = from.entry
      if entry.isMigration {
        let shared = sharedMigration(entry, copy.source)
        if shared != entry { setEntry(from, shared) }
        setEntry(to, shared)
        copy.unlockTables()
        return nil
      }
      let head = entry.frame
      if let new = spare, entry == copied {
        spare = nil
        install(new, copy, page, in: to)
        copy.unlockTables()
        global.hugetlbLock.withLock { memmap.page(new).isHugetlbMigratable = true }
        return nil
      }
      folios.get(head)
      let isAnonymous = memmap.page(head).mapping.isAnonymous
      if isAnonymous, reverseMap.mustCopy(head, of: head, mayBePinned: mayBePinned(copy)) {
        copy.unlockTables()
        defer { folios.put(head, on: processor) }
        if spare == nil { spare = hugetlb.dequeue(reserved: false, for: copy.process) }
        guard let spare else { return .outOfMemory(nil) }
        folios.copy(from: head, to: spare, count: Int(spaces.hugePages))
        memmap.page(spare).set(.uptodate)
        copied = entry
        continue
      }
      if copy.source.isCopyOnWrite { setEntry(from, entry.writeProtected) }
      reverseMap.share(head, huge: true)
      setEntry(to, PageTableEntry(rawValue: entry.rawValue & ~lostBits(copy.source)))
      copy.unlockTables()
      return nil
    }
  }

  /// Maps a copy of a pinned huge page in the child.
  private func install(_ new: FrameNumber, _ copy: AreaCopy, _ page: UInt64, in slot: EntrySlot) {
    reverseMap.setAnonymous(new, copy.target, page: page)
    reverseMap.add(new, copy.target, page: page, huge: true, exclusive: true, on: copy.process.processor)
    setEntry(
      slot, .leaf(new, leafBits(copy.target) | writtenBits(copy.target) | PageTableEntry.huge))
  }
}
