import Interleaving

/// An area of a parent and its copy in the child.
struct AreaCopy {
  let parent: AddressSpace
  let child: AddressSpace
  let source: VirtualMemoryArea
  let target: VirtualMemoryArea
  /// The parent, for whom tables and pages are allocated.
  let process: Process

  /// Takes the page-table locks of both.
  func lockTables() {
    parent.pageTableLock.lock()
    child.childPageTableLock.lock()
  }

  func unlockTables() {
    child.childPageTableLock.unlock()
    parent.pageTableLock.unlock()
  }
}

/// Copying page tables for a child.
extension PageTables {
  /// Copies the entries of an area.
  ///
  /// While entries of a private mapping are write-protected, the parent's sequence count is odd. A lockless pin
  /// that sees that, or another count at its end, gives up; other pins wait for the space's lock.
  ///
  /// - Returns: nil, or why it failed.
  /// - Locks: the caller holds the parent's lock exclusively.
  /// - Kernel: mm/memory.c:copy_page_range (6.1); without MMU notifiers but for exclusive pages, frames without descriptors.
  /// - Kernel: mm/memory.c:copy_pmd_range (6.1); without device pages.
  /// - Kernel: mm/memory.c:copy_pud_range (6.1); without huge PUD entries.
  func copy(_ copy: AreaCopy) -> FaultResult? {
    let announces = copy.source.isCopyOnWrite && policy.announcesFork && isEnabled(.forkSequence)
    if announces { copy.parent.writeProtectSequence.advance() }
    defer { if announces { copy.parent.writeProtectSequence.advance() } }
    let isHugetlb = copy.source.flags.contains(.hugetlb)
    let end = copy.source.end
    var at = copy.source.start
    // Up to here the child has the tables above its page tables.
    var hasTables: UInt64 = 0
    while at < end {
      if at >= hasTables {
        if let failure = copyUpperTables(copy, at) { return failure }
        hasTables = (at | (1 << UInt64(2 * geometry.tableBits) - 1)) &+ 1
      }
      guard let slot = slot(copy.parent, at, level: 1) else {
        at = skipMissing(copy.parent, at)
        continue
      }
      let next = min(end, (at | (spaces.hugePages &- 1)) &+ 1)
      if !slot.entry.isNone {
        if isHugetlb {
          if let failure = copyHugetlb(copy, at) { return failure }
        } else if let failure = copyRegion(copy, at, upTo: next, isHuge: !slot.entry.isTable) {
          return failure
        }
      }
      at = next
    }
    return nil
  }

  /// Makes the tables of the child above its page tables that the parent has for a page, though nothing may be in them.
  private func copyUpperTables(_ copy: AreaCopy, _ page: UInt64) -> FaultResult? {
    var level = 1
    while level < Self.rootLevel, slot(copy.parent, page, level: level) == nil { level += 1 }
    return ensureTable(copy.child, page, level: level, for: copy.process)
  }

  /// Copies what one PMD entry covers of an area.
  private func copyRegion(
    _ copy: AreaCopy, _ start: UInt64, upTo end: UInt64, isHuge: Bool
  ) -> FaultResult? {
    if isHuge {
      switch copyHuge(copy, start) {
      case .copied: return nil
      case .failed(let failure): return failure
      case .isTable: break
      }
    }
    return copyTable(copy, start, upTo: end)
  }

  /// Whether a fork has to ask of each page whether it is pinned.
  ///
  /// - Kernel: include/linux/mm.h:page_needs_cow_for_dma (6.1); without the page, which the caller asks about.
  func mayBePinned(_ copy: AreaCopy) -> Bool {
    let isCovered =
      copy.source.flags.contains(.hugetlb) ? policy.forkCopy == .all : policy.forkCopy != .none
    return isCovered && isEnabled(.forkCopiesPinned) && copy.source.isCopyOnWrite
      && copy.parent.flags.load(.relaxed) & AddressSpace.hasPinned != 0
  }

  /// The bits of an entry that the child's entry for the same page has not.
  func lostBits(_ area: VirtualMemoryArea) -> UInt64 {
    PageTableEntry.accessed | (area.isCopyOnWrite ? PageTableEntry.writable : 0)
      | (area.flags.contains(.shared) ? PageTableEntry.dirty : 0)
  }

  /// The migration entry that parent and child have from now on: of a private page a read-only one.
  ///
  /// - Kernel: mm/memory.c:copy_nonpresent_pte (6.1); without swap, device-private pages, markers,
  ///   soft-dirty and userfaultfd bits. What it does with exclusive entries is in `copyEntries`.
  @inline(never)
  func sharedMigration(_ entry: PageTableEntry, _ area: VirtualMemoryArea) -> PageTableEntry {
    guard entry.swapKind != .migrationRead, area.isCopyOnWrite else { return entry }
    return .migration(
      .migrationRead, entry.frame, young: entry.has(PageTableEntry.accessed),
      dirty: entry.has(PageTableEntry.dirty), huge: entry.isHuge)
  }

  // MARK: - Small pages

  /// Copies the entries of a table.
  ///
  /// A page that has to be copied is allocated without locks, and its entry looked at again.
  ///
  /// - Kernel: mm/memory.c:copy_pte_range (6.1); without giving way after 32 entries: a table at a time.
  /// - Kernel: mm/memory.c:page_copy_prealloc (6.1); without memory control groups.
  private func copyTable(_ copy: AreaCopy, _ start: UInt64, upTo end: UInt64) -> FaultResult? {
    if let failure = ensureTable(copy.child, start, level: 0, for: copy.process) { return failure }
    let processor = copy.process.processor
    var spare: FrameNumber?
    defer { if let spare { folios.put(spare, on: processor) } }
    var page = start
    while page < end {
      copy.lockTables()
      guard let from = slot(copy.parent, page, level: 1)?.entry, from.isTable,
        let to = slot(copy.child, page, level: 1)?.entry, to.isTable
      else { fatalError("page \(page) has no table to copy from, or to copy to") }
      let reached = copyEntries(copy, from: from.tableID, to: to.tableID, page, upTo: end, &spare)
      copy.unlockTables()
      guard let reached else { return .retry }
      page = reached
      guard page < end, spare == nil else { continue }
      do {
        spare = try allocator.allocateFolio(order: 0, gfp: .highUserMovable, for: copy.process)
      } catch {
        return .outOfMemory(error)
      }
    }
    return nil
  }

  /// Copies entries from one table to another, up to the first whose page has to be copied and is not given.
  ///
  /// An exclusive entry is restored first. Where that would have to wait for the page's lock, the fork fails.
  ///
  /// - Returns: the page to go on with; nil if a page's lock is taken.
  /// - Locks: the caller holds both page-table locks.
  /// - Kernel: mm/memory.c:copy_present_pte (6.1); without userfaultfd.
  @inline(never)
  private func copyEntries(
    _ copy: AreaCopy, from: RowID, to: RowID, _ start: UInt64, upTo end: UInt64, _ spare: inout FrameNumber?
  ) -> UInt64? {
    let offset = tableIndex(start, 0)
    let entries = tablePage(from).entries(from: offset)
    let copies = tablePage(to).entries(from: offset)
    let area = copy.source
    let protects = area.isCopyOnWrite ? PageTableEntry.writable : 0
    let lost = lostBits(area)
    let mayBePinned = mayBePinned(copy)
    let count = Int(truncatingIfNeeded: end &- start)
    let asksForPins = mayBePinned && !policy.tracksExclusive
    var (filled, anonymous) = (0, 0)
    var index = 0
    var isBusy = false
    while index < count {
      let cell = entries[index]
      var entry = cell.load(.relaxed)
      if entry.isNone {
        index &+= 1
        continue
      }
      var value: PageTableEntry
      if !entry.isPresent, entry.isExclusive, isEnabled(.exclusiveForkRestore) {
        isBusy = !tryRestoreExclusive(
          copy.parent, entrySlot(from, offset &+ index, level: 0), area, start &+ UInt64(index),
          on: copy.process.processor)
        if isBusy { break }
        entry = cell.load(.relaxed)
      }
      if entry.isMigration {
        value = sharedMigration(entry, area)
        if value != entry { changeEntry(cell, to: value) }
        countResident(copy.child, entry.frame, by: 1)
      } else if !isEnabled(.exclusiveForkRestore), entry.isExclusive {
        value = entry
        folios.get(memmap.head(of: entry.frame))
        if policy.exclusiveAccess == .page { reverseMap.share(entry.frame, huge: false) }
        countResident(copy.child, entry.frame, by: 1)
      } else {
        value = PageTableEntry(rawValue: entry.rawValue & ~lost)
        if !entry.isSpecial {
          let frame = entry.frame
          let head = memmap.head(of: frame)
          let isAnonymous = memmap.page(head).mapping.isAnonymous
          folios.get(head)
          // Before 5.19 a fork asked of a page of a file too.
          if isAnonymous || asksForPins, reverseMap.mustCopy(frame, of: head, mayBePinned: mayBePinned) {
            folios.put(head, on: copy.process.processor)
            guard let new = spare else { break }
            spare = nil
            value = copyPresent(copy, frame, to: new, at: start &+ UInt64(index))
            fillEntry(copies[index], with: value)
            filled &+= 1
            index &+= 1
            continue
          }
          if entry.rawValue & protects != 0 { changeEntry(cell, to: entry.writeProtected) }
          reverseMap.share(frame, huge: false)
          if isAnonymous { anonymous &+= 1 } else { countResident(copy.child, frame, by: 1) }
        }
      }
      fillEntry(copies[index], with: value)
      filled &+= 1
      index &+= 1
    }
    if anonymous > 0 { copy.child.residentAnon.fetchAdd(UInt64(anonymous), .relaxed) }
    if filled > 0 { countEntries(to, added: filled) }
    return isBusy ? nil : start &+ UInt64(index)
  }

  /// Copies a page that may be pinned for the child; the parent's entry stays as it is.
  ///
  /// - Returns: the child's entry.
  /// - Kernel: mm/memory.c:copy_present_page (6.1); without userfaultfd.
  private func copyPresent(
    _ copy: AreaCopy, _ frame: FrameNumber, to new: FrameNumber, at page: UInt64
  ) -> PageTableEntry {
    let processor = copy.process.processor
    folios.copy(from: frame, to: new)
    memmap.page(new).set(.uptodate)
    reverseMap.setAnonymous(new, copy.target, page: page)
    reverseMap.add(new, copy.target, page: page, huge: false, exclusive: true, on: processor)
    lru.add(new, on: processor)
    countResident(copy.child, new, by: 1)
    return .leaf(new, leafBits(copy.target) | writtenBits(copy.target))
  }
}
