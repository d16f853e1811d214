import Interleaving

/// What came of one attempt to move one folio.
enum FolioMigration {
  case moved
  /// Worth another pass: -EAGAIN.
  case again(MigrationFailure)
  /// Not worth one: -EBUSY, -EIO.
  case permanent(MigrationFailure)
  /// No target: -ENOMEM, which ends the call.
  case noMemory(MigrationFailure)
}

/// One folio's move: lock, unmap, check references, copy, remap (spec 7.2).
extension Machine {
  /// Moves an isolated folio, or leaves it exactly as it was.
  ///
  /// - Parameter wait: whether to sleep for the page lock if it is taken.
  func migrateFolio(
    _ source: FrameNumber, _ reason: MigrationReason, _ mode: MigrationMode, wait: Bool,
    _ destination: MigrationTarget, _ process: Process
  ) -> FolioMigration {
    let from = page(source)
    let cpu = process.processor
    if from.refcount.load() == 1, !from.isHugetlb {
      // Everyone else let go: freed under us, which counts as moved.
      countIsolated(source, by: -1, on: cpu)
      putFolio(source, on: cpu)
      return .moved
    }
    guard let target = takeTarget(source, destination, process) else {
      return .noMemory(failure(source, .allocate, reason))
    }
    guard lockForMigration(from, wait: wait && mode != .async, process) else {
      giveTargetBack(target, destination, cpu)
      return .again(failure(source, .lock, reason))
    }
    let result = moveLocked(source, to: target, reason, mode, on: cpu)
    from.lock.unlock()
    guard case .moved = result else {
      giveTargetBack(target, destination, cpu)
      return result
    }
    putFolio(target, on: cpu)
    trace?(.migrate(from: source, to: target, pages: folioPages(source), reason: reason))
    if !from.isHugetlb { countIsolated(source, by: -1, on: cpu) }
    putFolio(source, on: cpu)
    return .moved
  }

  /// The part of the move under the source's page lock.
  private func moveLocked(
    _ source: FrameNumber, to target: FrameNumber, _ reason: MigrationReason, _ mode: MigrationMode,
    on cpu: Int
  ) -> FolioMigration {
    let (from, to) = (page(source), page(target))
    let pages = folioPages(source)
    if from.has(.writeback) {
      let failed = failure(source, .writeback, reason)
      return mode == .sync || mode == .syncNoCopy ? .again(failed) : .permanent(failed)
    }
    // Nobody else knows the target, so its lock is free.
    guard to.lock.tryLock() else { fatalError("\(target), just allocated, is locked") }
    defer { to.lock.unlock() }
    // The group must outlive the areas that might go while entries are replaced.
    let group = from.mapping.anonGroup
    var isHeld = false
    if let group { isHeld = holdGroup(group) }
    defer { if isHeld, let group { releaseGroup(group) } }
    let wasMapped = isMapped(source)
    if !has(.compareAfterUnmap), let failed = referredToBeforeUnmap(source, reason) { return .again(failed) }

    guard replaceMappings(of: source, groupIsHeld: isHeld, on: cpu) else {
      let failed = failure(source, .unmap, reason)
      restoreMappings(from: source, to: source, groupIsHeld: isHeld, on: cpu)
      return .again(failed)
    }
    if mode != .syncNoCopy, shouldFail(.copy) {
      let failed = failure(source, .copy, reason)
      restoreMappings(from: source, to: source, groupIsHeld: isHeld, on: cpu)
      return .permanent(failed)
    }
    let isReferredTo = bystanderRefers(to: source, before: .migration, on: cpu)
    defer { if isReferredTo { putFolio(source, on: cpu) } }
    let (switched, expected) = switchIdentity(from: source, to: target, pages: pages)
    guard switched else {
      let failed = failure(source, .references, reason, expected: expected)
      restoreMappings(from: source, to: source, groupIsHeld: isHeld, on: cpu)
      return .again(failed)
    }
    if mode != .syncNoCopy { copyContents(from: source, to: target, count: pages) }
    copyFlags(from: source, to: target)
    moveAccounting(from: source, to: target, pages: pages, on: cpu)
    if to.isHugetlb {
      moveHugetlbState(from: source, to: target)
    } else {
      addToLRU(target, on: cpu, drains: wasMapped)
    }
    restoreMappings(from: source, to: target, groupIsHeld: isHeld, on: cpu)
    from.mapping = .none
    return .moved
  }

  private func failure(
    _ head: FrameNumber, _ stage: MigrationStage, _ reason: MigrationReason, expected: Int = 0
  ) -> MigrationFailure {
    let pages = folioPages(head)
    trace?(.migrate(from: head, to: nil, pages: pages, reason: reason))
    return MigrationFailure(
      frame: head, pages: pages, stage: stage, references: Int(page(head).refcount.load()),
      expected: expected, maybePinned: isMaybePinned(head))
  }

  /// Whether any table maps the folio or a page of it.
  package func isMapped(_ head: FrameNumber) -> Bool { mappingCount(head) > 0 }

  private func lockForMigration(_ from: Page, wait: Bool, _ process: Process) -> Bool {
    if shouldFail(.pageLock) { return false }
    if from.lock.tryLock() { return true }
    guard wait, !process.scope.contains(.memalloc) else { return false }
    from.lock.lock()
    return true
  }

  // MARK: - Targets

  private func takeTarget(
    _ source: FrameNumber, _ target: MigrationTarget, _ process: Process
  ) -> FrameNumber? {
    switch target {
    case .taken(let targets): return folioPages(source) == 1 ? targets.take() : nil
    case .allocate(var gfp, let node):
      let from = page(source)
      let node = node ?? from.node
      if from.isHugetlb { return hugePageForMigration(node: node, for: process) }
      let order = from.isLarge ? from.order : 0
      if order > 0 { gfp = gfp.subtracting(.reclaim).union(.transhuge) }
      if from.isInMovableZone { gfp.formUnion(.highMem) }
      return try? allocateFolio(order: order, gfp: gfp, node: node, for: process)
    }
  }

  private func giveTargetBack(_ frame: FrameNumber, _ target: MigrationTarget, _ processor: Int) {
    switch target {
    case .taken(let targets): targets.giveBack(frame)
    case .allocate: putFolio(frame, on: processor)
    }
  }

  // MARK: - Identity

  /// Checks that nobody else refers to the source, and lets the target stand for it (spec 7.3).
  ///
  /// Anonymous folios are compared only: their entries are gone, so no lockless walk can find them. Cached folios
  /// are frozen under the object's lock, since a look-up in the cache could.
  private func switchIdentity(
    from source: FrameNumber, to target: FrameNumber, pages: Int
  ) -> (switched: Bool, expected: Int) {
    let (from, to) = (page(source), page(target))
    guard let object = from.mapping.object else {
      if has(.compareAfterUnmap), from.refcount.load(.sequential) != 1 { return (false, 1) }
      to.index = from.index
      to.mapping = from.mapping
      return (true, 1)
    }
    // A hugetlb folio's cache holds one reference, whatever its size.
    let cached = from.isHugetlb ? 1 : pages
    let expected = 1 + cached + (from.has(.hasPrivate) ? 1 : 0)
    let lock = self.object(object).lock
    lock.lock()
    defer { lock.unlock() }
    guard
      has(.countFreeze)
        ? from.refcount.compareExchange(Int32(expected), 0).exchanged
        : from.refcount.load(.sequential) == Int32(expected)
    else { return (false, expected) }
    to.index = from.index
    to.mapping = from.mapping
    getFolio(target, refs: Int32(cached))
    replaceCached(object, from: source, to: target, pages: pages)
    from.refcount.store(Int32(expected - cached))
    return (true, expected)
  }

  /// The failure of a folio without a cache that has other references than its mappings and the isolation, if asked
  /// while it is still mapped.
  private func referredToBeforeUnmap(_ source: FrameNumber, _ reason: MigrationReason) -> MigrationFailure? {
    let expected = 1 + mappingCount(source)
    guard page(source).mapping.object == nil, page(source).refcount.load() != Int32(expected) else {
      return nil
    }
    return failure(source, .references, reason, expected: expected)
  }

  private func copyFlags(from source: FrameNumber, to target: FrameNumber) {
    let carried: PageFlags = [
      .referenced, .uptodate, .dirty, .active, .workingset, .ownerPrivate, .swapBacked, .unevictable,
      .mlocked,
    ]
    page(target).set(page(source).flags.intersection(carried))
  }

  /// Moves the statistics that follow a cached folio when its node changes.
  private func moveAccounting(from source: FrameNumber, to target: FrameNumber, pages: Int, on processor: Int)
  {
    let (old, new) = (page(source).node, page(target).node)
    // Huge pages of the pool are in neither statistic.
    guard old != new, page(target).mapping.object != nil, !page(target).isHugetlb else { return }
    for counter in [NodeCounter.filePages, .shmem] {
      count(counter, node: old, by: -pages, on: processor)
      count(counter, node: new, by: pages, on: processor)
    }
  }
}
