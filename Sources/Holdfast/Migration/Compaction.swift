import Interleaving
import SystemPackage

/// What a compaction did.
public struct CompactionResult: Hashable, Sendable {
  /// How it ended.
  public enum Outcome: String, CaseIterable, Hashable, Sendable {
    /// A free chunk of the order was there already.
    case notNeeded
    /// There are too few free pages for compaction to help.
    case skipped
    /// A free chunk of the order exists now.
    case success
    /// The whole zone was scanned and no such chunk was made; a run over the whole zone always ends so.
    case complete
    /// A fatal signal was pending.
    case interrupted
  }

  /// How it ended.
  public internal(set) var outcome: Outcome
  /// Frames that the scanner for movable pages looked at.
  public internal(set) var migrateScanned = 0
  /// Frames that the scanner for free pages looked at.
  public internal(set) var freeScanned = 0
  /// Pages isolated by both.
  public internal(set) var isolated = 0
  /// Pages moved.
  public internal(set) var movedPages = 0
  /// Folios that were isolated and stayed.
  public internal(set) var failedFolios = 0
}

/// Compaction: pages from the low end of a zone move into free pages at its high end.
package struct Compaction: Room {
  package let machine: Machine
}

extension Room {
  /// Compaction of zones.
  @inline(__always)
  package var compaction: Compaction { Compaction(machine: machine) }
}

extension Machine {
  /// Order for which a whole zone is compacted.
  public static let wholeZone = -1

  /// Compacts a zone until it has a free chunk of an order, or as a whole.
  ///
  /// For an order, an asynchronous run comes first and one that waits for locks second. A run begins where
  /// the last one stopped. Pinned pages are left where they are. compact_stall, compact_success and
  /// compact_fail count each zone; in the kernel they count each allocation.
  ///
  /// - Parameters:
  ///   - id: the zone.
  ///   - order: the order wanted, or `wholeZone`.
  ///   - process: the process that compacts, whose processor the events are counted on.
  /// - Returns: how it ended and what was moved.
  /// - Locks: takes the zone lock, page locks and page-table locks; the caller holds none above `contiguous`.
  /// - Kernel: mm/compaction.c:compact_zone_order (6.1); without the migratetype, flags and highest zone of
  ///   the request, the minimum priority, capture.
  public func compact(zone id: ZoneID, order: Int, by process: Process) -> CompactionResult {
    compaction.compact(zone: id, order: order, by: process)
  }
}

extension Compaction {
  /// `Machine.compact(zone:order:by:)`, for the rooms.
  package func compact(zone id: ZoneID, order: Int, by process: Process) -> CompactionResult {
    let zone = buddy.zone(id)
    guard zone.isPopulated else { return CompactionResult(outcome: .skipped) }
    guard order >= 0 else { return compactWholeZone(id, by: process) }
    if hasFreeChunk(zone, order: order) { return CompactionResult(outcome: .notNeeded) }
    guard hasRoom(zone, order: order) else { return CompactionResult(outcome: .skipped) }
    counters.bump(.compactStall, on: process)
    var result = CompactionResult(outcome: .complete)
    for mode in [MigrationMode.async, .syncLight] {
      run(&result, id, order: order, mode, by: process)
      if result.outcome != .complete { break }
    }
    counters.bump(result.outcome == .success ? .compactSuccess : .compactFail, on: process)
    return result
  }

  /// Moves pages over the whole zone, from its two ends.
  ///
  /// - Kernel: mm/compaction.c:compact_node (6.1); without the other zones of the node.
  private func compactWholeZone(_ id: ZoneID, by process: Process) -> CompactionResult {
    resetCompaction(of: id)
    var result = CompactionResult(outcome: .complete)
    run(&result, id, order: Machine.wholeZone, .sync, by: process)
    return result
  }

  /// Whether a chunk of the order is free, on a list that allocations may take from.
  ///
  /// - Kernel: mm/compaction.c:__compact_finished (6.1); without the migratetype of the request (a free chunk
  ///   of any type counts, CMA chunks too), the fallback test, proactive compaction, the flush of skip hints.
  private func hasFreeChunk(_ zone: Zone, order: Int) -> Bool {
    // Metadata that is not made yet represents free chunks of every order.
    if zone.deferred.load(.relaxed) > 0 { return true }
    return zone.lock.withLock {
      (order...max(order, geometry.maxOrder)).contains { order in
        order <= geometry.maxOrder
          && [MigrateType.unmovable, .movable, .reclaimable, .cma].contains {
            zone.freeList(order: order, $0).count > 0
          }
      }
    }
  }

  /// Whether there are enough free pages for moving some of them to help.
  ///
  /// - Kernel: mm/compaction.c:__compaction_suitable (6.1); without the watermark test for the order itself,
  ///   the lowmem reserve, the HIGHATOMIC reserve.
  /// - Kernel: mm/compaction.c:compaction_suitable (6.1); without the fragmentation index.
  private func hasRoom(_ zone: Zone, order: Int) -> Bool {
    // Costly orders must not eat the pages below the low watermark.
    let mark = zone.watermark(order > 3 ? 1 : 0).load(.relaxed)
    return Int(zone.free.load(.relaxed)) > Int(mark) + 2 << order
  }

  /// One run of the two scanners towards each other.
  ///
  /// - Kernel: mm/compaction.c:compact_zone (6.1); without skip hints, separate start positions for
  ///   asynchronous and synchronous runs, rescans of a pageblock, capture, the stop on contended locks.
  /// - Kernel: mm/compaction.c:isolate_migratepages (6.1); without skip hints, fast_find_migrateblock,
  ///   sysctl_compact_unevictable_allowed.
  private func run(
    _ result: inout CompactionResult, _ id: ZoneID, order: Int, _ mode: MigrationMode, by process: Process
  ) {
    let zone = buddy.zone(id)
    let cpu = process.processor
    let (start, end, migrate, free) = scannerPositions(id)
    guard end > start else { return }
    let targets = CompactionTargets(machine, zone: id, floor: migrate, cursor: free)
    var scan = MigrateScan(next: migrate)
    var list = FolioList()
    lru.drain(for: process)
    result.outcome = .complete
    while true {
      let block = buddy.pageblockSpan(of: FrameRange(start: FrameNumber(scan.next), count: 1))
      targets.floor = block.endIndex
      if process.hasFatalSignal {
        result.outcome = .interrupted
        break
      }
      // A pageblock is scanned to its end before the result is looked at.
      if scan.next == block.start.index, order >= 0, hasFreeChunk(zone, order: order) {
        result.outcome = .success
        break
      }
      if scan.next >= end { break }
      if targets.isExhausted, targets.count == 0 || block.start.index >= targets.cursor { break }
      let first = FrameNumber(max(block.start.index, start))
      guard isCompactionSource(first, id, mode) else {
        scan.next = block.endIndex
        continue
      }
      migration.isolateBatch(
        &scan, upTo: min(block.endIndex, end), into: &list, .compaction, mode: mode, by: process)
      if list.isEmpty { continue }
      let outcome = migration.migratePages(
        &list, reason: .compaction, mode: mode, target: .taken(from: targets), for: process)
      result.movedPages += outcome.succeededPages
      while let head = list.popFirst(in: memmap) {
        result.failedFolios += 1
        migration.putBack(head, on: cpu)
      }
      if scan.next >= block.endIndex {
        // Freed pages wait in per-CPU lists, where they cannot merge with their buddies.
        lru.drain(for: process)
        allocator.drainPerCPULists(id)
      }
      if outcome.aborted == .noMemory, targets.isExhausted { break }
    }
    targets.release(on: cpu)
    allocator.drainPerCPULists(id)
    if result.outcome == .complete {
      if order >= 0, hasFreeChunk(zone, order: order) { result.outcome = .success }
      resetCompaction(of: id)
    } else {
      zone.lock.withLock {
        zone.compactionMigrate = FrameNumber(scan.next)
        zone.compactionFree = FrameNumber(targets.cursor)
      }
    }
    result.migrateScanned += scan.scanned
    result.freeScanned += targets.scanned
    result.isolated += scan.isolated + targets.isolated
    counters.bump(.compactMigrateScanned, by: UInt64(scan.scanned), on: process)
    counters.bump(.compactFreeScanned, by: UInt64(targets.scanned), on: process)
    counters.bump(.compactIsolated, by: UInt64(scan.isolated + targets.isolated), on: process)
  }

  /// Whether pages of a pageblock are to be moved.
  ///
  /// An asynchronous run takes pageblocks of movable pages only. No run takes an isolated pageblock, which is
  /// a rule of this engine.
  ///
  /// - Kernel: mm/compaction.c:suitable_migration_source (6.1); without the migratetype of the request,
  ///   persistent skip hints.
  private func isCompactionSource(_ first: FrameNumber, _ id: ZoneID, _ mode: MigrationMode) -> Bool {
    guard memmap.hasMetadata(first), memmap.page(first).zone == id else { return false }
    let type = buddy.pageblockType(of: first)
    if type == .isolate { return false }
    return mode != .async || type == .movable || type == .cma
  }

  /// The zone's bounds, and where its scanners begin: at the ends, or where the last run stopped.
  private func scannerPositions(_ id: ZoneID) -> (start: Int, end: Int, migrate: Int, free: Int) {
    let zone = buddy.zone(id)
    return zone.lock.withLock {
      let start = zone.start.index
      let end = start + zone.spanned
      let top = buddy.pageblockSpan(of: FrameRange(start: zone.start, count: zone.spanned)).endIndex
      let migrate = zone.compactionMigrate.index
      let free = zone.compactionFree.index
      guard migrate >= start, free > migrate, free <= top else { return (start, end, start, top) }
      return (start, end, migrate, free)
    }
  }

  /// Lets the next run begin at the ends of the zone.
  ///
  /// - Kernel: mm/compaction.c:reset_cached_positions (6.1)
  private func resetCompaction(of id: ZoneID) {
    let zone = buddy.zone(id)
    zone.lock.withLock {
      zone.compactionMigrate = FrameNumber(0)
      zone.compactionFree = FrameNumber(0)
    }
  }
}
