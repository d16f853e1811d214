import Interleaving

/// LRU lists and the per-CPU batches in front of them.
///
/// A folio in a batch has one extra reference and no PG_lru. That hidden reference makes migration fail, so
/// batches are drained in many places.
package struct LRU: Room {
  package let machine: Machine
}

extension Room {
  /// The LRU lists.
  @inline(__always)
  package var lru: LRU { LRU(machine: machine) }
}

extension LRU {
  /// Puts a folio that is on no list into this processor's batch.
  ///
  /// - Parameter drains: whether to empty the batch onto the lists at once, as a `drain` after it would.
  /// - Kernel: mm/swap.c:folio_add_lru (6.1)
  package func add(_ head: FrameNumber, on processor: Int, drains: Bool = false) {
    folios.get(head)
    let cpu = machine.processor(processor)
    cpu.batchLock.withLock {
      let count = cpu.batchCount
      cpu.setBatchEntry(count, head)
      cpu.batchCount = count + 1
      // A large folio is worth a drain of its own, and while batches are disabled no folio may wait in one.
      if drains || count + 1 == Processor.batchCapacity || memmap.page(head).isLarge
        || global.lruBatchesDisabled.load() > 0
      {
        flushBatch(cpu, on: processor)
      }
    }
  }

  /// Empties one processor's batch onto the lists.
  ///
  /// - Kernel: mm/swap.c:lru_add_drain_cpu (6.1); without the batches for rotation, deactivation, lazy
  ///   freeing and activation.
  package func drain(processor: Int, on current: Int) {
    let cpu = machine.processor(processor)
    cpu.batchLock.withLock { flushBatch(cpu, on: current) }
  }

  /// Empties this processor's batch.
  ///
  /// - Kernel: mm/swap.c:lru_add_drain (6.1)
  package func drain(for process: Process) {
    counters.bump(.lruDrainLocal, on: process)
    drain(processor: process.processor, on: process.processor)
    trace?(.drain(allProcessors: false))
  }

  /// Empties every processor's batch.
  ///
  /// - Kernel: mm/swap.c:lru_add_drain_all (6.1)
  package func drainAll(for process: Process) {
    counters.bump(.lruDrainAll, on: process)
    for index in 0..<configuration.processors { drain(processor: index, on: process.processor) }
    trace?(.drain(allProcessors: true))
  }

  /// Keeps folios out of the batches until `enableBatches`; calls nest.
  ///
  /// - Kernel: mm/swap.c:lru_cache_disable (6.1); without waiting for readers of the count (RCU): they hold
  ///   the batch lock here.
  package func disableBatches(for process: Process) {
    global.lruBatchesDisabled.fetchAdd(1)
    drainAll(for: process)
  }

  /// Ends one `disableBatches`.
  ///
  /// - Kernel: include/linux/swap.h:lru_cache_enable (6.1)
  package func enableBatches() { global.lruBatchesDisabled.fetchAdd(UInt32.max) }

  /// Takes a folio off its list; the caller holds a reference, and gets one more if this succeeds.
  ///
  /// PG_lru is the token: the thread that clears it owns the folio's place on the list.
  ///
  /// - Kernel: mm/vmscan.c:folio_isolate_lru (6.1)
  /// - Kernel: mm/folio-compat.c:isolate_lru_page (6.1); without tail pages.
  package func isolate(_ head: FrameNumber, on processor: Int) -> Bool {
    if failures.shouldFail(.isolation) { return false }
    guard memmap.page(head).testAndClear(.lru) else { return false }
    folios.get(head)
    unlink(head, on: processor)
    return true
  }

  /// The list that a folio belongs on.
  ///
  /// - Kernel: include/linux/mm_inline.h:folio_lru_list (6.1)
  private func list(of head: FrameNumber) -> LRUList {
    let flags = memmap.page(head).flags
    if flags.contains(.unevictable) { return .unevictable }
    if flags.contains(.swapBacked) { return flags.contains(.active) ? .activeAnon : .inactiveAnon }
    return flags.contains(.active) ? .activeFile : .inactiveFile
  }

  // MARK: - Activation

  /// Records an access: the first one makes a folio referenced, the next one active.
  ///
  /// The caller holds a reference. In Linux folios wait in a batch before they move to the active list; here
  /// they move at once.
  ///
  /// - Kernel: mm/swap.c:folio_mark_accessed (6.1); without the multi-generational LRU,
  ///   workingset_activation, PG_idle.
  /// - Kernel: mm/swap.c:folio_activate (6.1); without a batch: the folio moves at once.
  package func markAccessed(_ head: FrameNumber, on processor: Int) {
    let folio = memmap.page(head)
    guard folio.has(.referenced) else {
      folio.set(.referenced)
      return
    }
    guard !folio.has(.unevictable), !folio.has(.active) else { return }
    if folio.testAndClear(.lru) {
      let node = machine.node(folio.node)
      node.lruLock.withLock {
        remove(head, node, on: processor)
        folio.set(.active)
        link(head, node, on: processor)
      }
    } else {
      activateInBatch(head, on: processor)
    }
    folio.clear(.referenced)
  }

  /// Makes a folio active that waits in this processor's batch; any other stays as it is.
  ///
  /// - Kernel: mm/swap.c:__lru_cache_activate_folio (6.1)
  private func activateInBatch(_ head: FrameNumber, on processor: Int) {
    let cpu = machine.processor(processor)
    cpu.batchLock.withLock {
      if (0..<cpu.batchCount).contains(where: { cpu.batchEntry($0) == head }) {
        memmap.page(head).set(.active)
      }
    }
  }

  // MARK: - Lists

  /// Moves the folios of a batch to the lists and drops the batch's references.
  ///
  /// - Kernel: mm/swap.c:folio_batch_move_lru (6.1); without batches other than that of new folios.
  /// - Kernel: mm/swap.c:lru_add_fn (6.1); without mlocked and unevictable folios.
  private func flushBatch(_ cpu: Processor, on processor: Int) {
    for i in 0..<cpu.batchCount {
      let head = cpu.batchEntry(i)
      let node = machine.node(memmap.page(head).node)
      node.lruLock.withLock { link(head, node, on: processor) }
      folios.put(head, on: processor)
    }
    cpu.batchCount = 0
  }

  /// Adds a folio to its list and sets PG_lru.
  ///
  /// - Locks: the caller holds the node's LRU lock.
  /// - Kernel: include/linux/mm_inline.h:lruvec_add_folio (6.1); without the multi-generational LRU.
  private func link(_ head: FrameNumber, _ node: Node, on processor: Int) {
    let folio = memmap.page(head)
    let which = list(of: head)
    var list = node.list(which)
    list.pushFirst(head, in: memmap)
    countList(which, head, by: 1, on: processor)
    folio.set(.lru)
  }

  private func unlink(_ head: FrameNumber, on processor: Int) {
    let node = machine.node(memmap.page(head).node)
    node.lruLock.withLock { remove(head, node, on: processor) }
  }

  /// Removes a folio from its list whose last reference is gone.
  ///
  /// - Kernel: mm/swap.c:__page_cache_release (6.1)
  func removeDying(_ head: FrameNumber, on processor: Int) {
    let node = machine.node(memmap.page(head).node)
    node.lruLock.withLock {
      if memmap.page(head).testAndClear(.lru) { remove(head, node, on: processor) }
    }
  }

  /// Removes a folio from its list.
  ///
  /// - Locks: the caller holds the node's LRU lock.
  /// - Kernel: include/linux/mm_inline.h:lruvec_del_folio (6.1); without the multi-generational LRU.
  private func remove(_ head: FrameNumber, _ node: Node, on processor: Int) {
    let folio = memmap.page(head)
    let which = list(of: head)
    var list = node.list(which)
    list.remove(head, in: memmap)
    // A dump of a page that is on no list shows no neighbours.
    folio.next = .none
    folio.previous = .none
    countList(which, head, by: -1, on: processor)
  }

  /// Counts a folio's pages on or off a list, in the node and in the zone.
  ///
  /// - Kernel: include/linux/mm_inline.h:update_lru_size (6.1); without memory control groups.
  private func countList(_ list: LRUList, _ head: FrameNumber, by sign: Int, on processor: Int) {
    let pages = sign * memmap.folioPages(head)
    let zone = memmap.page(head).zone
    counters.count(list.counter, node: zone.node, by: pages, on: processor)
    machine.processor(processor).count(list, zone: zone).addAsOwner(UInt64(bitPattern: Int64(pages)))
  }
}
