import Interleaving
public import SystemPackage

/// Why a range could not be allocated as a whole.
public struct ContiguousError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reason for the failure.
  public enum Cause: Hashable, Sendable {
    /// The range is empty, holds frames that are no memory, or lies in several zones.
    case badRange
    /// A pageblock could not be isolated.
    case isolation(IsolationError)
    /// Frames of the range stayed in use.
    case busy
    /// There was no memory for the pages to be moved.
    case noTarget
    /// A fatal signal was pending.
    case interrupted
  }

  /// The range requested.
  public let range: FrameRange
  /// The reason.
  public let cause: Cause
  /// The folios that stayed, at most `OfflineError.frameLimit` of them.
  public let frames: [StuckFrame]
  /// Number of folios that stayed.
  public let frameTotal: Int
  /// The holders of pins or references on frames of the range.
  public let holders: [PinHolder]

  /// The kernel's errno: EBUSY, ENOMEM without memory for what must move, EINTR, EINVAL.
  public var errno: Errno {
    switch cause {
    case .badRange: .invalidArgument
    case .isolation, .busy: .resourceBusy
    case .noTarget: .noMemory
    case .interrupted: .interrupted
    }
  }

  /// Why, which frames, and their holders.
  public var description: String {
    var text =
      switch cause {
      case .badRange: "\(range) is not memory of one zone"
      case .isolation(let error): error.description
      case .busy: "\(range) is busy"
      case .noTarget: "there is no memory to move the pages of \(range) to"
      case .interrupted: "a fatal signal is pending"
      }
    if !frames.isEmpty {
      text += ": " + frames.prefix(4).map(\.description).joined(separator: "; ")
      if frameTotal > 4 { text += "; and \(frameTotal - min(4, frames.count)) more" }
    }
    if !holders.isEmpty {
      text += "; held by " + holders.prefix(4).map(\.description).joined(separator: "; ")
    }
    return text
  }
}

/// Allocating exactly this range of frames.
extension Allocator {
  /// Attempts to migrate one batch of isolated folios before the range counts as busy.
  private static let contiguousAttempts = 5

  /// Moves everything out of a range and takes its frames, each with one reference, contents unchanged.
  ///
  /// - Parameter type: the type of the pageblocks, which they keep; CMA pageblocks give frames for `.cma`
  ///   only.
  /// - Throws: EBUSY if a frame cannot be isolated or stays in use, ENOMEM if there is no memory for the
  ///   pages to be moved, EINTR after a fatal signal. The range is then as it was, except for pages that have
  ///   moved.
  /// - Locks: the caller holds none above the rank of `contiguous`.
  /// - Kernel: mm/page_alloc.c:alloc_contig_range (6.1); without undoing the isolation of the range when
  ///   isolating it fails, ranges of several zones (EINVAL here).
  func allocateContiguous(
    _ range: FrameRange, type: MigrateType, by process: Process
  ) throws(ContiguousError) {
    guard range.count > 0, range.start.index >= 0, range.endIndex <= machine.frameCount else {
      throw ContiguousError(range: range, cause: .badRange, frames: [], frameTotal: 0, holders: [])
    }
    buddy.materialise(buddy.pageblockSpan(of: range))
    let zone = memmap.page(range.start).zone
    guard range.frames.allSatisfy({ memmap.hasMetadata($0) && memmap.page($0).zone == zone }) else {
      throw ContiguousError(range: range, cause: .badRange, frames: [], frameTotal: 0, holders: [])
    }
    do {
      try isolation.isolateRange(range, for: type, memoryOffline: false, by: process)
    } catch {
      let stuck = migration.describeStuck(
        memmap.head(of: error.frame), pages: memmap.folioPages(memmap.head(of: error.frame)))
      throw ContiguousError(
        range: range, cause: .isolation(error), frames: [stuck], frameTotal: 1,
        holders: ledger.holders(of: FrameRange(start: stuck.frame, count: stuck.pages)))
    }
    drainPerCPULists(zone)
    defer { isolation.undoIsolation(range, to: type) }
    // The owner may have freed what did not move, so EBUSY is not final: the test for free frames decides.
    if let errno = migrateContiguous(range, by: process), errno != .resourceBusy {
      let cause: ContiguousError.Cause = errno == .interrupted ? .interrupted : .noTarget
      throw busy(range, cause)
    }
    let row = buddy.zone(zone)
    let taken = row.lock.withLock {
      guard isolation.firstOccupied(range, memoryOffline: false) == nil else { return false }
      allocateIsolated(range, in: row)
      return true
    }
    if !taken { throw busy(range, .busy) }
  }

  /// The failure of a range, with the folios in it that stay.
  private func busy(_ range: FrameRange, _ cause: ContiguousError.Cause) -> ContiguousError {
    let stuck = migration.stuckFrames(in: range, memoryOffline: false)
    return ContiguousError(
      range: range, cause: cause, frames: stuck.described, frameTotal: stuck.total,
      holders: stuck.total > 0 ? ledger.holders(of: range) : [])
  }

  /// Moves the movable folios of an isolated range to other places.
  ///
  /// - Returns: nil if every folio that could be isolated has moved; EBUSY after five attempts at the same
  ///   folios, ENOMEM at once, EINTR after a fatal signal.
  /// - Kernel: mm/page_alloc.c:__alloc_contig_migrate_range (6.1); without reclaim_clean_pages_from_list,
  ///   dumping the pages that stay.
  func migrateContiguous(_ range: FrameRange, by process: Process) -> Errno? {
    lru.disableBatches(for: process)
    defer { lru.enableBatches() }
    var list = FolioList()
    defer { while let head = list.popFirst(in: memmap) { migration.putBack(head, on: process.processor) } }
    var scan = MigrateScan(next: range.start.index)
    var attempts = 0
    while scan.next < range.endIndex || !list.isEmpty {
      if process.hasFatalSignal { return .interrupted }
      if list.isEmpty {
        migration.isolateBatch(
          &scan, upTo: range.endIndex, into: &list, .wholeRange, mode: .sync, by: process)
        attempts = 0
        if list.isEmpty { continue }
      } else {
        giveWay(.retry, attempt: attempts)
      }
      attempts += 1
      if attempts > Self.contiguousAttempts { return .resourceBusy }
      let outcome = migration.migratePages(
        &list, reason: .contigRange, mode: .sync,
        target: .allocate(gfp: [.user, .movable, .retryMayFail], node: nil), for: process)
      if outcome.aborted == .noMemory { return .noMemory }
    }
    return nil
  }

  /// Takes the frames of an isolated range off the free lists.
  ///
  /// The parts of free chunks that lie outside the range go back to the lists.
  ///
  /// - Locks: the caller holds the zone lock, and has tested under it that all of the range is free.
  /// - Kernel: mm/compaction.c:isolate_freepages_range (6.1); without the count in compact_isolated.
  private func allocateIsolated(_ range: FrameRange, in zone: Zone) {
    var index = range.start.index
    while index < range.endIndex {
      guard let (head, order) = buddy.freeChunk(covering: FrameNumber(index)) else { return }
      let end = head.index + 1 << order
      buddy.removeFromFreeList(head)
      _ = buddy.freeRun(head.index, range.start.index, in: zone)
      _ = buddy.freeRun(range.endIndex, end, in: zone)
      for i in max(head.index, range.start.index)..<min(end, range.endIndex) {
        prepareIsolated(FrameNumber(i))
      }
      index = end
    }
  }

  /// Turns a frame that was free into an allocated one: one reference, no flags.
  ///
  /// - Kernel: mm/compaction.c:split_map_pages (6.1)
  package func prepareIsolated(_ frame: FrameNumber) {
    let page = memmap.page(frame)
    page.type = .none
    page.order = 0
    page.clear(.clearedAtFree)
    page.unshared.mapping = .none
    page.headOffset.store(0, .relaxed)
    page.refcount.store(1)
  }
}
