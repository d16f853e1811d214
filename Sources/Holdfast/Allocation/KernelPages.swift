import Interleaving

/// Allocations of drivers and of the kernel itself.
extension Machine {
  /// Allocates 2^order frames as a driver or the kernel does.
  ///
  /// - Parameters:
  ///   - order: the exponent of the number of frames.
  ///   - gfp: where the frames may lie, and what the allocation may do to get them.
  ///   - node: where to begin, or nil for the node of the process's processor.
  ///   - slab: whether the frames become slab memory, which is never movable and never pinned.
  ///   - process: the process that allocates; its allocation scopes apply.
  /// - Throws: `AllocationError`, ENOMEM or EINVAL.
  /// - Kernel: mm/mempolicy.c:alloc_pages (6.1); without memory policies.
  public func allocate(
    order: Int = 0, gfp: GFPFlags = .kernel, node: Int? = nil, slab: Bool = false, by process: Process
  ) throws(AllocationError) -> FrameNumber {
    let number = process.processor
    let cpu = processor(number)
    cpu.calls.addAsOwner(1)
    if node == nil, !slab, process.scope.isEmpty, gfp.isDisjoint(with: [.compound, .zero]) {
      let frame =
        order == 0
        ? allocator.allocateQuickly(0, gfp, cpu, on: number)
        : allocator.allocateQuickly(order, gfp, cpu, on: number)
      if frame != .none { return frame }
    }
    return try allocator.allocateCarefully(order, gfp, node, slab, process)
  }

  /// Drops the reference of `allocate`, and frees the frames if it was the last one.
  ///
  /// If there is another reference to the first frame, a folio stays as a whole; of frames without a head all
  /// except the first are freed at once.
  ///
  /// - Throws: `AllocationError` (EINVAL) if the frame is not the first one of an allocation.
  /// - Kernel: mm/page_alloc.c:__free_pages (6.1)
  public func free(
    _ frame: FrameNumber, order: Int = 0, by process: Process
  ) throws(AllocationError) {
    let number = process.processor
    let cpu = processor(number)
    cpu.calls.addAsOwner(1)
    var refused = false
    if frame.index < frameCount,
      order == 0
        ? allocator.freeQuickly(frame, 0, cpu, on: number, refused: &refused)
        : allocator.freeQuickly(frame, order, cpu, on: number, refused: &refused)
    {
      if refused { allocator.freeCounted(frame, order: order, on: number) }
    } else {
      try allocator.freeCarefully(frame, order, on: number)
    }
  }
}

extension Allocator {
  /// `allocate` for every request.
  @inline(never)
  fileprivate func allocateCarefully(
    _ order: Int, _ gfp: GFPFlags, _ node: Int?, _ slab: Bool, _ process: Process
  ) throws(AllocationError) -> FrameNumber {
    let frame = try search(order, gfp, node ?? machine.processor(process.processor).node, for: process)
    prepare(frame, order, gfp)
    if slab {
      let page = memmap.page(frame)
      page.set(.slab)
      counters.count(.slabUnreclaimable, node: page.node, by: 1 << order, on: process.processor)
    }
    return frame
  }

  /// `free` for every kind of allocation.
  @inline(never)
  fileprivate func freeCarefully(
    _ frame: FrameNumber, _ order: Int, on processor: Int
  ) throws(AllocationError) {
    guard order >= 0, order <= geometry.maxOrder, memmap.hasMetadata(frame),
      !memmap.page(frame).has(.reserved),
      memmap.page(frame).type == .none, !memmap.page(frame).isTail, memmap.page(frame).refcount.load() > 0,
      !memmap.page(frame).isLarge || memmap.page(frame).order == order
    else { throw AllocationError(order: order, gfp: [], cause: .notAllocated(frame)) }
    let page = memmap.page(frame)
    let large = page.isLarge
    let slab = page.has(.slab)
    if page.refcount.fetchAdd(-1) == 1 {
      if slab { counters.count(.slabUnreclaimable, node: page.node, by: -(1 << order), on: processor) }
      free(frame, order: order, on: processor)
    } else if !large {
      for part in (0..<order).reversed() { free(frame + 1 << part, order: part, on: processor) }
    }
  }
}
