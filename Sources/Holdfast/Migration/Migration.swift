import Interleaving
import SystemPackage

/// Migration: folios are isolated, unmapped, copied and mapped again, in passes over a list.
package struct Migration: Room {
  package let machine: Machine
}

extension Room {
  /// Migration of folios.
  @inline(__always)
  package var migration: Migration { Migration(machine: machine) }
}

extension Migration {
  /// Passes over one batch (NR_MAX_MIGRATE_PAGES_RETRY).
  static let migrationPasses = 10
  /// Most base pages of a batch (NR_MAX_BATCHED_MIGRATION).
  private static let migrationBatch = 512

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
    let request = MigrationRequest(reason: reason, mode: mode, target: target, process: process)
    var run = MigrationRun()
    // Hugetlb folios are moved first, in a loop of their own.
    var ordinary = FolioList()
    var huge = FolioList()
    while let head = list.popFirst(in: memmap) {
      if memmap.page(head).isHugetlb {
        huge.pushLast(head, in: memmap)
      } else {
        ordinary.pushLast(head, in: memmap)
      }
    }
    runBatch(&huge, request, &run)
    while !ordinary.isEmpty, run.outcome.aborted == nil {
      var batch = FolioList()
      var pages = 0
      while !ordinary.isEmpty {
        pages += memmap.folioPages(ordinary.first)
        if pages > Self.migrationBatch, !batch.isEmpty { break }
        if let head = ordinary.popFirst(in: memmap) { batch.pushLast(head, in: memmap) }
      }
      runBatch(&batch, request, &run)
    }
    run.outcome.remaining = run.kept.count
    while let head = run.kept.popFirst(in: memmap) { list.pushLast(head, in: memmap) }
    while let head = ordinary.popFirst(in: memmap) { list.pushLast(head, in: memmap) }
    counters.bump(.pgmigrateSuccess, by: UInt64(run.outcome.succeededPages), on: process)
    counters.bump(.pgmigrateFail, by: UInt64(run.outcome.failedPages), on: process)
    return run.outcome
  }

  /// Passes over one batch; folios that did not move are appended to `kept`.
  ///
  /// - Kernel: mm/migrate.c:migrate_hugetlbs (6.1)
  /// - Kernel: mm/migrate.c:migrate_pages_batch (6.1); without splitting a large folio for which no target
  ///   can be allocated, the retry of such a split for a long-term pin.
  private func runBatch(_ batch: inout FolioList, _ request: MigrationRequest, _ run: inout MigrationRun) {
    let process = request.process
    var pass = 0
    while !batch.isEmpty, pass < Self.migrationPasses {
      var again = FolioList()
      while let head = batch.popFirst(in: memmap) {
        let pages = memmap.folioPages(head)
        // Asked now, because after the move the frame may be part of anything.
        let isCounted = isTransparentHuge(head)
        // From the fourth pass on a synchronous migration waits for the page lock.
        switch migrateFolio(head, request, wait: pass > 2) {
        case .moved:
          run.outcome.succeededPages += pages
          if isCounted { counters.bump(.thpMigrationSuccess, on: process) }
        case .again(let failure):
          run.outcome.attempts[failure.stage.rawValue] += 1
          if pass + 1 < Self.migrationPasses {
            again.pushLast(head, in: memmap)
          } else {
            fail(head, failure, &run, process)
          }
        case .permanent(let failure):
          run.outcome.attempts[failure.stage.rawValue] += 1
          fail(head, failure, &run, process)
        case .noMemory(let failure):
          run.outcome.attempts[failure.stage.rawValue] += 1
          fail(head, failure, &run, process)
          run.outcome.aborted = .noMemory
          // The folios that this pass left for the next one count as failed too.
          while let rest = again.popFirst(in: memmap) {
            run.outcome.failedPages += memmap.folioPages(rest)
            if isTransparentHuge(rest) { counters.bump(.thpMigrationFail, on: process) }
            run.kept.pushLast(rest, in: memmap)
          }
          while let rest = batch.popFirst(in: memmap) { run.kept.pushLast(rest, in: memmap) }
          return
        }
      }
      batch = again
      pass += 1
    }
  }

  /// Counts a folio that stays, and appends it to `kept`.
  private func fail(
    _ head: FrameNumber, _ failure: MigrationFailure, _ run: inout MigrationRun, _ process: Process
  ) {
    run.outcome.failedPages += failure.pages
    if isTransparentHuge(head) { counters.bump(.thpMigrationFail, on: process) }
    run.outcome.note(failure)
    run.kept.pushLast(head, in: memmap)
  }

  /// Whether the thp_migration counters count a folio: huge pages of the hugetlb pools are not counted there.
  private func isTransparentHuge(_ head: FrameNumber) -> Bool {
    memmap.page(head).isLarge && !memmap.page(head).isHugetlb
  }

  /// Waits until a page that a migration entry names is unlocked; the caller then looks at the entry again.
  ///
  /// Takes no reference, because a reference would make the migration fail. The caller has dropped the
  /// page-table lock.
  ///
  /// - Kernel: mm/migrate.c:migration_entry_wait (6.1); without reading the entry again under the page-table
  ///   lock.
  /// - Kernel: mm/migrate.c:__migration_entry_wait (6.1); without reading the entry again under the
  ///   page-table lock.
  /// - Kernel: mm/migrate.c:pmd_migration_entry_wait (6.1); without reading the entry again under the
  ///   page-table lock.
  /// - Kernel: mm/migrate.c:migration_entry_wait_huge (6.1); without reading the entry again under the
  ///   page-table lock.
  /// - Kernel: mm/filemap.c:migration_entry_wait_on_locked (6.1)
  package func waitForMigration(of frame: FrameNumber, on processor: Int) {
    let held = isEnabled(.waitWithoutReference) ? nil : folios.tryGet(frame, processor: processor)
    memmap.page(memmap.head(of: frame)).lock.waitUntilFree()
    if let held { folios.put(held, on: processor) }
  }
}

/// What one call of the migration core asks for.
struct MigrationRequest {
  let reason: MigrationReason
  let mode: MigrationMode
  let target: MigrationTarget
  let process: Process
}

/// What one call of the migration core has done so far.
private struct MigrationRun {
  var outcome = MigrationOutcome()
  /// Folios that have had their outcome and stayed.
  var kept = FolioList()
}
