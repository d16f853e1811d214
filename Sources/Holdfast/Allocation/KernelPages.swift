import Interleaving

/// Allocations as a driver or the kernel itself makes them: alloc_pages and __free_pages.
extension Machine {
  /// Allocates 2^order frames in the way of the kernel's alloc_pages.
  ///
  /// - Parameters:
  ///   - node: where to begin, or nil for the node of the process's processor.
  ///   - slab: whether the frames become slab memory: never movable, never to be pinned.
  ///   - process: who allocates; its allocation scopes hold.
  /// - Throws: `AllocationError`, ENOMEM or EINVAL.
  public func allocate(
    order: Int = 0, gfp: GFPFlags = .kernel, node: Int? = nil, slab: Bool = false, by process: Process
  ) throws(AllocationError) -> FrameNumber {
    tick(on: process.processor)
    let frame = try allocateFolio(order: order, gfp: gfp, node: node, for: process)
    if slab {
      let page = page(frame)
      page.set(.slab)
      count(.slabUnreclaimable, node: page.zone.node, by: 1 << order, on: process.processor)
    }
    return frame
  }

  /// Drops the reference of `allocate`, and frees the frames if it was the last one.
  ///
  /// If somebody else still holds a reference on the first frame, a folio stays as a whole; of frames
  /// without a head all but the first are freed at once (mm/page_alloc.c:__free_pages, 6.1).
  ///
  /// - Throws: `AllocationError` (EINVAL) if the frame is not the first one of an allocation.
  public func free(
    _ frame: FrameNumber, order: Int = 0, by process: Process
  ) throws(AllocationError) {
    let processor = process.processor
    tick(on: processor)
    guard order >= 0, order <= geometry.maxOrder, frame.index < frameCount else {
      throw AllocationError(order: order, gfp: [], cause: .notAllocated(frame))
    }
    let page = page(frame)
    let word = page.flagWord.load(.acquire)
    let state = page.state
    let large = word & PageFlags.head.rawValue != 0
    guard state.isOf(.none), word & PageFlags.reserved.rawValue == 0, !page.isTail,
      page.refcount.load() > 0, !large || state.order == order
    else { throw AllocationError(order: order, gfp: [], cause: .notAllocated(frame)) }
    if page.refcount.fetchAdd(-1) == 1 {
      if word & PageFlags.slab.rawValue != 0 {
        count(.slabUnreclaimable, node: PageFlags.node(of: word), by: -(1 << order), on: processor)
      }
      giveBack(frame, order: order, on: processor)
    } else if !large {
      for part in (0..<order).reversed() { freeBlock(frame + 1 << part, order: part, on: processor) }
    }
  }
}
