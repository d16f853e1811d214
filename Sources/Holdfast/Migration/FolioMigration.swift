import Interleaving

/// Result of one attempt to move one folio.
enum FolioMigration {
  case moved
  /// Another pass may succeed: -EAGAIN.
  case again(MigrationFailure)
  /// No further pass will succeed: -EBUSY, -EIO.
  case permanent(MigrationFailure)
  /// There is no target: -ENOMEM, which ends the call.
  case noMemory(MigrationFailure)
}

/// One folio's move: lock, unmap, check references, copy, remap.
extension Migration {
  /// Moves an isolated folio, or leaves it exactly as it was.
  ///
  /// In older kernels the same steps are one function, mm/migrate.c:unmap_and_move (5.13).
  ///
  /// - Parameter wait: whether to sleep for the page lock if it is taken.
  /// - Kernel: mm/migrate.c:migrate_folio_unmap (6.1)
  /// - Kernel: mm/migrate.c:migrate_folio_move (6.1)
  /// - Kernel: mm/migrate.c:migrate_folio_done (6.1); without the exceptions for MR_DEMOTION (NR_ISOLATED)
  ///   and MR_MEMORY_FAILURE (the last reference).
  /// - Kernel: mm/migrate.c:unmap_and_move_huge_page (6.1); without the early return if only the isolation's
  ///   reference is left, the test of a subpool's page without a mapping, i_mmap_rwsem; a run in mode
  ///   `syncLight` sleeps for the page lock, which the kernel does in SYNC mode alone; a task in reclaim
  ///   never sleeps for it, writeback is tested, and the hugetlb state moves before the entries, in the
  ///   kernel after.
  func migrateFolio(
    _ source: FrameNumber, _ request: MigrationRequest, wait: Bool
  ) -> FolioMigration {
    let (reason, process) = (request.reason, request.process)
    let from = memmap.page(source)
    let cpu = process.processor
    if from.refcount.load() == 1, !from.isHugetlb {
      // All other references are gone: the folio was freed meanwhile, which counts as moved.
      countIsolated(source, by: -1, on: cpu)
      folios.put(source, on: cpu)
      return .moved
    }
    guard let target = allocateTarget(source, request) else {
      return .noMemory(failure(source, .allocate, reason))
    }
    guard lockForMigration(from, wait: wait && request.mode != .async, process) else {
      freeTarget(target, request)
      return .again(failure(source, .lock, reason))
    }
    let result = moveLocked(source, to: target, request)
    from.lock.unlock()
    guard case .moved = result else {
      freeTarget(target, request)
      return result
    }
    folios.put(target, on: cpu)
    trace?(.migrate(from: source, to: target, pages: memmap.folioPages(source), reason: reason))
    if !from.isHugetlb { countIsolated(source, by: -1, on: cpu) }
    folios.put(source, on: cpu)
    return .moved
  }

  /// The part of the move under the source's page lock.
  ///
  /// - Kernel: mm/migrate.c:__migrate_folio_unmap (6.1); without waiting for writeback, the release of
  ///   buffers without a mapping, movable pages off the LRU.
  /// - Kernel: mm/migrate.c:__migrate_folio_move (6.1)
  /// - Kernel: mm/migrate.c:move_to_new_folio (6.1); without the file systems' own methods, movable pages off
  ///   the LRU; an anonymous source loses its mapping here, and in the kernel when it is freed.
  /// - Kernel: mm/migrate.c:migrate_folio (6.1)
  /// - Kernel: mm/migrate.c:migrate_folio_extra (6.1); without extra references.
  /// - Kernel: mm/migrate.c:folio_migrate_copy (6.1)
  private func moveLocked(
    _ source: FrameNumber, to target: FrameNumber, _ request: MigrationRequest
  ) -> FolioMigration {
    let (reason, mode, cpu) = (request.reason, request.mode, request.process.processor)
    let (from, to) = (memmap.page(source), memmap.page(target))
    let pages = memmap.folioPages(source)
    if from.has(.writeback) {
      let failed = failure(source, .writeback, reason)
      return mode == .sync || mode == .syncNoCopy ? .again(failed) : .permanent(failed)
    }
    // No other thread knows the target, so its lock is free.
    guard to.lock.tryLock() else { fatalError("\(target), just allocated, is locked") }
    defer { to.lock.unlock() }
    // The reference keeps the group alive if the areas are unmapped while entries are replaced.
    let group = from.mapping.anonGroup
    var isHeld = false
    if let group { isHeld = reverseMap.getGroup(group) }
    defer { if isHeld, let group { reverseMap.putGroup(group) } }
    let wasMapped = isMapped(source)
    if !isEnabled(.compareAfterUnmap), let failed = referredToBeforeUnmap(source, reason) {
      return .again(failed)
    }

    guard replaceMappings(of: source, groupIsHeld: isHeld, on: cpu) else {
      let failed = failure(source, .unmap, reason)
      restoreMappings(from: source, to: source, groupIsHeld: isHeld, on: cpu)
      return .again(failed)
    }
    if mode != .syncNoCopy, failures.shouldFail(.copy) {
      let failed = failure(source, .copy, reason)
      restoreMappings(from: source, to: source, groupIsHeld: isHeld, on: cpu)
      return .permanent(failed)
    }
    let isReferredTo = folios.bystanderRefers(to: source, before: .migration, on: cpu)
    defer { if isReferredTo { folios.put(source, on: cpu) } }
    let (switched, expected) = switchIdentity(from: source, to: target, pages: pages)
    guard switched else {
      let failed = failure(source, .references, reason, expected: expected)
      restoreMappings(from: source, to: source, groupIsHeld: isHeld, on: cpu)
      return .again(failed)
    }
    if mode != .syncNoCopy { folios.copy(from: source, to: target, count: pages) }
    copyFlags(from: source, to: target)
    moveAccounting(from: source, to: target, pages: pages, on: cpu)
    if to.isHugetlb {
      hugetlb.moveState(from: source, to: target)
    } else {
      lru.add(target, on: cpu, drains: wasMapped)
    }
    restoreMappings(from: source, to: target, groupIsHeld: isHeld, on: cpu)
    from.mapping = .none
    return .moved
  }

  /// Describes an attempt that has ended, with the folio's counts of now.
  private func failure(
    _ head: FrameNumber, _ stage: MigrationStage, _ reason: MigrationReason, expected: Int = 0
  ) -> MigrationFailure {
    let pages = memmap.folioPages(head)
    trace?(.migrate(from: head, to: nil, pages: pages, reason: reason))
    return MigrationFailure(
      frame: head, pages: pages, stage: stage, references: Int(memmap.page(head).refcount.load()),
      expected: expected, maybePinned: folios.isMaybePinned(head))
  }

  /// Whether any table maps the folio or a page of it.
  func isMapped(_ head: FrameNumber) -> Bool { folios.mappingCount(head) > 0 }

  /// Takes the source's page lock; a process in reclaim (PF_MEMALLOC) never sleeps for it.
  private func lockForMigration(_ from: Page, wait: Bool, _ process: Process) -> Bool {
    if failures.shouldFail(.pageLock) { return false }
    if from.lock.tryLock() { return true }
    guard wait, !process.scope.contains(.memalloc) else { return false }
    from.lock.lock()
    return true
  }

  // MARK: - Targets

  /// Allocates the folio to move to, as the source's kind and the caller demand.
  ///
  /// - Kernel: mm/migrate.c:alloc_migration_target (6.1); without a node mask: small folios and transparent
  ///   huge pages may fall back to every node; a new hugetlb page comes from the node alone, a pooled one
  ///   from any node even with __GFP_THISNODE.
  private func allocateTarget(_ source: FrameNumber, _ request: MigrationRequest) -> FrameNumber? {
    let process = request.process
    switch request.target {
    case .taken(let targets): return memmap.folioPages(source) == 1 ? targets.allocate() : nil
    case .allocate(var gfp, let node):
      let from = memmap.page(source)
      let node = node ?? from.node
      if from.isHugetlb { return hugetlb.allocateForMigration(node: node, for: process) }
      let order = from.isLarge ? from.order : 0
      if order > 0 { gfp = gfp.subtracting(.reclaim).union(.transhuge) }
      if from.isInMovableZone { gfp.formUnion(.highMem) }
      return try? allocator.allocateFolio(order: order, gfp: gfp, node: node, for: process)
    }
  }

  /// Frees a target that was not filled, or gives it back to the compaction that it came from.
  private func freeTarget(_ frame: FrameNumber, _ request: MigrationRequest) {
    switch request.target {
    case .taken(let targets): targets.free(frame)
    case .allocate: folios.put(frame, on: request.process.processor)
    }
  }

  // MARK: - Identity

  /// Checks that nothing else refers to the source, and gives the source's identity to the target.
  ///
  /// Anonymous folios are compared only: their entries are gone, so no lockless walk can find them. Cached
  /// folios are frozen under the object's lock, because a look-up in the cache could find them.
  ///
  /// In older kernels the first of the functions below is mm/migrate.c:migrate_page_move_mapping (5.13).
  ///
  /// - Kernel: mm/migrate.c:folio_migrate_mapping (6.1); without swap cache, extra references, the statistics
  ///   of dirty pages.
  /// - Kernel: mm/migrate.c:folio_expected_refs (6.1)
  /// - Kernel: mm/migrate.c:migrate_huge_page_move_mapping (6.1)
  private func switchIdentity(
    from source: FrameNumber, to target: FrameNumber, pages: Int
  ) -> (switched: Bool, expected: Int) {
    let (from, to) = (memmap.page(source), memmap.page(target))
    let accounted = folios.expectedReferences(of: source, mappings: 0)
    // The isolation's own reference comes on top.
    let expected = accounted.total + 1
    guard let object = from.mapping.object else {
      if isEnabled(.compareAfterUnmap), from.refcount.load(.sequential) != Int32(expected) {
        return (false, expected)
      }
      to.index = from.index
      to.mapping = from.mapping
      return (true, expected)
    }
    let lock = pageCache.object(object).lock
    lock.lock()
    defer { lock.unlock() }
    guard
      isEnabled(.countFreeze)
        ? from.refcount.compareExchange(Int32(expected), 0).exchanged
        : from.refcount.load(.sequential) == Int32(expected)
    else { return (false, expected) }
    to.index = from.index
    to.mapping = from.mapping
    folios.get(target, refs: Int32(accounted.cache))
    pageCache.replace(object, from: source, to: target, pages: pages)
    from.refcount.store(Int32(expected - accounted.cache))
    return (true, expected)
  }

  /// The failure of a folio outside the page cache that has unexplained references while it is mapped.
  ///
  /// Its mappings and the isolation explain references. Asked before the folio is unmapped, if the safeguard
  /// `compareAfterUnmap` is off.
  private func referredToBeforeUnmap(_ source: FrameNumber, _ reason: MigrationReason) -> MigrationFailure? {
    let expected = folios.expectedReferences(of: source).total + 1
    guard memmap.page(source).mapping.object == nil, memmap.page(source).refcount.load() != Int32(expected)
    else {
      return nil
    }
    return failure(source, .references, reason, expected: expected)
  }

  /// Copies the flags that a folio keeps when it moves.
  ///
  /// - Kernel: mm/migrate.c:folio_migrate_flags (6.1); without PG_error, PG_young, PG_idle, PG_mappedtodisk,
  ///   PG_readahead, the NUMA hint's CPU, KSM, page owners, memory control groups.
  private func copyFlags(from source: FrameNumber, to target: FrameNumber) {
    let carried: PageFlags = [
      .referenced, .uptodate, .dirty, .active, .workingset, .ownerPrivate, .swapBacked, .unevictable,
      .mlocked,
    ]
    memmap.page(target).set(memmap.page(source).flags.intersection(carried))
  }

  /// Moves the statistics that follow a cached folio when its node changes.
  ///
  /// In the kernel this is the end of mm/migrate.c:folio_migrate_mapping (6.1).
  private func moveAccounting(from source: FrameNumber, to target: FrameNumber, pages: Int, on processor: Int)
  {
    let (old, new) = (memmap.page(source).node, memmap.page(target).node)
    // Huge pages of the pool are in neither statistic.
    guard old != new, memmap.page(target).mapping.object != nil, !memmap.page(target).isHugetlb else {
      return
    }
    for counter in [NodeCounter.filePages, .shmem] {
      counters.count(counter, node: old, by: -pages, on: processor)
      counters.count(counter, node: new, by: pages, on: processor)
    }
  }
}
