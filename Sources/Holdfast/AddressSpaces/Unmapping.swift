import Interleaving

/// Taking entries out of page tables, and splitting huge mappings.
extension Machine {
  /// The bits of a leaf in an area, apart from what a write access adds (vm_page_prot).
  ///
  /// A shared mapping is writable from the start, a private one only where a fault has made the page its own.
  func leafBits(_ area: Area) -> UInt64 {
    guard !area.flags.isDisjoint(with: [.read, .write, .execute]) else {
      return PageTableEntry.protNone | PageTableEntry.accessed
    }
    let isWritable = area.flags.contains([.shared, .write])
    return PageTableEntry.present | PageTableEntry.user | PageTableEntry.accessed
      | (isWritable ? PageTableEntry.writable : 0)
  }

  /// What a write access adds to an entry of an area: dirty, and writable if the area is (maybe_mkwrite).
  func writtenBits(_ area: Area) -> UInt64 {
    PageTableEntry.dirty | (area.flags.contains(.write) ? PageTableEntry.writable : 0)
  }

  /// Counts resident pages of a space.
  ///
  /// The page-table lock is held.
  func countResident(_ space: AddressSpace, _ frame: FrameNumber, by pages: Int) {
    let folio = page(head(of: frame))
    guard !folio.isHugetlb else { return }
    let cell =
      folio.mapping.isAnonymous
      ? space.residentAnon : folio.has(.swapBacked) ? space.residentShared : space.residentFile
    cell.fetchAdd(UInt64(bitPattern: Int64(pages)), .relaxed)
  }

  /// Takes all entries of a span away and drops the references that they hold (zap_page_range).
  ///
  /// An entry is cleared before the mapping and the reference are given up, so that a lockless walk that took a
  /// reference too sees the change when it looks again. The caller holds the space's lock, shared or exclusive;
  /// the table lock is let go after every table.
  func zap(_ space: AddressSpace, _ span: PageSpan, on processor: Int) {
    var at = span.start
    while at < span.end {
      let next = min(span.end, (at | (hugePages &- 1)) &+ 1)
      space.pageTableLock.lock()
      if let upper = slot(space, at, level: 1) {
        let entry = upper.entry
        if entry.isTable {
          zapTable(space, entry.tableID, at, next, on: processor)
        } else if !entry.isNone, next &- at == hugePages {
          zapHuge(space, upper, entry, on: processor)
        } else if !entry.isNone {
          splitHuge(space, upper, at, on: processor)
          zapTable(space, upper.entry.tableID, at, next, on: processor)
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

  private func zapTable(
    _ space: AddressSpace, _ table: RowID, _ first: UInt64, _ end: UInt64, on processor: Int
  ) {
    for page in first..<end {
      let index = tableIndex(page, 0)
      let place = EntrySlot(cell: tablePage(table).entry(index), level: 0, table: table, index: index)
      let entry = place.entry
      if entry.isNone { continue }
      setEntry(place, .none)
      if entry.isMigration {
        countResident(space, entry.frame, by: -1)
      } else if !entry.isSpecial {
        dropMapping(space, entry, pages: 1, on: processor)
      }
    }
  }

  private func zapHuge(
    _ space: AddressSpace, _ place: EntrySlot, _ entry: PageTableEntry, on processor: Int
  ) {
    setEntry(place, .none)
    if !page(head(of: entry.frame)).isHugetlb { freeTable(withdraw(from: space), on: processor) }
    if entry.isMigration {
      countResident(space, entry.frame, by: -Int(hugePages))
    } else {
      dropMapping(space, entry, pages: Int(hugePages), on: processor)
    }
  }

  private func dropMapping(
    _ space: AddressSpace, _ entry: PageTableEntry, pages: Int, on processor: Int
  ) {
    let head = self.head(of: entry.frame)
    let folio = page(head)
    if entry.has(PageTableEntry.dirty), !folio.mapping.isAnonymous { folio.set(.dirty) }
    countResident(space, entry.frame, by: -pages)
    removeMapping(entry.frame, huge: entry.isHuge, on: processor)
    putFolio(head, on: processor)
  }

  // MARK: - Splitting

  /// Splits the huge mapping that a page lies strictly inside of; nothing if there is none.
  ///
  /// The caller holds the space's lock. The folio stays one; only its mapping changes.
  func splitHugeMapping(_ space: AddressSpace, _ page: UInt64, on processor: Int) {
    guard page & (hugePages &- 1) != 0 else { return }
    space.pageTableLock.lock()
    if let upper = slot(space, page, level: 1), !upper.entry.isTable, !upper.entry.isNone {
      splitHuge(space, upper, page, on: processor)
    }
    space.pageTableLock.unlock()
  }

  /// Replaces a huge leaf, or the migration entry of one, by a table of entries (__split_huge_pmd).
  ///
  /// Pins of the folio are not affected: they count on its head either way. The page-table lock is held.
  package func splitHuge(_ space: AddressSpace, _ place: EntrySlot, _ page: UInt64, on processor: Int) {
    let old = place.entry
    let table = withdraw(from: space)
    space.tablePages.fetchAdd(1, .relaxed)
    let bits = old.rawValue & 0xfff & ~PageTableEntry.huge
    if !old.isMigration {
      // The dirty bit of the one entry may be lost with the many.
      if old.has(PageTableEntry.dirty) { self.page(head(of: old.frame)).set(.dirty) }
      splitMappingCounts(head(of: old.frame), on: processor)
    }
    // Nobody can reach the table yet; storing its entry in the upper table publishes all of it.
    for i in 0..<geometry.tableEntries {
      tablePage(table).entry(i).store(UInt64((old.frame + i).rawValue) << 12 | bits, .relaxed)
    }
    tableMeta(table).used = geometry.tableEntries
    setEntry(place, .table(table))
  }
}
