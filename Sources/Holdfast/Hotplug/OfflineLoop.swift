import Interleaving
import SystemPackage

/// The loop that empties an isolated block: the two inner loops of mm/memory_hotplug.c:offline_pages (6.1).
extension Blocks {
  /// Result of a search through the block.
  private enum Scan {
    /// Nothing more in it can be moved.
    case none
    /// A frame that can be moved.
    case found(FrameNumber)
    /// A frame to which its driver still refers.
    case unmovable(FrameNumber)
  }

  /// Moves everything out of an isolated block.
  ///
  /// The inner loop runs until nothing movable is left, the outer one until all of the block is free.
  func moveEverything(_ attempt: inout OfflineAttempt, by process: Process) throws(OfflineError) {
    while true {
      try moveMovable(&attempt, by: process)
      guard hugetlb.dissolveFree(in: attempt.range, on: process.processor) else {
        let kept = firstHugePage(in: attempt.range)
        throw failure(attempt, .dissolve, .hugePageKept(kept), around: kept)
      }
      guard isolation.testRangeIsolated(attempt.range, memoryOffline: true) != nil else { return }
      attempt.stage = .test
      guard attempt.mayGoOn else { throw failure(attempt, .test, .passesUsedUp) }
      try endPass(&attempt, unmoved: 1, by: process)
    }
  }

  /// The inner loop: moves until nothing movable is left.
  private func moveMovable(_ attempt: inout OfflineAttempt, by process: Process) throws(OfflineError) {
    var next = attempt.range.start
    while true {
      if process.hasSignal { throw failure(attempt, attempt.stage, .interrupted) }
      switch scan(from: next, to: attempt.range.endIndex) {
      case .none: return
      case .unmovable(let frame): throw failure(attempt, .scan, .takenAway(frame), around: frame)
      case .found(let frame):
        guard attempt.mayGoOn else { throw failure(attempt, .migrate, .passesUsedUp) }
        attempt.stage = .migrate
        // The search does not pass a folio that did not move.
        next = frame
        let unmoved = migrateRest(from: frame, &attempt, by: process)
        try endPass(&attempt, unmoved: unmoved, by: process)
      }
    }
  }

  /// Counts a pass, and lets other threads run if something stayed where it was.
  private func endPass(
    _ attempt: inout OfflineAttempt, unmoved: Int, by process: Process
  ) throws(OfflineError) {
    attempt.passes += 1
    counters.bump(.offlinePasses, on: process)
    trace?(.offlinePass(block: attempt.id, pass: attempt.passes, unmoved: unmoved))
    guard unmoved > 0 else { return }
    guard isEnabled(.offlineRetry) else { throw failure(attempt, attempt.stage, .passesUsedUp) }
    giveWay(.retry, attempt: attempt.passes)
  }

  /// Looks for the next frame that needs to be moved.
  ///
  /// A frame that is on no LRU list and has no references is passed over: it is free or isolated by another
  /// path, and the test for free frames decides.
  ///
  /// - Kernel: mm/memory_hotplug.c:scan_movable_pages (6.1); without movable pages off the LRU.
  private func scan(from start: FrameNumber, to end: Int) -> Scan {
    let zone = buddy.zone(memmap.page(start).zone)
    var index = start.index
    while index < end {
      // One pageblock at a time under the zone lock, which keeps the free chunks from changing.
      let upper = min(end, ((index >> geometry.pageblockOrder) + 1) << geometry.pageblockOrder)
      zone.lock.lock()
      defer { zone.lock.unlock() }
      while index < upper {
        let frame = FrameNumber(index)
        let page = memmap.page(frame)
        if page.type == .buddy {
          index += 1 << page.order
          continue
        }
        let head = memmap.head(of: frame)
        if memmap.page(head).has(.lru) { return .found(frame) }
        let references = memmap.page(head).refcount.load()
        if page.type == .offline, references > 0 { return .unmovable(frame) }
        if memmap.page(head).isHugetlb {
          if memmap.page(head).isHugetlbMigratable { return .found(frame) }
          index = head.index + memmap.folioPages(head)
        } else {
          index += 1
        }
      }
    }
    return .none
  }

  /// Moves what can be moved from a frame to the end of the block; what stays is only reported.
  ///
  /// - Returns: folios that stayed.
  /// - Kernel: mm/memory_hotplug.c:do_migrate_range (6.1); without unmapping poisoned pages, movable pages
  ///   off the LRU, the node mask (the target may fall back to the block's own node, which the kernel allows
  ///   only if no other node has memory), dump_page; NR_ISOLATED grows by the folio's pages, in 6.1 by 1; a
  ///   hugetlb folio that cannot be isolated is logged, in the kernel passed over.
  private func migrateRest(from start: FrameNumber, _ attempt: inout OfflineAttempt, by process: Process)
    -> Int
  {
    let cpu = process.processor
    var list = FolioList()
    var referredTo: [FrameNumber] = []
    defer { for head in referredTo { folios.put(head, on: cpu) } }
    var unmoved = 0
    var index = start.index
    while index < attempt.range.endIndex {
      let frame = FrameNumber(index)
      index += 1
      guard let head = folios.tryGet(frame, processor: cpu) else { continue }
      index = max(index, head.index + memmap.folioPages(head))
      if folios.bystanderRefers(to: head, before: .offlinePass, on: cpu) { referredTo.append(head) }
      if migration.isolate(head, on: cpu) {
        list.pushLast(head, in: memmap)
      } else {
        unmoved += 1
        attempt.log("failed to isolate pfn \(String(frame.index, radix: 16))")
      }
      folios.put(head, on: cpu)
    }
    guard !list.isEmpty else { return unmoved }
    let outcome = migration.migratePages(
      &list, reason: .memoryHotplug, mode: .sync,
      target: .allocate(
        gfp: [.user, .movable, .retryMayFail], node: otherNode(than: attempt.zone.node)), for: process)
    attempt.movedPages += outcome.succeededPages
    let result = outcome.aborted.map { -Int($0.rawValue) } ?? outcome.remaining
    while let head = list.popFirst(in: memmap) {
      unmoved += 1
      attempt.log("migrating pfn \(String(head.index, radix: 16)) failed ret:\(result)")
      migration.putBack(head, on: cpu)
    }
    return unmoved
  }

  /// The node that is tried first for moved pages: the nearest other one with memory; nil if there is none.
  private func otherNode(than node: Int) -> Int? {
    machine.zonelists[node].first { $0.node != node && buddy.zone($0).isPopulated }?.node
  }

  /// The first huge page of a range.
  private func firstHugePage(in range: FrameRange) -> FrameNumber {
    range.frames.first { memmap.page($0).isHugetlb } ?? range.start
  }
}
