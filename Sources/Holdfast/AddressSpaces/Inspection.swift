import Interleaving

/// Numbers of one area, as in /proc/PID/smaps; sizes in pages.
public struct VirtualMemoryAreaUsage: Hashable, Sendable {
  /// The first page's address.
  public var start: VirtualAddress
  /// Its number of pages.
  public var pages: Int
  /// Protection and advice.
  public var flags: VirtualMemoryAreaFlags
  /// Pages that are mapped (Rss); hugetlb pages count in `hugetlb` instead.
  public var resident = 0
  /// Mapped pages that are anonymous.
  public var anonymous = 0
  /// Mapped pages that have been written.
  public var dirty = 0
  /// Mapped pages that are mapped once (Private_Clean and Private_Dirty).
  public var unshared = 0
  /// Anonymous pages that huge entries map (AnonHugePages).
  public var anonymousHuge = 0
  /// Pages of hugetlb folios.
  public var hugetlb = 0
  /// Entries of pages under migration.
  public var migrating = 0
}

/// Numbers of one process, as in /proc/PID/status; in pages.
public struct ProcessUsage: Hashable, Sendable {
  /// VmLck: locked_vm.
  public var locked: Int
  /// VmPin: pinned_vm.
  public var pinned: Int
  /// RssAnon.
  public var residentAnon: Int
  /// RssFile.
  public var residentFile: Int
  /// RssShmem.
  public var residentShared: Int
  /// VmPTE, in tables.
  public var tables: Int
  /// Areas.
  public var areas: Int
  /// VmSize: pages of all areas.
  public var size: Int
}

/// One entry that maps something: its position, value and level.
package struct MappedEntry {
  /// The first virtual page that the entry covers.
  package var page: UInt64
  package var entry: PageTableEntry
  /// 0 for one page, 1 for 2^tableBits.
  package var level: Int
}

extension Machine {
  /// The numbers of every area of a process, in ascending order.
  ///
  /// - Kernel: fs/proc/task_mmu.c:smap_gather_stats (6.1); without Pss, swap, locked pages, huge pages of
  ///   files.
  public func areaUsage(of process: Process) -> [VirtualMemoryAreaUsage] {
    guard process.live != 0 else { return [] }
    let space = spaces.space(process.space)
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    var result: [VirtualMemoryAreaUsage] = []
    spaces.forEachArea(space, in: PageSpan(start: 0, end: geometry.addressSpacePages)) { area in
      var usage = VirtualMemoryAreaUsage(
        start: VirtualAddress(page: area.start), pages: Int(area.end - area.start), flags: area.flags)
      space.pageTableLock.withLock {
        spaces.visitEntries(space, PageSpan(start: area.start, end: area.end)) { spaces.add($0, to: &usage) }
      }
      result.append(usage)
    }
    return result
  }

  /// The numbers of a process.
  ///
  /// - Kernel: fs/proc/task_mmu.c:task_mem (6.1); without high-water marks, data, stack, text, swap.
  public func usage(of process: Process) -> ProcessUsage {
    let space = spaces.space(process.space)
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    var size = 0
    spaces.forEachArea(space, in: PageSpan(start: 0, end: geometry.addressSpacePages)) {
      size += Int($0.end - $0.start)
    }
    return ProcessUsage(
      locked: Int(clamping: space.lockedPages.load(.relaxed)),
      pinned: Int(clamping: space.pinnedPages.load(.relaxed)),
      residentAnon: Int(space.residentAnon.load(.relaxed)),
      residentFile: Int(space.residentFile.load(.relaxed)),
      residentShared: Int(space.residentShared.load(.relaxed)),
      tables: Int(space.tablePages.load(.relaxed)), areas: space.areaCount, size: size)
  }

  /// The word of /proc/PID/pagemap for an address.
  ///
  /// - Kernel: fs/proc/task_mmu.c:pte_to_pagemap_entry (6.1); without swap entries, soft-dirty and
  ///   userfaultfd bits.
  public func pagemapWord(_ process: Process, _ address: VirtualAddress) -> UInt64 {
    guard process.live != 0, address.page < geometry.addressSpacePages else { return 0 }
    let space = spaces.space(process.space)
    return space.pageTableLock.withLock { () -> UInt64 in
      guard let slot = pageTables.leafSlot(space, address.page) else { return 0 }
      let entry = slot.entry
      if entry.isMigration { return 1 << 62 }
      if entry.isExclusive {
        return 1 << 62 | (memmap.page(entry.frame).mapcount.load(.relaxed) == 1 ? 1 << 56 : 0)
      }
      guard let frame = faults.mappedFrame(space, address.page) else { return 0 }
      let folio = memmap.page(memmap.head(of: frame))
      let mappings =
        folio.entireMapcount.load(.relaxed) + memmap.page(frame).mapcount.load(.relaxed)
      let isFile = !entry.isSpecial && !folio.mapping.isAnonymous
      return UInt64(frame.rawValue) | 1 << 63 | (isFile ? 1 << 61 : 0) | (mappings == 1 ? 1 << 56 : 0)
    }
  }
}

extension Spaces {
  fileprivate func add(_ mapped: MappedEntry, to usage: inout VirtualMemoryAreaUsage) {
    let entry = mapped.entry
    let pages = mapped.level == 1 ? Int(hugePages) : 1
    if entry.isMigration { usage.migrating += pages }
    guard entry.mapsFrame || entry.isExclusive, !entry.isSpecial else { return }
    let folio = memmap.page(memmap.head(of: entry.frame))
    if folio.isHugetlb {
      usage.hugetlb += pages
      return
    }
    usage.resident += pages
    if entry.mapsFrame && entry.has(PageTableEntry.dirty) || folio.has(.dirty) { usage.dirty += pages }
    if folio.mapping.isAnonymous {
      usage.anonymous += pages
      if mapped.level == 1 { usage.anonymousHuge += pages }
    }
    let mappings =
      folio.entireMapcount.load(.relaxed)
      + (mapped.level == 0 ? memmap.page(entry.frame).mapcount.load(.relaxed) : 0)
    if mappings == 1 || entry.isExclusive { usage.unshared += pages }
  }

  /// Every entry of a process that is not none, in ascending order: mapped frames and migration entries.
  ///
  /// - Locks: takes the page-table lock.
  func mappings(of process: Process) -> [MappedEntry] {
    let space = space(process.space)
    return space.pageTableLock.withLock { mappings(of: space) }
  }

  /// `mappings` of a space.
  ///
  /// - Locks: the caller holds the page-table lock, or nothing runs in the space.
  package func mappings(of space: AddressSpace) -> [MappedEntry] {
    var result: [MappedEntry] = []
    visitEntries(space, PageSpan(start: 0, end: geometry.addressSpacePages)) { result.append($0) }
    return result
  }

  /// The table pages below a space's root, the root first, then those deposited for splitting.
  func tables(of space: AddressSpace) -> [RowID] {
    var result = tables(from: space.rootTable, PageTables.rootLevel)
    var next = space.firstDeposit
    while next != .none {
      result.append(next)
      next = pageTables.tableMeta(next).next
    }
    return result
  }

  private func tables(from table: RowID, _ level: Int) -> [RowID] {
    guard level > 0 else { return [table] }
    return (0..<geometry.tableEntries).reduce(into: [table]) { result, index in
      let entry = pageTables.tablePage(table).entry(index).load(.relaxed)
      if entry.isTable { result += tables(from: entry.tableID, level - 1) }
    }
  }

  /// The area of a page, with its group and the page's offset; nil if there is none.
  ///
  /// - Locks: takes the space's lock, shared.
  package func area(
    _ page: UInt64, of id: RowID
  ) -> (id: RowID, group: RowID, offset: UInt64)? {
    let space = space(id)
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    return findArea(space, page).map { ($0.id, $0.anonGroup, $0.offset(of: page)) }
  }

  /// The entries of an object's page cache, in ascending order: folios, and the marks of a hugetlb object.
  ///
  /// - Locks: the caller holds the object's lock, or nothing runs.
  package func cacheEntries(of object: BackingObject) -> [MappedEntry] {
    var result: [MappedEntry] = []
    if object.height > 0 {
      let end: UInt64 = 1 << UInt64(object.height * geometry.tableBits)
      visit(object.rootTable, object.height - 1, base: 0, PageSpan(start: 0, end: end)) { result.append($0) }
    }
    return result
  }

  /// The table pages of an object's page cache.
  func tables(of object: BackingObject) -> [RowID] {
    object.height > 0 ? tables(from: object.rootTable, object.height - 1) : []
  }

  fileprivate func visitEntries(_ space: AddressSpace, _ span: PageSpan, _ body: (MappedEntry) -> Void) {
    visit(space.rootTable, PageTables.rootLevel, base: 0, span, body)
  }

  private func visit(
    _ table: RowID, _ level: Int, base: UInt64, _ span: PageSpan, _ body: (MappedEntry) -> Void
  ) {
    let shift = UInt64(level * geometry.tableBits)
    let first = span.start <= base ? 0 : (span.start - base) >> shift
    let last = min((span.end - 1 - base) >> shift, UInt64(geometry.tableEntries - 1))
    guard first <= last else { return }
    for index in first...last {
      let entry = pageTables.tablePage(table).entry(Int(index)).load(.relaxed)
      let page = base + index << shift
      if entry.isTable {
        visit(entry.tableID, level - 1, base: page, span, body)
      } else if !entry.isNone {
        body(MappedEntry(page: page, entry: entry, level: level))
      }
    }
  }
}
