import Interleaving
import SystemPackage

/// Long-term pins: pin the range, migrate the pages that may not stay where they are, and pin the range
/// again.
extension Pins {
  /// Takes pages for an indefinite time.
  ///
  /// The pin scope (PF_MEMALLOC_PIN) covers the whole call, so that neither faults nor migrations allocate
  /// pages that may not stay either.
  ///
  /// - Locks: the caller holds the space's lock, shared.
  /// - Kernel: mm/gup.c:__gup_longterm_locked (6.1)
  func pinLongterm(_ asked: PinRequest, _ range: PinRange) -> Taken {
    let process = asked.process
    var request = asked
    if policy.longtermForcesWrite { request.flags.insert(.write) }
    let scope = isEnabled(.pinScope) ? process.savePinScope() : process.scope.intersection(.pin)
    defer { process.restorePinScope(scope) }
    var attempt = LongtermAttempt()
    while true {
      let taken = pinSlowly(request, range)
      guard taken.count > 0 else { return taken }
      switch settle(request, range.prefix(taken.count), &attempt) {
      case .stay: return taken
      case .again:
        counters.bump(.longtermRetries, on: process)
        giveWay(.retry, attempt: attempt.passes)
        attempt.passes += 1
      case .fail(let error): return Taken(count: 0, failure: error)
      }
    }
  }

  /// The result of a look at pinned pages.
  enum Verdict {
    /// The pages may stay; they are still pinned.
    case stay
    /// All pages were unpinned; the range is pinned again.
    case again
    /// All pages were unpinned; the call fails.
    case fail(PinError)
  }

  /// Migrates the pages of a range that may not stay, as the policy says.
  ///
  /// - Kernel: mm/gup.c:check_and_migrate_movable_pages (6.1)
  /// - Kernel: mm/gup.c:migrate_longterm_unpinnable_pages (6.1); without device-coherent pages.
  func settle(
    _ request: PinRequest, _ range: PinRange, _ attempt: inout LongtermAttempt
  ) -> Verdict {
    if attempt.giveUpMoving { return .stay }
    let process = request.process
    var found = collect(request, range)
    let none = found.isolated.isEmpty
    switch policy.failure {
    case .ignored:
      // Pages that could not be isolated are not looked at again and stay pinned where they are (seed 002).
      if none { return .stay }
    case .emptyListSucceeds:
      if none { return .stay }
    case .limited, .migrationFatal:
      if found.unpinnable == 0 { return .stay }
    }
    unpinAll(range.frames, pins: request.isPin, markDirty: false, on: process.processor)
    let outcome = moveAway(&found.isolated, process)
    switch policy.failure {
    case .ignored:
      // After a failure the range is pinned once more, and its pages stay where they are.
      if !outcome.isComplete { attempt.giveUpMoving = true }
      return .again
    case .limited(let migrations, let isolations):
      if !outcome.isComplete {
        attempt.migrationFailures += 1
        guard attempt.migrationFailures > migrations else { return .again }
        return .fail(notMoved(outcome, outcome.aborted ?? .resourceBusy))
      }
      guard found.failedFolios > 0 else { return .again }
      attempt.isolationFailures += 1
      guard attempt.isolationFailures > isolations else { return .again }
      return .fail(
        PinError(
          .isolate, .notIsolated(folios: found.failedFolios, passes: attempt.isolationFailures),
          .resourceBusy, frame: found.firstFailed,
          holders: ledger.holders(of: FrameRange(start: found.firstFailed, count: 1))))
    case .migrationFatal, .emptyListSucceeds:
      return outcome.isComplete ? .again : .fail(notMoved(outcome, .noMemory))
    }
  }

  private func notMoved(_ outcome: MigrationOutcome, _ errno: Errno) -> PinError {
    let noTarget = outcome.failures.contains { $0.stage == .allocate }
    let frame = outcome.failures.first?.frame
    let pages = outcome.failures.first?.pages ?? 1
    return PinError(
      .migrate, noTarget ? .noTarget(outcome.failures) : .notMigrated(outcome.failures), errno, frame: frame,
      holders: frame.map { ledger.holders(of: FrameRange(start: $0, count: pages)) } ?? [])
  }

  /// Migrates isolated folios away; those that did not move go back to their lists.
  private func moveAway(_ list: inout FolioList, _ process: Process) -> MigrationOutcome {
    if list.isEmpty { return MigrationOutcome() }
    var gfp: GFPFlags = [.user, .noWarn]
    if !policy.scopeClearsMovable || !isEnabled(.immovableTarget) { gfp.insert(.movable) }
    let reason: MigrationReason = policy.scopeClearsMovable ? .longtermPin : .contigRange
    let outcome = migration.migratePages(
      &list, reason: reason, mode: .sync, target: .allocate(gfp: gfp, node: nil), for: process)
    while let head = list.popFirst(in: memmap) { migration.putBack(head, on: process.processor) }
    return outcome
  }

  // MARK: - Collecting

  /// Isolates the folios of a range that may not stay.
  ///
  /// - Kernel: mm/gup.c:collect_longterm_unpinnable_pages (6.1); without device-coherent pages.
  private func collect(_ request: PinRequest, _ range: PinRange) -> CollectedFolios {
    var found = CollectedFolios()
    var drained = Drained()
    var previous = FrameNumber.none
    var i = 0
    while i < range.count {
      let frame = range.frames[i]
      let head = memmap.head(of: frame)
      // Up to 5.12 the loop assumes that a compound page fills consecutive entries of the array.
      let step = policy.collectsByStep ? memmap.folioPages(head) - (frame.index - head.index) : 1
      i += max(step, 1)
      if head == previous { continue }
      previous = head
      if folios.isLongtermPinnable(head) { continue }
      found.unpinnable += 1
      drainIfNeeded(head, request, &drained)
      if migration.isolate(head, on: request.process.processor) {
        found.isolated.pushLast(head, in: memmap)
      } else {
        if found.failedFolios == 0 { found.firstFailed = head }
        found.failedFolios += 1
      }
    }
    return found
  }

  /// Drains LRU batches that may hold a reference on a folio, as the policy's kernel does.
  private func drainIfNeeded(_ head: FrameNumber, _ request: PinRequest, _ drained: inout Drained) {
    let process = request.process
    let folio = memmap.page(head)
    switch policy.drain {
    case .never: return
    case .always:
      if !drained.all { lru.drainAll(for: process) }
      drained.all = true
    case .ifOffList:
      guard !drained.all, !folio.has(.lru), !folio.isHugetlb else { return }
      lru.drainAll(for: process)
      drained.all = true
    case .ifUnexpectedReferences(let ownPins):
      // Large folios are never in a batch (folio_may_be_lru_cached).
      guard !folio.isLarge, !folio.isHugetlb else { return }
      let countsPins = ownPins && request.isPin
      if !drained.locally, hasUnexpectedReferences(head, countsPins: countsPins) {
        lru.drain(for: process)
        drained.locally = true
      }
      if !drained.all, hasUnexpectedReferences(head, countsPins: countsPins) {
        lru.drainAll(for: process)
        drained.all = true
      }
    }
  }

  /// Whether a folio has other references than expected: those of its mappings, of its cache and of the
  /// caller.
  ///
  /// 6.1.192 expects one reference of the caller although its pin of a small page adds 1024, so it always
  /// drains.
  ///
  /// - Parameter countsPins: whether the caller's pin is expected with all that it adds (mainline).
  private func hasUnexpectedReferences(_ head: FrameNumber, countsPins: Bool) -> Bool {
    let folio = memmap.page(head)
    let expected = Int32(folios.expectedReferences(of: head).total)
    let own: Int32 =
      countsPins ? pinRules.references(1, exact: pinRules.countsExactly(folio)) : 1
    return folio.refcount.load() != expected + own
  }
}

/// The folios of a range that may not stay.
private struct CollectedFolios {
  /// How many they are, isolated or not.
  var unpinnable = 0
  var isolated = FolioList()
  /// How many could not be isolated, and the first of them.
  var failedFolios = 0
  var firstFailed = FrameNumber.none
}

/// The batches that one look has drained.
private struct Drained {
  var locally = false
  var all = false
}

/// The attempts that one long-term pin has made.
struct LongtermAttempt {
  var passes = 0
  var migrationFailures = 0
  var isolationFailures = 0
  /// Whether pages stay where they are from now on.
  var giveUpMoving = false
}
