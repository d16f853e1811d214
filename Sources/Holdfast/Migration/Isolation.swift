import Interleaving

/// Isolation of folios for migration, wherever they are listed.
extension Migration {
  /// Isolates a folio for migration and counts it as isolated; a hugetlb folio is no longer migratable.
  package func isolate(_ head: FrameNumber, on processor: Int) -> Bool {
    let folio = memmap.page(head)
    let succeeded: Bool
    if folio.isHugetlb {
      succeeded = !failures.shouldFail(.isolation) && hugetlb.isolate(head, on: processor)
    } else {
      succeeded = lru.isolate(head, on: processor)
      if succeeded { countIsolated(head, by: 1, on: processor) }
    }
    if !succeeded { machine.processor(processor).event(.isolationFailures).addAsOwner(1) }
    trace?(.isolate(frame: head, succeeded: succeeded))
    return succeeded
  }

  /// Puts an isolated folio back onto the lists and drops the isolation's reference.
  ///
  /// - Kernel: mm/migrate.c:putback_movable_pages (6.1); without movable pages off the LRU.
  /// - Kernel: mm/vmscan.c:folio_putback_lru (6.1)
  package func putBack(_ head: FrameNumber, on processor: Int) {
    if memmap.page(head).isHugetlb {
      hugetlb.putBack(head, on: processor)
      return
    }
    countIsolated(head, by: -1, on: processor)
    lru.add(head, on: processor)
    folios.put(head, on: processor)
  }

  /// Adjusts NR_ISOLATED_ANON or NR_ISOLATED_FILE by a folio's pages.
  func countIsolated(_ head: FrameNumber, by sign: Int, on processor: Int) {
    let counter: NodeCounter = memmap.page(head).has(.swapBacked) ? .isolatedAnon : .isolatedFile
    counters.count(counter, node: memmap.page(head).node, by: sign * memmap.folioPages(head), on: processor)
  }
}
