import Interleaving
import SystemPackage

/// The list driver: passes over isolated folios until they moved or cannot (mm/migrate.c:migrate_pages, 6.1.192).
extension Machine {
  /// Passes over one batch (NR_MAX_MIGRATE_PAGES_RETRY).
  package static let migrationPasses = 10
  /// Most base pages of a batch.
  static let migrationBatch = 512

  /// Migrates isolated folios.
  ///
  /// Folios that did not move are on `list` afterwards, still isolated: the caller puts them back.
  package func migratePages(
    _ list: inout FolioList, reason: MigrationReason, mode: MigrationMode, target: MigrationTarget,
    for process: Process
  ) -> MigrationOutcome {
    var outcome = MigrationOutcome()
    var kept = FolioList()
    // Hugetlb folios have a loop of their own, first.
    var ordinary = FolioList()
    var huge = FolioList()
    while let head = list.popFirst(in: self) {
      if page(head).isHugetlb { huge.append(head, in: self) } else { ordinary.append(head, in: self) }
    }
    runBatch(&huge, &kept, &outcome, reason, mode, target, process)
    while !ordinary.isEmpty, outcome.aborted == nil {
      var batch = FolioList()
      var pages = 0
      while ordinary.first != .none {
        pages += folioPages(ordinary.first)
        if pages > Self.migrationBatch, !batch.isEmpty { break }
        if let head = ordinary.popFirst(in: self) { batch.append(head, in: self) }
      }
      runBatch(&batch, &kept, &outcome, reason, mode, target, process)
    }
    outcome.remaining = kept.count
    while let head = kept.popFirst(in: self) { list.append(head, in: self) }
    while let head = ordinary.popFirst(in: self) { list.append(head, in: self) }
    bump(.pgmigrateSuccess, by: UInt64(outcome.succeededPages), on: process)
    bump(.pgmigrateFail, by: UInt64(outcome.failedPages), on: process)
    return outcome
  }

  private func runBatch(
    _ batch: inout FolioList, _ kept: inout FolioList, _ outcome: inout MigrationOutcome,
    _ reason: MigrationReason, _ mode: MigrationMode, _ target: MigrationTarget, _ process: Process
  ) {
    var pass = 0
    while !batch.isEmpty, pass < Self.migrationPasses {
      var again = FolioList()
      while let head = batch.popFirst(in: self) {
        let pages = folioPages(head)
        // Once it moved, the head may be anything.
        let isCounted = isTransparentHuge(head)
        // From the fourth pass on a synchronous migration waits for the page lock.
        switch migrateFolio(head, reason, mode, wait: pass > 2, target, process) {
        case .moved:
          outcome.succeededPages += pages
          if isCounted { bump(.thpMigrationSuccess, on: process) }
        case .again(let failure):
          outcome.attempts[failure.stage.rawValue] += 1
          if pass + 1 < Self.migrationPasses {
            again.append(head, in: self)
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
          // Those of this pass that were to be tried again have had their outcome too.
          while let rest = again.popFirst(in: self) {
            outcome.failedPages += folioPages(rest)
            if isTransparentHuge(rest) { bump(.thpMigrationFail, on: process) }
            kept.append(rest, in: self)
          }
          while let rest = batch.popFirst(in: self) { kept.append(rest, in: self) }
          return
        }
      }
      batch = again
      pass += 1
    }
  }

  private func fail(
    _ head: FrameNumber, _ failure: MigrationFailure, _ kept: inout FolioList,
    _ outcome: inout MigrationOutcome, _ process: Process
  ) {
    outcome.failedPages += failure.pages
    if isTransparentHuge(head) { bump(.thpMigrationFail, on: process) }
    outcome.note(failure)
    kept.append(head, in: self)
  }

  /// Whether the thp_migration counters count a folio: those of the hugetlb pools are not theirs.
  private func isTransparentHuge(_ head: FrameNumber) -> Bool { page(head).isLarge && !page(head).isHugetlb }

  /// Waits until a page that a migration entry names is unlocked; the caller then looks at the entry again.
  ///
  /// Takes no reference, which would make the migration fail (mm/migrate.c:migration_entry_wait, 6.1).
  package func waitForMigration(of frame: FrameNumber, on processor: Int) {
    let held = has(.waitWithoutReference) ? nil : tryGetFolio(frame, processor: processor)
    page(head(of: frame)).lock.waitUntilFree()
    if let held { putFolio(held, on: processor) }
  }
}
