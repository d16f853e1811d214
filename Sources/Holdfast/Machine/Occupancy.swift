import Interleaving

/// Putting a machine into the state that a host is in: what is used, by what kind of memory, how scattered.
///
/// Used by whoever sets a machine up, before anything else runs on it.
extension Machine {
  /// Takes a block of the largest order out of one zone, as separate frames without an owner; nil if the zone
  /// has none to spare.
  package func takeChunk(of id: ZoneID, for process: Process) -> FrameNumber? {
    let gfp: GFPFlags =
      switch id.kind {
      case .dma: [.kernel, .dma, .thisNode, .noWarn, .noRetry]
      case .dma32: [.kernel, .dma32, .thisNode, .noWarn, .noRetry]
      case .normal: [.kernel, .thisNode, .noWarn, .noRetry]
      case .movable, .device: [.highUserMovable, .thisNode, .noWarn, .noRetry]
      }
    do {
      let head = try allocateFolio(order: geometry.maxOrder, gfp: gfp, node: id.node, for: process)
      guard page(head).zone == id else {
        putChunk(head, order: geometry.maxOrder, for: process)
        return nil
      }
      page(head).refcount.store(0)
      return head
    } catch {
      return nil
    }
  }

  /// Frees a part of a chunk: 2^order frames without an owner.
  package func putChunk(_ frame: FrameNumber, order: Int, for process: Process) {
    page(frame).refcount.store(0)
    freeBlock(frame, order: order, on: process.processor)
  }

  /// Sets the type of the pageblock that a chunk's frame is in.
  package func retypePageblock(of frame: FrameNumber, _ type: MigrateType) {
    let zone = zone(page(frame).zone)
    zone.lock.withLock { setPageblockType(of: frame, type) }
  }

  /// Makes a frame of a chunk memory of the kernel's own, which never moves.
  package func keepForKernel(_ frame: FrameNumber, for process: Process) {
    page(frame).refcount.store(1)
    page(frame).set(.slab)
    count(.slabUnreclaimable, node: page(frame).zone.node, by: 1, on: process.processor)
  }

  /// An object whose cached pages stand for the movable memory of a host's programs.
  package func makeHostObject(pages: UInt64) -> RowID? { newObject(.host, pages: pages, isPrivate: false) }

  /// Makes a frame of a chunk a page of such an object; false if there is no memory for the cache's tables.
  package func keepInCache(
    _ frame: FrameNumber, of object: RowID, at index: UInt64, swapBacked: Bool, for process: Process
  ) -> Bool {
    let descriptor = page(frame)
    descriptor.refcount.store(1)
    descriptor.lock.lock()
    descriptor.set(swapBacked ? [.uptodate, .swapBacked] : [.uptodate])
    guard case .inserted = insertCached(object, index, frame, for: process) else {
      descriptor.lock.unlock()
      return false
    }
    descriptor.lock.unlock()
    addToLRU(frame, on: process.processor)
    putFolio(frame, on: process.processor)
    return true
  }
}
