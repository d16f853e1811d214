import Interleaving

/// LRU lists and the per-processor batches in front of them (spec 7.1, 7.7).
///
/// A folio waits in a batch with one extra reference and without PG_lru; such a hidden reference makes
/// migration fail, which is why so much here is about draining.
extension Machine {
  /// Puts a folio that is on no list into this processor's batch (mm/swap.c:folio_add_lru, 6.1).
  ///
  /// - Parameter drains: whether to empty the batch onto the lists at once, as `drainLRU` after it would.
  func addToLRU(_ head: FrameNumber, on processor: Int, drains: Bool = false) {
    getFolio(head)
    let cpu = self.processor(processor)
    cpu.batchLock.withLock {
      let count = cpu.batchCount
      cpu.setBatchEntry(count, head)
      cpu.batchCount = count + 1
      // A large folio is worth a flush of its own, and while batches are off nothing may wait.
      if drains || count + 1 == Processor.batchCapacity || page(head).isLarge
        || global.lruBatchesDisabled.load() > 0
      {
        flushBatch(cpu, on: processor)
      }
    }
  }

  /// Empties one processor's batch onto the lists (lru_add_drain).
  package func drainLRU(processor: Int, on current: Int) {
    let cpu = self.processor(processor)
    cpu.batchLock.withLock { flushBatch(cpu, on: current) }
  }

  /// Empties this processor's batch.
  package func drainLRU(for process: Process) {
    bump(.lruDrainLocal, on: process)
    drainLRU(processor: process.processor, on: process.processor)
    trace?(.drain(allProcessors: false))
  }

  /// Empties every processor's batch (lru_add_drain_all).
  package func drainLRUAll(for process: Process) {
    bump(.lruDrainAll, on: process)
    for index in 0..<configuration.processors { drainLRU(processor: index, on: process.processor) }
    trace?(.drain(allProcessors: true))
  }

  /// Lets nothing wait in batches until `enableLRUBatches` (lru_cache_disable); nests.
  func disableLRUBatches(for process: Process) {
    global.lruBatchesDisabled.fetchAdd(1)
    drainLRUAll(for: process)
  }

  /// Ends one `disableLRUBatches`.
  func enableLRUBatches() { global.lruBatchesDisabled.fetchAdd(UInt32.max) }

  /// Takes a folio off its list: the caller holds a reference, and gets one more if this succeeds.
  ///
  /// PG_lru is the token: whoever clears it has the folio (mm/vmscan.c:folio_isolate_lru, 6.1).
  package func isolateFromLRU(_ head: FrameNumber, on processor: Int) -> Bool {
    if shouldFail(.isolation) { return false }
    guard page(head).testAndClear(.lru) else { return false }
    getFolio(head)
    unlink(head, on: processor)
    return true
  }

  /// Isolates a folio for migration and counts it as isolated; a hugetlb folio leaves its pool's active list.
  package func isolate(_ head: FrameNumber, on processor: Int) -> Bool {
    let descriptor = page(head)
    let succeeded: Bool
    if descriptor.isHugetlb {
      succeeded = !shouldFail(.isolation) && isolateHugetlb(head, on: processor)
    } else {
      succeeded = isolateFromLRU(head, on: processor)
      if succeeded { countIsolated(head, by: 1, on: processor) }
    }
    if !succeeded { self.processor(processor).event(.isolationFailures).addAsOwner(1) }
    trace?(.isolate(frame: head, succeeded: succeeded))
    return succeeded
  }

  /// Gives an isolated folio back to the lists, dropping the isolation reference (putback_movable_pages).
  package func putBack(_ head: FrameNumber, on processor: Int) {
    if page(head).isHugetlb {
      putBackHugetlb(head, on: processor)
      return
    }
    countIsolated(head, by: -1, on: processor)
    addToLRU(head, on: processor)
    putFolio(head, on: processor)
  }

  /// Adjusts NR_ISOLATED_ANON or NR_ISOLATED_FILE by a folio's pages.
  func countIsolated(_ head: FrameNumber, by sign: Int, on processor: Int) {
    let counter: NodeCounter = page(head).has(.swapBacked) ? .isolatedAnon : .isolatedFile
    count(counter, node: page(head).node, by: sign * folioPages(head), on: processor)
  }

  /// The pages of a folio, given its head.
  @inline(__always)
  package func folioPages(_ head: FrameNumber) -> Int {
    let descriptor = page(head)
    return descriptor.isLarge ? 1 << descriptor.order : 1
  }

  /// The list that a folio belongs on (folio_lru_list).
  package func lruList(of head: FrameNumber) -> LRUList {
    let flags = page(head).flags
    if flags.contains(.unevictable) { return .unevictable }
    if flags.contains(.swapBacked) { return flags.contains(.active) ? .activeAnon : .inactiveAnon }
    return flags.contains(.active) ? .activeFile : .inactiveFile
  }

  // MARK: - Activation

  /// Notes an access: the first one makes a folio referenced, the next one active (folio_mark_accessed, 6.1).
  ///
  /// The caller holds a reference. Linux lets folios wait in a batch before they move to the active list; here they
  /// move at once.
  func markAccessed(_ head: FrameNumber, on processor: Int) {
    let descriptor = page(head)
    guard descriptor.has(.referenced) else {
      descriptor.set(.referenced)
      return
    }
    guard !descriptor.has(.unevictable), !descriptor.has(.active) else { return }
    if descriptor.testAndClear(.lru) {
      let node = self.node(descriptor.node)
      node.lruLock.withLock {
        remove(head, node, on: processor)
        descriptor.set(.active)
        link(head, node, on: processor)
      }
    } else {
      activateInBatch(head, on: processor)
    }
    descriptor.clear(.referenced)
  }

  /// A folio that waits in this processor's batch will go to the active list; any other stays as it is.
  private func activateInBatch(_ head: FrameNumber, on processor: Int) {
    let cpu = self.processor(processor)
    cpu.batchLock.withLock {
      if (0..<cpu.batchCount).contains(where: { cpu.batchEntry($0) == head }) { page(head).set(.active) }
    }
  }

  // MARK: - Lists

  private func flushBatch(_ cpu: Processor, on processor: Int) {
    for i in 0..<cpu.batchCount {
      let head = cpu.batchEntry(i)
      let node = self.node(page(head).node)
      node.lruLock.withLock { link(head, node, on: processor) }
      putFolio(head, on: processor)
    }
    cpu.batchCount = 0
  }

  /// The caller holds the node's LRU lock.
  private func link(_ head: FrameNumber, _ node: Node, on processor: Int) {
    let descriptor = page(head)
    let which = lruList(of: head)
    let list = node.list(which)
    let first = list.first
    descriptor.previous = .none
    descriptor.next = first
    if first == .none { list.last = head } else { page(first).previous = head }
    list.first = head
    list.count += 1
    countList(which, head, by: 1, on: processor)
    descriptor.set(.lru)
  }

  private func unlink(_ head: FrameNumber, on processor: Int) {
    let node = self.node(page(head).node)
    node.lruLock.withLock { remove(head, node, on: processor) }
  }

  /// A folio that nobody refers to any more, but that a list still shows.
  func unlinkDying(_ head: FrameNumber, on processor: Int) {
    let node = self.node(page(head).node)
    node.lruLock.withLock {
      if page(head).testAndClear(.lru) { remove(head, node, on: processor) }
    }
  }

  /// The caller holds the node's LRU lock.
  private func remove(_ head: FrameNumber, _ node: Node, on processor: Int) {
    let descriptor = page(head)
    let which = lruList(of: head)
    let list = node.list(which)
    let (previous, next) = (descriptor.previous, descriptor.next)
    if previous == .none { list.first = next } else { page(previous).next = next }
    if next == .none { list.last = previous } else { page(next).previous = previous }
    descriptor.next = .none
    descriptor.previous = .none
    list.count -= 1
    countList(which, head, by: -1, on: processor)
  }

  private func countList(_ list: LRUList, _ head: FrameNumber, by sign: Int, on processor: Int) {
    let pages = sign * folioPages(head)
    let zone = page(head).zone
    count(list.counter, node: zone.node, by: pages, on: processor)
    self.processor(processor).count(list, zone: zone).addAsOwner(UInt64(bitPattern: Int64(pages)))
  }
}
