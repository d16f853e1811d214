import Interleaving

/// Putting a machine into the state that a host is in: what is used, by what kind of memory, how scattered.
///
/// Used when a machine is set up, before anything else runs on it.
extension Allocator {
  /// Takes a chunk of the largest order out of one zone, as separate frames without an owner; nil if the zone
  /// has none to spare.
  package func allocateChunk(of id: ZoneID, for process: Process) -> FrameNumber? {
    let gfp: GFPFlags =
      switch id.kind {
      case .dma: [.kernel, .dma, .thisNode, .noWarn, .noRetry]
      case .dma32: [.kernel, .dma32, .thisNode, .noWarn, .noRetry]
      case .normal: [.kernel, .thisNode, .noWarn, .noRetry]
      case .movable, .device: [.highUserMovable, .thisNode, .noWarn, .noRetry]
      }
    do {
      let head = try allocateFolio(order: geometry.maxOrder, gfp: gfp, node: id.node, for: process)
      guard memmap.page(head).zone == id else {
        freeChunk(head, order: geometry.maxOrder, for: process)
        return nil
      }
      memmap.page(head).refcount.store(0)
      return head
    } catch {
      return nil
    }
  }

  /// Frees a part of a chunk: 2^order frames without an owner.
  package func freeChunk(_ frame: FrameNumber, order: Int, for process: Process) {
    memmap.page(frame).refcount.store(0)
    free(frame, order: order, on: process.processor)
  }

  /// Sets the type of the pageblock that a chunk's frame is in.
  package func retypePageblock(of frame: FrameNumber, _ type: MigrateType) {
    let zone = buddy.zone(memmap.page(frame).zone)
    zone.lock.withLock { buddy.setPageblockType(of: frame, type) }
  }

  /// Makes a frame of a chunk memory of the kernel's own, which never moves.
  package func keepForKernel(_ frame: FrameNumber, for process: Process) {
    memmap.page(frame).refcount.store(1)
    memmap.page(frame).set(.slab)
    counters.count(.slabUnreclaimable, node: memmap.page(frame).zone.node, by: 1, on: process.processor)
  }
}
