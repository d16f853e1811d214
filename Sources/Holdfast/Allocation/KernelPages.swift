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
    let number = process.processor
    let processor = processor(number)
    processor.calls.addAsOwner(1)
    let frame = try allocateInline(order, gfp, node, for: process, number, processor)
    if slab { makeSlab(frame, order, on: number) }
    return frame
  }

  @inline(never)
  private func makeSlab(_ frame: FrameNumber, _ order: Int, on processor: Int) {
    let page = page(frame)
    page.set(.slab)
    count(.slabUnreclaimable, node: page.zone.node, by: 1 << order, on: processor)
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
    let number = process.processor
    let processor = processor(number)
    processor.calls.addAsOwner(1)
    guard order >= 0, order <= geometry.maxOrder, frame.index < frameCount else {
      throw AllocationError(order: order, gfp: [], cause: .notAllocated(frame))
    }
    let page = page(frame)
    let word = page.flagWord.load(.acquire)
    guard page.state.isOf(.none), word & PageFlags.reserved.rawValue == 0, !page.isTail,
      page.refcount.load() > 0, word & PageFlags.head.rawValue == 0 || page.order == order
    else { throw AllocationError(order: order, gfp: [], cause: .notAllocated(frame)) }
    let isLast = page.refcount.fetchAdd(-1) == 1
    if isLast {
      processor.event(.pgfree).addAsOwner(1 &<< UInt64(truncatingIfNeeded: order))
      if giveQuickly(frame, order: order, on: number) { return }
    }
    finishFree(frame, order, word, isLast: isLast, on: number)
  }

  /// The rest of `free` where it is more than putting a block on a list; `word` is its flag word before.
  @inline(never)
  private func finishFree(_ frame: FrameNumber, _ order: Int, _ word: UInt64, isLast: Bool, on processor: Int) {
    if isLast {
      if word & PageFlags.slab.rawValue != 0 {
        count(.slabUnreclaimable, node: PageFlags.node(of: word), by: -(1 << order), on: processor)
      }
      returnBlock(frame, order: order, on: processor)
    } else if word & PageFlags.head.rawValue == 0 {
      for part in (0..<order).reversed() { freeBlock(frame + 1 << part, order: part, on: processor) }
    }
  }
}
