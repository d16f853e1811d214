import Interleaving
import SystemPackage

/// The list driver: passes over isolated folios until they have moved or cannot move.
extension Machine {
  /// Passes over one batch (NR_MAX_MIGRATE_PAGES_RETRY).
  package static let migrationPasses = 10
  /// Most base pages of a batch (NR_MAX_BATCHED_MIGRATION).
  static let migrationBatch = 512

  /// Migrates isolated folios.
  ///
  /// Folios that did not move are on `list` afterwards, still isolated: the caller puts them back. The
  /// batches, and hugetlb folios in a loop of their own, are those of 6.1.192; 6.1.0 has one loop over the
  /// whole list.
  ///
  /// - Kernel: mm/migrate.c:migrate_pages (6.1)
  package func migratePages(
    _ list: inout FolioList, reason: MigrationReason, mode: MigrationMode, target: MigrationTarget,
    for process: Process
  ) -> MigrationOutcome {
    var outcome = MigrationOutcome()
    var kept = FolioList()
    // Hugetlb folios are moved first, in a loop of their own.
    var ordinary = FolioList()
    var huge = FolioList()
    while let head = list.popFirst(in: self) {
      if page(head).isHugetlb { huge.pushLast(head, in: self) } else { ordinary.pushLast(head, in: self) }
    }
    runBatch(&huge, &kept, &outcome, reason, mode, target, process)
    while !ordinary.isEmpty, outcome.aborted == nil {
      var batch = FolioList()
      var pages = 0
      while ordinary.first != .none {
        pages += folioPages(ordinary.first)
        if pages > Self.migrationBatch, !batch.isEmpty { break }
        if let head = ordinary.popFirst(in: self) { batch.pushLast(head, in: self) }
      }
      runBatch(&batch, &kept, &outcome, reason, mode, target, process)
    }
    outcome.remaining = kept.count
    while let head = kept.popFirst(in: self) { list.pushLast(head, in: self) }
    while let head = ordinary.popFirst(in: self) { list.pushLast(head, in: self) }
    bump(.pgmigrateSuccess, by: UInt64(outcome.succeededPages), on: process)
    bump(.pgmigrateFail, by: UInt64(outcome.failedPages), on: process)
    return outcome
  }

  /// Passes over one batch; folios that did not move are appended to `kept`.
  ///
  /// - Kernel: mm/migrate.c:migrate_hugetlbs (6.1)
  /// - Kernel: mm/migrate.c:migrate_pages_batch (6.1); without splitting a large folio for which no target
  ///   can be allocated, the retry of such a split for a long-term pin.
  private func runBatch(
    _ batch: inout FolioList, _ kept: inout FolioList, _ outcome: inout MigrationOutcome,
    _ reason: MigrationReason, _ mode: MigrationMode, _ target: MigrationTarget, _ process: Process
  ) {
    var pass = 0
    while !batch.isEmpty, pass < Self.migrationPasses {
      var again = FolioList()
      while let head = batch.popFirst(in: self) {
        let pages = folioPages(head)
        // Asked now, because after the move the frame may be part of anything.
        let isCounted = isTransparentHuge(head)
        // From the fourth pass on a synchronous migration waits for the page lock.
        switch migrateFolio(head, reason, mode, wait: pass > 2, target, process) {
        case .moved:
          outcome.succeededPages += pages
          if isCounted { bump(.thpMigrationSuccess, on: process) }
        case .again(let failure):
          outcome.attempts[failure.stage.rawValue] += 1
          if pass + 1 < Self.migrationPasses {
            again.pushLast(head, in: self)
          } else {
            fail(head, failure, &kept, &outcome, process)
          }
        case .permanent(let failure):
          outcome.attempts[failure.stage.rawValue] += 1
          fail(head, failure, &kept, &outcome, process)
        case .noMemory(let failure):
          outcome.attempts[failure.stage.rawValue] += 1
          fail(head, failure, &kept, &outcome, process)
          outcome.aborted = .noMemory
          // The folios that this pass left for the next one count as failed too.
          while let rest = again.popFirst(in: self) {
            outcome.failedPages += folioPages(rest)
            if isTransparentHuge(rest) { bump(.thpMigrationFail, on: process) }
            kept.pushLast(rest, in: self)
          }
          while let rest = batch.popFirst(in: self) { kept.pushLast(rest, in: self) }
          return
        }
      }
      batch = again
      pass += 1
    }
  }

  /// Counts a folio that stays, and appends it to `kept`.
  private func fail(
    _ head: FrameNumber, _ failure: MigrationFailure, _ kept: inout FolioList,
    _ outcome: inout MigrationOutcome, _ process: Process
  ) {
    outcome.failedPages += failure.pages
    if isTransparentHuge(head) { bump(.thpMigrationFail, on: process) }
    outcome.note(failure)
    kept.pushLast(head, in: self)
  }

  /// Whether the thp_migration counters count a folio: huge pages of the hugetlb pools are not counted there.
  private func isTransparentHuge(_ head: FrameNumber) -> Bool { page(head).isLarge && !page(head).isHugetlb }

  /// Waits until a page that a migration entry names is unlocked; the caller then looks at the entry again.
  ///
  /// Takes no reference, because a reference would make the migration fail. The caller has dropped the
  /// page-table lock.
  ///
  /// - Kernel: mm/migrate.c:migration_entry_wait (6.1)
  /// - Kernel: mm/migrate.c:__migration_entry_wait (6.1)
  /// - Kernel: mm/migrate.c:pmd_migration_entry_wait (6.1)
  /// - Kernel: mm/migrate.c:migration_entry_wait_huge (6.1)
  /// - Kernel: mm/filemap.c:migration_entry_wait_on_locked (6.1)
  package func waitForMigration(of frame: FrameNumber, on processor: Int) {
    let held = isEnabled(.waitWithoutReference) ? nil : tryGetFolio(frame, processor: processor)
    page(head(of: frame)).lock.waitUntilFree()
    if let held { putFolio(held, on: processor) }
  }
}
