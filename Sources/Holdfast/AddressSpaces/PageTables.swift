import Interleaving

/// Page tables of four levels; one lock for each space protects all its entries.
///
/// Lockless walks read entries without that lock. So an entry changes by one atomic store, and a table is
/// freed only after every walk that may have seen it has ended.
package struct PageTables: Room {
  package let machine: Machine

  package func tableMeta(_ id: RowID) -> TableMeta {
    TableMeta(machine.row(machine.layout.tableMeta, id.index))
  }

  @inline(__always)
  package func tablePage(_ id: RowID) -> TablePage {
    TablePage(Row(machine.tableArena + (id.index &<< machine.tableShift)))
  }
}

extension Room {
  /// Page tables.
  @inline(__always)
  package var pageTables: PageTables { PageTables(machine: machine) }
}

extension PageTables {
  package static var rootLevel: Int { 3 }

  /// The entry that covers a page at a level, or nil if a table above it is missing.
  ///
  /// - Locks: the caller holds the page-table lock, or the space's lock, which keeps the tables themselves.
  func slot(_ space: AddressSpace, _ page: UInt64, level: Int) -> EntrySlot? {
    var table = space.rootTable
    var at = Self.rootLevel
    while true {
      let index = tableIndex(page, at)
      let slot = entrySlot(table, index, level: at)
      if at == level { return slot }
      let entry = slot.entry
      guard entry.isTable else { return nil }
      table = entry.tableID
      at &-= 1
    }
  }

  /// The leaf entry that covers a page: the PTE, or the PMD entry if no table lies below that.
  ///
  /// The PMD entry is then a huge leaf or the migration entry of one.
  ///
  /// - Returns: nil if a table on the way is missing.
  /// - Locks: as for `slot`.
  @inline(__always)
  package func leafSlot(_ space: AddressSpace, _ page: UInt64) -> EntrySlot? {
    let bits = UInt64(truncatingIfNeeded: geometry.tableBits)
    let mask = (1 &<< bits) &- 1
    var shift = 3 &* bits
    var table = space.rootTable
    while shift > 0 {
      let index = Int(truncatingIfNeeded: (page &>> shift) & mask)
      let slot = entrySlot(table, index, level: 1)
      let entry = slot.entry
      guard entry.isTable else {
        if shift > bits || entry.isNone { return nil }
        return slot
      }
      table = entry.tableID
      shift &-= bits
    }
    let index = Int(truncatingIfNeeded: page & mask)
    return entrySlot(table, index, level: 0)
  }

  @inline(__always)
  package func tableIndex(_ page: UInt64, _ level: Int) -> Int {
    Int(truncatingIfNeeded: page &>> UInt64(level &* geometry.tableBits)) & (geometry.tableEntries &- 1)
  }

  // MARK: - Making and freeing tables

  /// Makes the tables down to the one that holds the entries of `level` for a page.
  ///
  /// Stops early at a huge leaf.
  ///
  /// - Returns: nil, or the result to report if a table cannot be allocated.
  /// - Locks: the caller holds the space's lock and not the page-table lock, because tables are allocated
  ///   here.
  /// - Kernel: mm/memory.c:__pte_alloc (6.1)
  /// - Kernel: mm/memory.c:__pmd_alloc (6.1)
  /// - Kernel: mm/memory.c:__pud_alloc (6.1)
  func ensureTable(
    _ space: AddressSpace, _ page: UInt64, level: Int, for process: Process
  ) -> FaultResult? {
    var spare: RowID?
    var failure: FaultResult?
    while true {
      space.pageTableLock.lock()
      var at = Self.rootLevel
      var table = space.rootTable
      var isMissing = false
      while at > level {
        let place = entrySlot(table, tableIndex(page, at), level: at)
        var entry = place.entry
        if entry.isNone {
          guard let new = spare else {
            isMissing = true
            break
          }
          entry = .table(new)
          setEntry(place, entry)
          space.tablePages.fetchAdd(1, .relaxed)
          spare = nil
        }
        guard entry.isTable else { break }
        table = entry.tableID
        at &-= 1
      }
      space.pageTableLock.unlock()
      guard isMissing, failure == nil else { break }
      switch allocateTable(.table, for: process) {
      case .success(let id): spare = id
      case .failure(let result): failure = result
      }
      if failure != nil { break }
    }
    if let spare { freeTable(spare, on: process.processor) }
    return failure
  }

  /// Whether a table's frame holds page-table entries, nodes of an object's cache, or entries of an IOMMU.
  package enum TableUse { case table, cache, translation }

  package enum TableAllocation {
    case success(RowID)
    case failure(FaultResult)
  }

  /// Allocates a frame and a row for a table of empty entries.
  ///
  /// nr_page_table_pages counts tables of every level here; 6.1 counts PTE and PMD tables alone.
  ///
  /// - Locks: the caller holds no spin lock.
  package func allocateTable(_ use: TableUse, for process: Process) -> TableAllocation {
    let frame: FrameNumber
    do {
      frame = try allocator.allocateFolio(order: 0, gfp: [.kernel, .zero], for: process)
    } catch {
      return .failure(.outOfMemory(error))
    }
    guard let id = pools.allocate(.tablePages) else {
      folios.put(frame, on: process.processor)
      return .failure(.outOfMemory(nil))
    }
    tableMeta(id).unshared.frame = frame
    let page = memmap.page(frame)
    switch use {
    case .table:
      page.type = .table
      counters.count(.pageTablePages, node: page.zone.node, by: 1, on: process.processor)
    case .cache:
      page.set(.slab)
      counters.count(.slabUnreclaimable, node: page.zone.node, by: 1, on: process.processor)
    // 6.1 neither marks nor counts what an IOMMU's driver allocates.
    case .translation: break
    }
    return .success(id)
  }

  /// Frees a table that no path reaches any more.
  package func freeTable(_ id: RowID, on processor: Int) {
    let frame = tableMeta(id).frame
    let page = memmap.page(frame)
    if page.type == .table {
      counters.count(.pageTablePages, node: page.zone.node, by: -1, on: processor)
    } else if page.has(.slab) {
      counters.count(.slabUnreclaimable, node: page.zone.node, by: -1, on: processor)
    }
    page.type = .none
    page.clear(.slab)
    pools.free(.tablePages, id)
    folios.put(frame, on: processor)
  }

  /// Waits until every lockless walk that may have seen an entry before it was cleared has ended.
  ///
  /// A walk announces itself by an atomic addition before its first read. The addition of zero here is
  /// ordered against it: either it finds the walk and waits for its end, or the walk begins after it and
  /// reads what was stored before.
  ///
  /// - Kernel: mm/mmu_gather.c:tlb_remove_table_sync_one (6.1); without interrupts: the kernel sends one to
  ///   every CPU, and walks run with interrupts off.
  func synchroniseWalkers() {
    if !isEnabled(.walkerWait) { return }
    for index in 0..<configuration.processors {
      let walkers = machine.processor(index).walkers
      if walkers.fetchAdd(0) != 0 { walkers.waitUntilZero(.walker) }
    }
  }

  /// Frees the tables below the root that cover part of a span and are empty.
  ///
  /// - Locks: the caller holds the space's lock exclusively, so that no fault fills a table meanwhile.
  /// - Kernel: mm/memory.c:free_pgtables (6.1); without limits at the neighbouring areas: here a table is
  ///   freed when it has no entry.
  func freeEmptyTables(_ space: AddressSpace, _ span: PageSpan, on processor: Int) {
    guard !span.isEmpty else { return }
    var emptied: [RowID] = []
    space.pageTableLock.withLock {
      collectEmptyTables(
        space, table: space.rootTable, level: Self.rootLevel, base: 0, span, &emptied)
    }
    guard !emptied.isEmpty else { return }
    synchroniseWalkers()
    for id in emptied { freeTable(id, on: processor) }
  }

  /// Unlinks the empty tables that cover part of a span.
  ///
  /// - Kernel: mm/memory.c:free_pgd_range (6.1); without floor and ceiling: a table is freed when it has no
  ///   entry.
  private func collectEmptyTables(
    _ space: AddressSpace, table: RowID, level: Int, base: UInt64, _ span: PageSpan, _ found: inout [RowID]
  ) {
    guard level > 0 else { return }
    let shift = UInt64(level * geometry.tableBits)
    let last = min((span.end - 1 - base) >> shift, UInt64(geometry.tableEntries - 1))
    let first = span.start <= base ? 0 : (span.start - base) >> shift
    guard first <= last else { return }
    for index in first...last {
      let place = entrySlot(table, Int(index), level: level)
      let entry = place.entry
      guard entry.isTable else { continue }
      collectEmptyTables(
        space, table: entry.tableID, level: level - 1, base: base + index << shift, span, &found)
      if tableMeta(entry.tableID).used == 0 {
        setEntry(place, .none)
        space.tablePages.fetchAdd(UInt64.max, .relaxed)
        found.append(entry.tableID)
      }
    }
  }

  // MARK: - Deposits

  /// Keeps a table for the time when a huge mapping is split.
  ///
  /// Splitting must not fail because memory is short.
  ///
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/pgtable-generic.c:pgtable_trans_huge_deposit (6.1); without a list for each PMD table: each
  ///   space has one.
  func deposit(_ id: RowID, in space: AddressSpace) {
    tableMeta(id).next = space.firstDeposit
    space.firstDeposit = id
    space.tablePages.fetchAdd(1, .relaxed)
  }

  /// Takes a deposited table; there is one for every huge mapping that is not hugetlb.
  ///
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/pgtable-generic.c:pgtable_trans_huge_withdraw (6.1); without a list for each PMD table.
  func withdraw(from space: AddressSpace) -> RowID {
    let id = space.firstDeposit
    guard id != .none else { fatalError("a huge mapping without its deposited table") }
    space.firstDeposit = tableMeta(id).next
    tableMeta(id).next = .none
    space.tablePages.fetchAdd(UInt64.max, .relaxed)
    return id
  }
}
