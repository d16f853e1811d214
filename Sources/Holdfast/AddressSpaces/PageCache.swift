import Interleaving

/// The page cache of backing objects: a tree of table pages as high as the object's size needs.
///
/// A small page is a leaf at level 0, a folio of the order of one level a leaf at level 1. As in Linux, the
/// cache holds one reference for each page of a folio, and a single one for a hugetlb folio.
package struct PageCache: Room {
  package let machine: Machine

  package func object(_ id: RowID) -> BackingObject {
    BackingObject(machine.row(machine.layout.objects, id.index))
  }
}

extension Room {
  /// Backing objects and their caches.
  @inline(__always)
  package var pageCache: PageCache { PageCache(machine: machine) }
}

extension PageCache {
  /// Result of an attempt to put a folio into a cache.
  enum CacheInsertion {
    case inserted
    /// Another page is in that place.
    case occupied
    case failure(FaultResult)
  }

  /// The entry for a page of the cache: the leaf of its folio, or where that would be at level 0.
  ///
  /// - Returns: nil if a table on the way is missing.
  /// - Locks: the caller holds the object's lock.
  func slot(_ object: BackingObject, _ index: UInt64) -> EntrySlot? {
    guard object.height > 0, index >> UInt64(object.height * geometry.tableBits) == 0 else { return nil }
    var table = object.rootTable
    var level = object.height - 1
    while true {
      let at = pageTables.tableIndex(index, level)
      let place = pageTables.entrySlot(table, at, level: level)
      let entry = place.entry
      guard level > 0, entry.isTable else { return level == 0 || !entry.isNone ? place : nil }
      table = entry.tableID
      level -= 1
    }
  }

  /// The head of the folio that holds a page of the object, or nil.
  ///
  /// - Locks: the caller holds the object's lock.
  private func folio(_ object: BackingObject, _ index: UInt64) -> FrameNumber? {
    guard let entry = slot(object, index)?.entry, entry.isPresent else { return nil }
    return entry.frame
  }

  /// The frame of a page of an object, if it is in its cache.
  package func frame(of id: RowID, _ index: UInt64) -> FrameNumber? {
    let object = object(id)
    return object.lock.withLock {
      guard let head = folio(object, index) else { return nil }
      return head + Int(index - memmap.page(head).index)
    }
  }

  /// The folio that holds a page of the object, locked and with a reference.
  ///
  /// - Returns: `busy` if another thread has locked it and `wait` is false.
  /// - Locks: the caller holds no lock above the space's.
  /// - Kernel: mm/filemap.c:__filemap_get_folio (6.1); without creating a folio, FGP flags other than
  ///   FGP_LOCK and FGP_NOWAIT.
  /// - Kernel: mm/filemap.c:mapping_get_entry (6.1); without the lockless look-up: the object's lock is
  ///   taken.
  func lockFolio(_ id: RowID, _ index: UInt64, wait: Bool, on processor: Int) -> CacheLookup {
    let object = object(id)
    while true {
      object.lock.lock()
      guard let head = folio(object, index) else {
        object.lock.unlock()
        return .missing
      }
      let isHeld = folios.tryGet(head, processor: processor) != nil
      object.lock.unlock()
      guard isHeld else {
        // The folio is frozen while it moves: the entry will name another folio.
        giveWay(.retry, attempt: 0)
        continue
      }
      let folio = memmap.page(head)
      if !wait {
        guard folio.lock.tryLock() else {
          folios.put(head, on: processor)
          return .busy
        }
      } else {
        folio.lock.lock()
      }
      let pages: UInt64 = folio.isLarge ? 1 << UInt64(folio.order) : 1
      if folio.mapping == PageMapping(object: id), index >= folio.index, index - folio.index < pages {
        return .locked(head)
      }
      folio.lock.unlock()
      folios.put(head, on: processor)
    }
  }

  enum CacheLookup {
    case missing, busy
    case locked(FrameNumber)
  }

  /// Puts a new, locked folio into the cache, which takes references of its own.
  ///
  /// - Locks: the caller holds the page lock and no other above the space's.
  /// - Kernel: mm/shmem.c:shmem_add_to_page_cache (6.1); without memory control groups, swap entries.
  func insert(
    _ id: RowID, _ index: UInt64, _ head: FrameNumber, for process: Process
  ) -> CacheInsertion {
    let object = object(id)
    let folio = memmap.page(head)
    let isHuge = folio.isLarge
    return withSlot(object, index, level: isHuge ? 1 : 0, for: process) { slot in
      let current = slot.entry
      guard current.isNone else { return .occupied }
      let pages = isHuge ? 1 << folio.order : 1
      folios.get(head, refs: Int32(folios.cacheReferences(of: head)))
      folio.index = index & ~UInt64(pages - 1)
      folio.mapping = PageMapping(object: id)
      pageTables.setEntry(
        slot, .leaf(head, PageTableEntry.present | (isHuge ? PageTableEntry.huge : 0)))
      object.cachedPages += UInt64(pages)
      if !folio.isHugetlb {
        counters.count(.filePages, node: folio.zone.node, by: pages, on: process.processor)
        counters.count(.shmem, node: folio.zone.node, by: pages, on: process.processor)
      }
      return .inserted
    }
  }

  /// Calls `body` with the entry of a page at a level, under the object's lock.
  ///
  /// Tables that are missing on the way are made first.
  func withSlot(
    _ object: BackingObject, _ index: UInt64, level: Int, for process: Process,
    _ body: (EntrySlot) -> CacheInsertion
  ) -> CacheInsertion {
    var spare: RowID?
    defer { if let spare { pageTables.freeTable(spare, on: process.processor) } }
    while true {
      object.lock.lock()
      if let place = grow(object, index, level: level, &spare) {
        defer { object.lock.unlock() }
        return body(place)
      }
      object.lock.unlock()
      switch pageTables.allocateTable(.cache, for: process) {
      case .success(let id): spare = id
      case .failure(let result): return .failure(result)
      }
    }
  }

  /// Makes the tables down to an entry as far as the spare table goes; nil if another table is needed.
  private func grow(
    _ object: BackingObject, _ index: UInt64, level: Int, _ spare: inout RowID?
  ) -> EntrySlot? {
    while object.height <= level || index >> UInt64(object.height * geometry.tableBits) != 0 {
      if object.rootTable != .none, pageTables.tableMeta(object.rootTable).used == 0 {
        // An empty root serves any height. Kept as a lower level it would take the place of a huge leaf.
        object.height += 1
        continue
      }
      guard let table = spare else { return nil }
      spare = nil
      if object.rootTable != .none {
        pageTables.setEntry(pageTables.entrySlot(table, 0, level: object.height), .table(object.rootTable))
      }
      object.rootTable = table
      object.height += 1
    }
    var table = object.rootTable
    var at = object.height - 1
    while true {
      let place = pageTables.entrySlot(table, pageTables.tableIndex(index, at), level: at)
      var entry = place.entry
      if at == level || (!entry.isNone && !entry.isTable) { return place }
      if entry.isNone {
        guard let new = spare else { return nil }
        spare = nil
        entry = .table(new)
        pageTables.setEntry(place, entry)
      }
      table = entry.tableID
      at -= 1
    }
  }

  /// Replaces a folio in the cache by another one of its size: the end of a migration.
  ///
  /// - Locks: the caller holds the object's lock.
  package func replace(_ id: RowID, from source: FrameNumber, to target: FrameNumber, pages: Int) {
    let object = object(id)
    var index = memmap.page(source).index
    let end = index + UInt64(pages)
    while index < end {
      guard let slot = slot(object, index), slot.entry.mapsFrame else {
        fatalError("\(source) is not in its object's cache")
      }
      let offset = Int(index - memmap.page(source).index)
      pageTables.setEntry(slot, .leaf(target + offset, slot.entry.rawValue & 0xfff))
      index += slot.level == 1 ? UInt64(pages) : 1
    }
  }

  /// Removes a locked folio from the cache; the caller then drops the references that are returned.
  ///
  /// - Kernel: mm/filemap.c:__filemap_remove_folio (6.1); without dirty and writeback accounting, shadow
  ///   entries.
  private func remove(_ object: BackingObject, _ head: FrameNumber, on processor: Int) -> Int32 {
    let folio = memmap.page(head)
    let pages = folio.isLarge ? 1 << folio.order : 1
    object.lock.withLock {
      guard let slot = slot(object, folio.index), slot.entry.frame == head else {
        fatalError("\(head) is not in its object's cache")
      }
      pageTables.setEntry(slot, .none)
      object.cachedPages -= UInt64(pages)
    }
    folio.mapping = .none
    if !folio.isHugetlb {
      counters.count(.filePages, node: folio.zone.node, by: -pages, on: processor)
      counters.count(.shmem, node: folio.zone.node, by: -pages, on: processor)
    }
    return Int32(folios.cacheReferences(of: head))
  }

  /// Frees the pages and tables of an object without users.
  ///
  /// Every page is locked before it leaves the cache, so that a migration of it ends first.
  ///
  /// - Kernel: mm/shmem.c:shmem_undo_range (6.1); without part of an object, swap.
  /// - Kernel: fs/hugetlbfs/inode.c:remove_inode_hugepages (6.1); without part of an object, mappings.
  func empty(_ id: RowID, on processor: Int) {
    // No thread can take a use of the object any more. One that comes by the lock of a page looks at its entry and the
    // areas only.
    let object = object(id).unshared
    while object.rootTable != .none {
      let next = object.lock.withLock { first(object.rootTable, object.height - 1, base: 0) }
      guard let (index, entry) = next else { break }
      guard entry.isPresent else {
        releaseReservation(object, index)
        continue
      }
      guard case .locked(let head) = lockFolio(id, index, wait: true, on: processor) else { continue }
      let references = remove(object, head, on: processor)
      memmap.page(head).lock.unlock()
      folios.put(head, refs: references + 1, on: processor)
    }
    if object.rootTable != .none { freeTables(object.rootTable, object.height - 1, on: processor) }
    object.rootTable = .none
    object.height = 0
  }

  /// The first entry below a table that is not none, with its index.
  private func first(_ table: RowID, _ level: Int, base: UInt64) -> (UInt64, PageTableEntry)? {
    guard pageTables.tableMeta(table).used > 0 else { return nil }
    for at in 0..<geometry.tableEntries {
      let entry = pageTables.tablePage(table).entry(at).load(.relaxed)
      let index = base | UInt64(at) << UInt64(level * geometry.tableBits)
      if entry.isTable {
        if let found = first(entry.tableID, level - 1, base: index) { return found }
      } else if !entry.isNone {
        return (index, entry)
      }
    }
    return nil
  }

  private func freeTables(_ table: RowID, _ level: Int, on processor: Int) {
    if level > 0 {
      for at in 0..<geometry.tableEntries {
        let entry = pageTables.tablePage(table).entry(at).load(.relaxed)
        if entry.isTable { freeTables(entry.tableID, level - 1, on: processor) }
      }
    }
    pageTables.freeTable(table, on: processor)
  }
}

extension PageTableEntry {
  /// In the page cache of a hugetlb object: a huge page is reserved for this index.
  static let reservedCachePage = PageTableEntry(rawValue: 15 << 1)
}
