import Interleaving

/// Position of a scanner for movable folios, and what it has counted.
package struct MigrateScan {
  /// The frame to look at next, as an index.
  var next: Int
  /// Frames looked at, and pages isolated.
  var scanned = 0
  var isolated = 0
}

/// Taking movable folios off their lists a batch at a time: for contiguous allocation and for compaction.
extension Migration {
  /// Pages that a batch holds at least before it is moved (COMPACT_CLUSTER_MAX).
  private static let isolationBatch = 32

  /// What a scanner may take.
  package enum ScanPurpose {
    /// A range that must become empty: folios of every size, huge pages of the pool too.
    case wholeRange
    /// Compaction: small folios only, because a large one is no fragmentation.
    case compaction
  }

  /// Isolates movable folios from the scan's position on, until a batch is full or the end is reached.
  ///
  /// Skips what a migration could not move: anonymous pages with more references than mappings, pinned ones
  /// among them, and pages under writeback where the mode must not wait for it.
  ///
  /// - Kernel: mm/compaction.c:isolate_migratepages_block (6.1); without too_many_isolated, skip hints, the
  ///   signal check, movable pages off the LRU, the test for __GFP_FS, a replacement for a free huge page
  ///   (isolate_or_dissolve_huge_page). A reference is taken before PG_lru is looked at, in the kernel after.
  /// - Kernel: mm/compaction.c:isolate_migratepages_range (6.1); without the test that a pageblock lies in
  ///   the zone.
  package func isolateBatch(
    _ scan: inout MigrateScan, upTo end: Int, into list: inout FolioList, _ purpose: ScanPurpose,
    mode: MigrationMode, by process: Process
  ) {
    let cpu = process.processor
    var pages = 0
    while scan.next < end, pages < Self.isolationBatch {
      let frame = FrameNumber(scan.next)
      scan.next += 1
      scan.scanned += 1
      if purpose == .wholeRange, memmap.page(frame).has(.head), memmap.page(frame).refcount.load() == 0 {
        let folio = FrameRange(start: frame, count: memmap.folioPages(frame))
        _ = hugetlb.dissolveFree(in: folio, on: cpu)
      }
      guard let head = folios.tryGet(frame, processor: cpu) else { continue }
      let size = memmap.folioPages(head)
      let after = head.index + size
      scan.scanned += max(0, min(after, end) - scan.next)
      scan.next = max(scan.next, after)
      let isReferredTo = folios.bystanderRefers(to: head, before: .rangeScan, on: cpu)
      if isWorthMoving(head, size, purpose, mode), isolate(head, on: cpu) {
        list.pushLast(head, in: memmap)
        pages += size
        scan.isolated += size
      }
      folios.put(head, refs: isReferredTo ? 2 : 1, on: cpu)
    }
  }

  /// Whether a folio could be moved as far as its counts tell; the caller holds a reference to it.
  private func isWorthMoving(
    _ head: FrameNumber, _ pages: Int, _ purpose: ScanPurpose, _ mode: MigrationMode
  ) -> Bool {
    let folio = memmap.page(head)
    if folio.isHugetlb { return purpose == .wholeRange }
    if pages > 1, purpose == .compaction { return false }
    guard folio.has(.lru) else { return false }
    if mode == .async, folio.has(.writeback) { return false }
    return folio.mapping.object != nil
      || Int(folio.refcount.load()) - 1 <= folios.expectedReferences(of: head).total
  }
}
