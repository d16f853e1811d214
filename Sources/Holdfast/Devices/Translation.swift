import Interleaving
import SystemPackage

/// What a domain's tables say of a page of the device's addresses.
package struct TranslatedPage {
  /// The frame that the device reaches.
  package let frame: FrameNumber
  /// What it may do there.
  package let access: DeviceAccess
}

/// The tables of a domain: pages of the device's addresses to frames.
///
/// They are table pages as those of an address space, of the same four levels. Their leaves have the bit `special`,
/// since no reverse mapping and no reference stands behind them: the pins do.
extension Devices {
  /// Makes a domain for a group, with empty tables; nil and the reason if there is no memory.
  func makeDomain(for group: DeviceDescription, _ process: Process) throws(DeviceError) -> Domain {
    guard let id = pools.allocate(.domains) else {
      throw DeviceError(.attach, .tableFull("domains"), .noMemory)
    }
    let new = domain(id).unshared
    switch pageTables.allocateTable(.translation, for: process) {
    case .success(let root): new.rootTable = root
    case .failure(let result):
      pools.free(.domains, id)
      throw noMemory(.attach, result, at: nil)
    }
    new.pageSizes = group.pageSizes
    new.aperture = clamped(group.aperture)
    new.iommu = group.iommu
    new.isCoherent = group.isCoherent
    return domain(id)
  }

  /// Frees a domain in whose tables nothing is left.
  func freeDomain(_ old: Domain, on processor: Int) {
    pageTables.freeTable(old.rootTable, on: processor)
    pools.free(.domains, old.id)
  }

  /// The part of an aperture that tables of four levels reach.
  func clamped(_ aperture: ClosedRange<UInt64>) -> ClosedRange<UInt64> {
    let last = geometry.addressSpacePages << 12 - 1
    return min(aperture.lowerBound, last)...min(aperture.upperBound, last)
  }

  func noMemory(
    _ operation: DeviceError.Operation, _ result: FaultResult, at iova: UInt64?
  ) -> DeviceError {
    let what =
      if case .outOfMemory(let error?) = result { error.description } else {
        "the table of table pages is full"
      }
    return DeviceError(operation, .noMemory(what), .noMemory, at: iova)
  }

  // MARK: - Looking up

  /// What a domain's tables say of a page.
  ///
  /// - Locks: takes the domain's lock.
  /// - Kernel: drivers/iommu/iommu.c:iommu_iova_to_phys (6.1)
  package func translate(_ domain: Domain, _ page: UInt64) -> TranslatedPage? {
    domain.lock.withLock { translated(domain, page) }
  }

  /// `translate`, for who holds the domain's lock.
  func translated(_ domain: Domain, _ page: UInt64) -> TranslatedPage? {
    guard page < geometry.addressSpacePages else { return nil }
    var table = domain.rootTable
    var level = PageTables.rootLevel
    while true {
      let slot = pageTables.entrySlot(table, pageTables.tableIndex(page, level), level: level)
      let entry = slot.entry
      if entry.isNone { return nil }
      guard entry.isTable else {
        let inside = page & (1 << UInt64(level * geometry.tableBits) - 1)
        return TranslatedPage(frame: entry.frame + Int(inside), access: Self.access(of: entry))
      }
      table = entry.tableID
      level -= 1
    }
  }

  private static func access(of entry: PageTableEntry) -> DeviceAccess {
    var access: DeviceAccess = []
    if entry.has(PageTableEntry.user) { access.insert(.read) }
    if entry.isWritable { access.insert(.write) }
    return access
  }

  private static func bits(for access: DeviceAccess) -> UInt64 {
    PageTableEntry.present | PageTableEntry.special | (access.contains(.read) ? PageTableEntry.user : 0)
      | (access.contains(.write) ? PageTableEntry.writable : 0)
  }

  // MARK: - Mapping

  /// Maps consecutive frames, each part with the largest page that fits; or nothing.
  ///
  /// - Throws: EINVAL for frames or addresses that the smallest page of the domain does not fit; ENOMEM. Nothing is mapped
  ///   then.
  /// - Locks: the caller holds the container's lock and no other.
  /// - Kernel: drivers/iommu/iommu.c:iommu_map (6.1); without pages of 1 GiB.
  /// - Kernel: drivers/iommu/iommu.c:iommu_pgsize (6.1); without pages of 1 GiB.
  func map(
    _ domain: Domain, _ page: UInt64, _ frame: FrameNumber, count: Int, _ access: DeviceAccess,
    for process: Process
  ) throws(DeviceError) {
    let least: UInt64 = 1 << UInt64(domain.pageSizes.trailingZeroBitCount)
    guard (page | UInt64(frame.rawValue) | UInt64(count)) << 12 & (least - 1) == 0 else {
      throw DeviceError(.map, .unaligned(bytes: least), .invalidArgument, at: page << 12)
    }
    let bits = Self.bits(for: access)
    let large = UInt64(geometry.tableEntries)
    let hasLarge = domain.pageSizes & (large << 12) != 0
    var done: UInt64 = 0
    let all = UInt64(count)
    while done < all {
      let at = page + done
      let first = frame + Int(done)
      let isLarge = hasLarge && all - done >= large && (at | UInt64(first.rawValue)) & (large - 1) == 0
      let table: RowID
      do {
        table = try ensureTable(domain, at, level: isLarge ? 1 : 0, for: process)
      } catch {
        // With the page that has failed, whose upper tables are there and lead to nothing.
        unmap(domain, PageSpan(start: page, end: at + 1), on: process.processor)
        throw error
      }
      domain.lock.lock()
      if isLarge {
        let slot = pageTables.entrySlot(table, pageTables.tableIndex(at, 1), level: 1)
        pageTables.setEntry(slot, .leaf(first, bits | PageTableEntry.huge))
        done += large
      } else {
        let index = pageTables.tableIndex(at, 0)
        let run = min(Int(all - done), geometry.tableEntries - index)
        for i in 0..<run {
          let slot = pageTables.entrySlot(table, index &+ i, level: 0)
          pageTables.setEntry(slot, .leaf(first + i, bits))
        }
        done += UInt64(run)
      }
      domain.lock.unlock()
    }
  }

  /// Makes the tables down to the one with the entries of a level for a page.
  ///
  /// - Locks: the caller holds the container's lock, so that no other thread makes or frees tables of the domain.
  private func ensureTable(
    _ domain: Domain, _ page: UInt64, level: Int, for process: Process
  ) throws(DeviceError) -> RowID {
    var table = domain.rootTable
    var at = PageTables.rootLevel
    while at > level {
      let slot = pageTables.entrySlot(table, pageTables.tableIndex(page, at), level: at)
      let entry = slot.entry
      if entry.isTable {
        table = entry.tableID
      } else {
        switch pageTables.allocateTable(.translation, for: process) {
        case .success(let new):
          domain.lock.withLock { pageTables.setEntry(slot, .table(new)) }
          table = new
        case .failure(let result): throw noMemory(.map, result, at: page << 12)
        }
      }
      at -= 1
    }
    return table
  }

  /// Unmaps what is mapped of a span of pages, and frees the tables that are empty then.
  ///
  /// - Locks: the caller holds the container's lock and no other.
  /// - Kernel: drivers/iommu/iommu.c:iommu_unmap (6.1); without large pages that the span cuts, which no caller asks
  ///   for.
  func unmap(_ domain: Domain, _ span: PageSpan, on processor: Int) {
    if span.isEmpty { return }
    var emptied: [RowID] = []
    domain.lock.withLock {
      clear(domain.rootTable, PageTables.rootLevel, base: 0, span, &emptied)
    }
    for table in emptied { pageTables.freeTable(table, on: processor) }
  }

  private func clear(
    _ table: RowID, _ level: Int, base: UInt64, _ span: PageSpan, _ emptied: inout [RowID]
  ) {
    let shift = UInt64(level * geometry.tableBits)
    let first = span.start <= base ? 0 : Int((span.start - base) >> shift)
    let last = Int(min((span.end - 1 - base) >> shift, UInt64(geometry.tableEntries - 1)))
    for index in first...last {
      let slot = pageTables.entrySlot(table, index, level: level)
      let entry = slot.entry
      if entry.isNone { continue }
      if entry.isTable {
        let lower = entry.tableID
        clear(lower, level - 1, base: base + UInt64(index) << shift, span, &emptied)
        if pageTables.tableMeta(lower).used != 0 { continue }
        emptied.append(lower)
      }
      pageTables.setEntry(slot, .none)
    }
  }

  // MARK: - For the invariants

  /// Every page that a domain translates, with its frame.
  ///
  /// - Locks: the caller holds the domain's lock, or nothing runs.
  package func translations(of domain: Domain) -> [(page: UInt64, translated: TranslatedPage)] {
    var found: [(page: UInt64, translated: TranslatedPage)] = []
    visit(domain.rootTable, PageTables.rootLevel, base: 0) { page, level, entry in
      guard !entry.isTable else { return }
      for inside in 0..<(1 << (level * geometry.tableBits)) {
        let access = Self.access(of: entry)
        found.append((page + UInt64(inside), TranslatedPage(frame: entry.frame + inside, access: access)))
      }
    }
    return found
  }

  /// The table pages of a domain, the root first.
  ///
  /// - Locks: the caller holds the domain's lock, or nothing runs.
  package func tables(of domain: Domain) -> [RowID] {
    var found = [domain.rootTable]
    visit(domain.rootTable, PageTables.rootLevel, base: 0) { _, _, entry in
      if entry.isTable { found.append(entry.tableID) }
    }
    return found
  }

  private func visit(
    _ table: RowID, _ level: Int, base: UInt64, _ body: (UInt64, Int, PageTableEntry) -> Void
  ) {
    for index in 0..<geometry.tableEntries {
      let entry = pageTables.entrySlot(table, index, level: level).entry
      if entry.isNone { continue }
      let page = base + UInt64(index) << UInt64(level * geometry.tableBits)
      body(page, level, entry)
      if entry.isTable { visit(entry.tableID, level - 1, base: page, body) }
    }
  }
}
