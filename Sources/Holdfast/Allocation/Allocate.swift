import Interleaving

/// What one allocation asks for, once scopes are applied.
struct AllocationRequest {
  var order: Int
  var gfp: GFPFlags
  var highest: ZoneKind
  var type: MigrateType
  var flags: AllocationFlags
  var node: Int
  var processor: Int
}

/// The allocator's entry points and its fast path.
extension Machine {
  /// Allocates 2^order frames, aligned to their size.
  ///
  /// The first frame has one reference and no flag but, with `compound` and an order above 0, PG_head; contents
  /// are zeros with `zero`, else whatever they were. The process's allocation scopes hold. Without
  /// `directReclaim` no lock of a rank below the page-table lock is taken; with it, compaction may take any
  /// from the page lock on. (mm/page_alloc.c:__alloc_pages, 6.1; spec 2.6)
  ///
  /// - Parameters:
  ///   - node: where to begin, or nil for the node of the process's processor.
  ///   - process: who allocates.
  /// - Throws: `AllocationError`, ENOMEM or EINVAL.
  package func allocateFolio(
    order: Int, gfp: GFPFlags, node: Int? = nil, for process: Process
  ) throws(AllocationError) -> FrameNumber {
    let number = process.processor
    let cpu = processor(number)
    var frame = FrameNumber.none
    if process.scope.isEmpty, node == nil || node == cpu.node {
      frame =
        order == 0 ? takeQuickly(0, gfp, cpu, on: number) : takeQuickly(order, gfp, cpu, on: number)
    }
    if frame == .none { frame = try search(order, gfp, node ?? cpu.node, for: process) }
    prepare(frame, order, gfp)
    return frame
  }

  /// Makes a block that came off a list an allocation.
  @inline(__always)
  func prepare(_ frame: FrameNumber, _ order: Int, _ gfp: GFPFlags) {
    let page = page(frame)
    page.state = PageState(order: order, type: .none, listType: .unmovable)
    if order > 0, gfp.contains(.compound) { prepareCompound(frame, order) }
    if gfp.contains(.zero) { zeroContents(frame, count: 1 &<< order) }
    // Last: a lockless walker that still knows the frame can get it from here on.
    page.refcount.store(1)
  }

  /// The long way to a block, which it counts.
  @inline(never)
  func search(
    _ order: Int, _ gfp: GFPFlags, _ home: Int, for process: Process
  ) throws(AllocationError) -> FrameNumber {
    let scope = process.scope
    let number = process.processor
    var limited = gfp
    if !scope.isEmpty, policy.scopeInFastPath {
      limited = gfp.limited(by: scope, clearsMovable: policy.scopeClearsMovable)
    }
    guard let highest = limited.highestZone, let type = limited.migrateType else {
      throw AllocationError(order: order, gfp: gfp, cause: .illegalFlags)
    }
    guard order >= 0, order <= geometry.maxOrder else {
      throw AllocationError(order: order, gfp: gfp, cause: .orderOutOfRange(largest: geometry.maxOrder))
    }
    guard home >= 0, home < layout.nodeCount else {
      throw AllocationError(order: order, gfp: gfp, cause: .noSuchNode(count: layout.nodeCount))
    }
    if shouldFail(.allocation) { throw AllocationError(order: order, gfp: gfp, cause: .injected) }

    var request = AllocationRequest(
      order: order, gfp: limited, highest: highest, type: type, flags: .low, node: home, processor: number)
    if mayUseCMA(type, scope) { request.flags.formUnion(.cma) }
    if avoidsFragmenting(request) { request.flags.formUnion(.noFragment) }
    var frame = take(request)
    if frame == .none { frame = try allocateSlowly(request, asked: gfp, for: process) }
    processor(number).allocations(fromKind: PageFlags.zoneKind(of: page(frame).flagWord.load(.relaxed)))
      .addAsOwner(1 &<< UInt64(truncatingIfNeeded: order))
    return frame
  }

  /// Whether an allocation may come from CMA pageblocks: only what can be migrated away again, and under the
  /// policies before 5.13 not in a pin scope (PF_MEMALLOC_NOCMA).
  @inline(__always)
  func mayUseCMA(_ type: MigrateType, _ scope: AllocationScope) -> Bool {
    type == .movable && (policy.scopeClearsMovable || !scope.contains(.pin))
  }

  /// Whether to look in lower zones before mixing types in a pageblock: if ZONE_NORMAL is preferred, on a machine
  /// of one node or a node with ZONE_DMA32 (mm/page_alloc.c:alloc_flags_nofragment, 6.1).
  @inline(__always)
  private func avoidsFragmenting(_ request: AllocationRequest) -> Bool {
    if request.highest < .normal { return false }
    if request.highest == .movable && zone(ZoneID(node: request.node, kind: .movable)).isManaged {
      return false
    }
    guard zone(ZoneID(node: request.node, kind: .normal)).isManaged else { return false }
    return layout.zoneCount == 5 || zone(ZoneID(node: request.node, kind: .dma32)).isManaged
  }

  /// One attempt on all zones allowed, the node's own first (mm/page_alloc.c:get_page_from_freelist, 6.1).
  @inline(__always)
  func take(_ request: AllocationRequest) -> FrameNumber {
    var kind = request.highest.rawValue
    while kind >= 0 {
      let id = ZoneID(rawValue: request.node &* 5 &+ kind)
      let zone = zone(id)
      if zone.isManaged && watermarkPasses(id, zone, request.order, request.highest, request.flags) {
        let frame = take(request, id, zone)
        if frame != .none { return frame }
      }
      kind &-= 1
    }
    return takeElsewhere(request)
  }

  /// The rest of an attempt: again with fragmentation, then on other nodes.
  @inline(never)
  private func takeElsewhere(_ request: AllocationRequest) -> FrameNumber {
    var request = request
    if request.flags.contains(.noFragment) {
      request.flags.subtract(.noFragment)
      return take(request)
    }
    if request.gfp.contains(.thisNode) { return .none }
    for id in zonelists[request.node]
    where id.node != request.node && id.kind <= request.highest && zone(id).isManaged {
      let zone = zone(id)
      if watermarkPasses(id, zone, request.order, request.highest, request.flags) {
        let frame = take(request, id, zone)
        if frame != .none { return frame }
      }
    }
    return .none
  }

  /// Takes a block from one zone (mm/page_alloc.c:rmqueue, 6.1).
  @inline(__always)
  private func take(_ request: AllocationRequest, _ id: ZoneID, _ zone: Zone) -> FrameNumber {
    var frame = FrameNumber.none
    // The list of MOVABLE blocks may hold CMA pages.
    if request.type != .movable || request.flags.contains(.cma) {
      let index = perCPUIndex(request.order, request.type)
      if index >= 0 {
        frame = takePerCPU(index, request.order, request.type, request.flags, id, zone, request.processor)
      }
    }
    if frame == .none { frame = takeFromBuddy(request.order, request.type, request.flags, id, zone) }
    if frame != .none && request.flags.contains(.highAtomic) { reserveHighAtomic(frame, zone) }
    return frame
  }

  /// Makes a block of order 1 or more a large folio.
  package func prepareCompound(_ frame: FrameNumber, _ order: Int) {
    page(frame).order = order
    page(frame).set(.head)
    for offset in 1..<(1 &<< order) { page(frame + offset).headOffset.store(UInt32(offset)) }
  }

  // MARK: - Giving back

  /// Gives back 2^order frames that nobody references any more, to the processor's list or the buddy lists.
  ///
  /// Clears what is left of flags and of a folio's head and tails. Takes the per-CPU and zone locks.
  /// (mm/page_alloc.c:free_unref_page and __free_pages_ok, 6.1)
  package func freeBlock(_ frame: FrameNumber, order: Int, on processor: Int) {
    self.processor(processor).event(.pgfree).addAsOwner(1 &<< UInt64(truncatingIfNeeded: order))
    let page = page(frame)
    if order == 0, page.state.isAllocated(order: 0),
      listQuickly(frame, page, 0, perCPULists(processor, zoneOf: page.flagWord.load(.relaxed)))
    {
      return
    }
    returnBlock(frame, order: order, on: processor)
  }

  /// `freeBlock`, for a caller that has counted the frames as freed.
  func returnBlock(_ frame: FrameNumber, order: Int, on processor: Int) {
    let page = page(frame)
    assert(page.refcount.load(.relaxed) == 0, "\(frame) is freed while it is referenced")
    assert(page.type == .none || page.type == .table, "\(frame) is freed twice")
    let word = page.flagWord.load(.relaxed)
    if word & PageFlags.clearedAtFree.rawValue != 0 { page.clear(.clearedAtFree) }
    if order > 0 { clearTails(frame, order) }
    let id = page.zone
    let zone = zone(id)
    if givePerCPU(frame, order, id, zone, processor) { return }
    returnToBuddy(frame, order: order, zone)
  }

  /// Makes the tails of a large folio plain frames again.
  @inline(__always)
  private func clearTails(_ frame: FrameNumber, _ order: Int) {
    if page(frame + 1).headOffset.load(.relaxed) == 0 { return }
    for offset in 1..<(1 &<< order) { page(frame + offset).headOffset.store(0) }
  }
}

extension Zone {
  /// Whether the buddy allocator has anything of the zone.
  @inline(__always)
  var isManaged: Bool { managed.load(.relaxed) > 0 }
}
