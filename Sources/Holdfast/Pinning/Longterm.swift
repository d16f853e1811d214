import Interleaving
import SystemPackage

/// Long-term pins: take the range, look at the pages, move those that may not stay, take it again (spec 6).
extension Machine {
  /// Takes pages for an indefinite time, under the address space's lock, which the caller holds shared.
  ///
  /// The pin scope holds from the first look to the last, so that neither faults nor migration
  /// targets land where the pages may not stay (mm/gup.c:__gup_longterm_locked).
  func takeLongterm(_ asked: PinRequest, _ range: PinRange) -> Taken {
    let process = asked.process
    var request = asked
    if policy.longtermForcesWrite { request.flags.insert(.write) }
    let scope = isEnabled(.pinScope) ? process.savePinScope() : process.scope.intersection(.pin)
    defer { process.restorePinScope(scope) }
    var attempt = LongtermAttempt()
    while true {
      let taken = takeSlowly(request, range)
      guard taken.count > 0 else { return taken }
      switch settle(request, range.prefix(taken.count), &attempt) {
      case .stay: return taken
      case .again:
        bump(.longtermRetries, on: process)
        giveWay(.retry, attempt: attempt.passes)
        attempt.passes += 1
      case .fail(let error): return Taken(count: 0, failure: error)
      }
    }
  }

  /// What to do with pages that were taken.
  private enum Verdict {
    case stay
    /// Everything was given back; take the range again.
    case again
    /// Everything was given back; the call fails.
    case fail(PinError)
  }

  /// Moves pages that may not stay, according to the policy.
  private func settle(
    _ request: PinRequest, _ range: PinRange, _ attempt: inout LongtermAttempt
  ) -> Verdict {
    if attempt.giveUpMoving { return .stay }
    let process = request.process
    var found = collect(request, range)
    let none = found.isolated.isEmpty
    switch policy.failure {
    case .ignored:
      // What could not be isolated is not looked at again: seed 002's hole.
      if none { return .stay }
    case .emptyListSucceeds:
      if none { return .stay }
    case .limited, .migrationFatal:
      if found.unpinnable == 0 { return .stay }
    }
    releaseAll(range.frames, pins: request.isPin, markDirty: false, on: process.processor)
    let outcome = moveAway(&found.isolated, process)
    switch policy.failure {
    case .ignored:
      // A failure ends the attempts; the pages are pinned where they are.
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
          holders: holders(of: FrameRange(start: found.firstFailed, count: 1))))
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
      holders: frame.map { holders(of: FrameRange(start: $0, count: pages)) } ?? [])
  }

  private func moveAway(_ list: inout FolioList, _ process: Process) -> MigrationOutcome {
    if list.isEmpty { return MigrationOutcome() }
    var gfp: GFPFlags = [.user, .noWarn]
    if !policy.scopeClearsMovable || !isEnabled(.immovableTarget) { gfp.insert(.movable) }
    let reason: MigrationReason = policy.scopeClearsMovable ? .longtermPin : .contigRange
    let outcome = migratePages(
      &list, reason: reason, mode: .sync, target: .allocate(gfp: gfp, node: nil), for: process)
    while let head = list.popFirst(in: self) { putBack(head, on: process.processor) }
    return outcome
  }

  // MARK: - Collecting

  /// Isolates the folios that may not stay.
  private func collect(_ request: PinRequest, _ range: PinRange) -> CollectedFolios {
    var found = CollectedFolios()
    var drained = Drained()
    var previous = FrameNumber.none
    var i = 0
    while i < range.count {
      let frame = range.frames[i]
      let head = head(of: frame)
      // Up to 5.12 the array was taken to hold whole compound pages one after the other.
      let step = policy.collectsByStep ? folioPages(head) - (frame.index - head.index) : 1
      i += max(step, 1)
      if head == previous { continue }
      previous = head
      if isLongtermPinnable(head) { continue }
      found.unpinnable += 1
      drainIfNeeded(head, request, &drained)
      if isolate(head, on: request.process.processor) {
        found.isolated.pushLast(head, in: self)
      } else {
        if found.failedFolios == 0 { found.firstFailed = head }
        found.failedFolios += 1
      }
    }
    return found
  }

  /// Empties LRU batches that may hide a reference, as the policy's kernel does (spec 6.6, 6.7).
  private func drainIfNeeded(_ head: FrameNumber, _ request: PinRequest, _ drained: inout Drained) {
    let process = request.process
    let descriptor = page(head)
    switch policy.drain {
    case .never: return
    case .always:
      if !drained.all { drainLRUAll(for: process) }
      drained.all = true
    case .ifOffList:
      guard !drained.all, !descriptor.has(.lru), !descriptor.isHugetlb else { return }
      drainLRUAll(for: process)
      drained.all = true
    case .ifUnexpectedReferences(let ownPins):
      // Large folios never wait in a batch.
      guard !descriptor.isLarge, !descriptor.isHugetlb else { return }
      let countsPins = ownPins && request.isPin
      if !drained.locally, hasUnexpectedReferences(head, countsPins: countsPins) {
        drainLRU(for: process)
        drained.locally = true
      }
      if !drained.all, hasUnexpectedReferences(head, countsPins: countsPins) {
        drainLRUAll(for: process)
        drained.all = true
      }
    }
  }

  /// Whether a folio has more references than its mappings, its cache and the caller explain.
  ///
  /// 6.1.192 expects one for the caller although its pin on a small page counts 1024, so it always drains;
  /// `countsPins` is mainline's correction.
  private func hasUnexpectedReferences(_ head: FrameNumber, countsPins: Bool) -> Bool {
    let descriptor = page(head)
    let expected = Int32(expectedReferences(of: head).total)
    let own: Int32 =
      countsPins ? pinRules.references(1, exact: pinRules.countsExactly(descriptor)) : 1
    return descriptor.refcount.load() != expected + own
  }
}

/// What one look over the pages of a long-term pin found.
private struct CollectedFolios {
  /// Folios that may not stay, isolated or not.
  var unpinnable = 0
  var isolated = FolioList()
  var failedFolios = 0
  var firstFailed = FrameNumber.none
}

/// Which batches one look has emptied.
private struct Drained {
  var locally = false
  var all = false
}

/// How often one long-term pin has tried.
private struct LongtermAttempt {
  var passes = 0
  var migrationFailures = 0
  var isolationFailures = 0
  var giveUpMoving = false
}
