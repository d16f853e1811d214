import Interleaving

/// Removing entries from page tables, and splitting huge mappings.
extension PageTables {
  /// The bits of a leaf in an area, without those that a write access adds (vma->vm_page_prot).
  ///
  /// A shared mapping is writable from the start. A private one is writable only where a fault has given the
  /// process its own page.
  func leafBits(_ area: VirtualMemoryArea) -> UInt64 {
    guard !area.flags.isDisjoint(with: [.read, .write, .execute]) else {
      return PageTableEntry.protNone | PageTableEntry.accessed
    }
    let isWritable = area.flags.contains([.shared, .write])
    return PageTableEntry.present | PageTableEntry.user | PageTableEntry.accessed
      | (isWritable ? PageTableEntry.writable : 0)
  }

  /// The bits that a write access adds to an entry of an area: dirty, and writable if the area is.
  ///
  /// - Kernel: include/linux/mm.h:maybe_mkwrite (6.1)
  func writtenBits(_ area: VirtualMemoryArea) -> UInt64 {
    PageTableEntry.dirty | (area.flags.contains(.write) ? PageTableEntry.writable : 0)
  }

  /// Counts resident pages of a space.
  ///
  /// - Locks: the caller holds the page-table lock.
  func countResident(_ space: AddressSpace, _ frame: FrameNumber, by pages: Int) {
    let folio = memmap.page(memmap.head(of: frame))
    guard !folio.isHugetlb else { return }
    let cell =
      folio.mapping.isAnonymous
      ? space.residentAnon : folio.has(.swapBacked) ? space.residentShared : space.residentFile
    cell.fetchAdd(UInt64(bitPattern: Int64(pages)), .relaxed)
  }

  /// Removes all entries of a span and drops the references that they hold.
  ///
  /// An entry is cleared before its mapping and its reference are dropped, so that a lockless walk that has
  /// taken a reference sees the change when it looks again.
  ///
  /// - Locks: the caller holds the space's lock, shared or exclusive; the page-table lock is released after
  ///   every table.
  /// - Kernel: mm/memory.c:zap_page_range (6.1); without lru_add_drain, MMU notifiers but for exclusive pages.
  /// - Kernel: mm/memory.c:unmap_page_range (6.1)
  func zap(_ space: AddressSpace, _ span: PageSpan, on processor: Int) {
    var at = span.start
    while at < span.end {
      let next = min(span.end, (at | (spaces.hugePages &- 1)) &+ 1)
      space.pageTableLock.lock()
      if let slot = slot(space, at, level: 1) {
        let entry = slot.entry
        if entry.isTable {
          zapTable(space, entry.tableID, at, next, on: processor)
        } else if !entry.isNone, next &- at == spaces.hugePages {
          zapHuge(space, slot, entry, on: processor)
        } else if !entry.isNone {
          splitHuge(space, slot, at, on: processor)
          zapTable(space, slot.entry.tableID, at, next, on: processor)
        }
        space.pageTableLock.unlock()
        at = next
      } else {
        space.pageTableLock.unlock()
        at = skipMissing(space, at)
      }
    }
  }

  /// The first page above `page` that an existing table may cover, given that no table holds its PMD entry.
  func skipMissing(_ space: AddressSpace, _ page: UInt64) -> UInt64 {
    let level = slot(space, page, level: 2) == nil ? 3 : 2
    let covered: UInt64 = 1 << UInt64(level * geometry.tableBits)
    return (page | (covered - 1)) &+ 1
  }

  /// Removes the entries of one table.
  ///
  /// - Kernel: mm/memory.c:zap_pte_range (6.1); without swap and device-private entries, deferring the free until the
  ///   TLB is flushed, freeing an empty table.
  private func zapTable(
    _ space: AddressSpace, _ table: RowID, _ first: UInt64, _ end: UInt64, on processor: Int
  ) {
    for page in first..<end {
      let index = tableIndex(page, 0)
      let place = entrySlot(table, index, level: 0)
      let entry = place.entry
      if entry.isNone { continue }
      if entry.mapsFrame {
        setEntry(place, .none)
        if !entry.isSpecial { dropMapping(space, entry, pages: 1, on: processor) }
      } else {
        if entry.isExclusive { mirrors.revoke(space, page) }
        setEntry(place, .none)
        if entry.isExclusive {
          dropExclusive(space, entry, on: processor)
        } else {
          countResident(space, entry.frame, by: -1)
        }
      }
    }
  }

  /// Removes a huge leaf or its migration entry.
  ///
  /// - Kernel: mm/huge_memory.c:zap_huge_pmd (6.1); without the huge zero page.
  /// - Kernel: mm/hugetlb.c:__unmap_hugepage_range (6.1); without shared page tables, MMU notifiers.
  private func zapHuge(
    _ space: AddressSpace, _ slot: EntrySlot, _ entry: PageTableEntry, on processor: Int
  ) {
    setEntry(slot, .none)
    if !memmap.page(memmap.head(of: entry.frame)).isHugetlb {
      freeTable(withdraw(from: space), on: processor)
    }
    if entry.isMigration {
      countResident(space, entry.frame, by: -Int(spaces.hugePages))
    } else {
      dropMapping(space, entry, pages: Int(spaces.hugePages), on: processor)
    }
  }

  /// Drops the mapping and the reference of an entry that was cleared.
  private func dropMapping(
    _ space: AddressSpace, _ entry: PageTableEntry, pages: Int, on processor: Int
  ) {
    let head = memmap.head(of: entry.frame)
    let folio = memmap.page(head)
    if entry.has(PageTableEntry.dirty), !folio.mapping.isAnonymous { folio.set(.dirty) }
    countResident(space, entry.frame, by: -pages)
    reverseMap.remove(entry.frame, huge: entry.isHuge, on: processor)
    folios.put(head, on: processor)
  }

  // MARK: - Splitting

  /// Splits the huge mapping around a page, unless it begins at the page.
  ///
  /// The folio stays whole; only its mapping changes.
  ///
  /// - Locks: the caller holds the space's lock.
  /// - Kernel: mm/huge_memory.c:split_huge_pmd_if_needed (6.1)
  func splitHugeMapping(_ space: AddressSpace, _ page: UInt64, on processor: Int) {
    guard page & (spaces.hugePages &- 1) != 0 else { return }
    space.pageTableLock.lock()
    if let slot = slot(space, page, level: 1), !slot.entry.isTable, !slot.entry.isNone {
      splitHuge(space, slot, page, on: processor)
    }
    space.pageTableLock.unlock()
  }

  /// Replaces a huge leaf, or the migration entry of one, by a table of entries (split_huge_pmd).
  ///
  /// Pins of the folio are not affected: they are counted on its head either way.
  ///
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/huge_memory.c:__split_huge_pmd (6.1); without MMU notifiers.
  /// - Kernel: mm/huge_memory.c:__split_huge_pmd_locked (6.1); without file mappings, the huge zero page,
  ///   freezing, the encoding of PG_double_map.
  package func splitHuge(_ space: AddressSpace, _ slot: EntrySlot, _ page: UInt64, on processor: Int) {
    let old = slot.entry
    machine.processor(processor).event(.thpSplitPMD).addAsOwner(1)
    let table = withdraw(from: space)
    space.tablePages.fetchAdd(1, .relaxed)
    let bits = old.rawValue & 0xfff & ~PageTableEntry.huge
    if !old.isMigration {
      // The dirty bit of the one entry may be lost in the many.
      if old.has(PageTableEntry.dirty) { memmap.page(memmap.head(of: old.frame)).set(.dirty) }
      reverseMap.splitMappingCounts(memmap.head(of: old.frame), on: processor)
    }
    fillTable(table, from: old.frame, bits)
    setEntry(slot, .table(table))
  }
}
