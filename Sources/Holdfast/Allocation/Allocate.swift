import Interleaving

/// One allocation's request after the allocation scopes are applied.
struct AllocationRequest {
  var order: Int
  var gfp: GFPFlags
  var highest: ZoneKind
  var type: MigrateType
  var flags: AllocationFlags
  var node: Int
  var processor: Int
}

/// The page allocator: requests with their scopes and zonelists, per-CPU lists, the slow path.
package struct Allocator: Room {
  package let machine: Machine

  @inline(__always)
  package func perCPULists(_ processor: Int, _ zone: ZoneID) -> PerCPULists {
    perCPULists(at: (processor &* machine.layout.zones.count &+ zone.rawValue) &* PerCPUListsRow.stride)
  }

  /// The lists whose row begins at an offset in their table.
  @inline(__always)
  func perCPULists(at offset: Int) -> PerCPULists { PerCPULists(Row(machine.perCPUTable + offset)) }
}

extension Room {
  /// The page allocator.
  @inline(__always)
  package var allocator: Allocator { Allocator(machine: machine) }
}

extension Allocator {
  /// Allocates 2^order frames, aligned to their size.
  ///
  /// The first frame has one reference and no flag except, with `compound` and an order above 0, PG_head.
  /// With `zero` the contents are zeros, otherwise they are not changed. The process's allocation scopes
  /// apply.
  ///
  /// - Parameters:
  ///   - node: where to begin, or nil for the node of the process's processor.
  ///   - process: the process that allocates.
  /// - Throws: `AllocationError`, ENOMEM or EINVAL.
  /// - Locks: without `directReclaim` takes no lock of a rank below the page-table lock; with it, compaction
  ///   may take any lock from the page lock on.
  /// - Kernel: mm/page_alloc.c:__alloc_pages (6.1); without cpusets, memory control groups, node masks.
  /// - Kernel: mm/page_alloc.c:__folio_alloc (6.1); without adding __GFP_COMP, which callers give,
  ///   prep_transhuge_page.
  package func allocateFolio(
    order: Int, gfp: GFPFlags, node: Int? = nil, for process: Process
  ) throws(AllocationError) -> FrameNumber {
    let number = process.processor
    let cpu = machine.processor(number)
    var frame = FrameNumber.none
    if process.scope.isEmpty, node == nil || node == cpu.node {
      frame =
        order == 0 ? popQuickly(0, gfp, cpu, on: number) : popQuickly(order, gfp, cpu, on: number)
    }
    if frame == .none { frame = try search(order, gfp, node ?? cpu.node, for: process) }
    prepare(frame, order, gfp)
    return frame
  }

  /// Turns a chunk that came off a list into an allocation.
  ///
  /// - Kernel: mm/page_alloc.c:prep_new_page (6.1); without debugging checks, page owners.
  /// - Kernel: mm/page_alloc.c:post_alloc_hook (6.1); without KASAN, page poisoning, page owners.
  @inline(__always)
  func prepare(_ frame: FrameNumber, _ order: Int, _ gfp: GFPFlags) {
    let page = memmap.page(frame)
    page.state = PageState(order: order, type: .none, listType: .unmovable)
    if order > 0, gfp.contains(.compound) { prepareCompound(frame, order) }
    if gfp.contains(.zero) { folios.zero(frame, count: 1 &<< order) }
    // The last step: from here on a lockless walker that still knows the frame can take a reference.
    page.refcount.store(1)
  }

  /// Finds a chunk if the per-CPU list has none, and counts it.
  ///
  /// - Kernel: mm/page_alloc.c:prepare_alloc_pages (6.1); without cpusets, the spreading of dirty pages.
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
    guard home >= 0, home < machine.layout.nodes.count else {
      throw AllocationError(order: order, gfp: gfp, cause: .noSuchNode(count: machine.layout.nodes.count))
    }
    if failures.shouldFail(.allocation) { throw AllocationError(order: order, gfp: gfp, cause: .injected) }

    var request = AllocationRequest(
      order: order, gfp: limited, highest: highest, type: type, flags: .low, node: home, processor: number)
    if mayUseCMA(type, scope) { request.flags.formUnion(.cma) }
    if avoidsFragmenting(request) { request.flags.formUnion(.noFragment) }
    var frame = allocate(request)
    if frame == .none { frame = try allocateSlowly(request, asked: gfp, for: process) }
    machine.processor(number).allocations(
      fromKind: PageFlags.zoneKind(of: memmap.page(frame).flagWord.load(.relaxed))
    )
    .addAsOwner(1 &<< UInt64(truncatingIfNeeded: order))
    return frame
  }

  /// Whether an allocation may come from CMA pageblocks.
  ///
  /// Only what can be migrated away again may. Under the policies before 5.13 an allocation in a pin scope
  /// may not (PF_MEMALLOC_NOCMA).
  ///
  /// - Kernel: mm/page_alloc.c:gfp_to_alloc_flags_cma (6.1)
  @inline(__always)
  func mayUseCMA(_ type: MigrateType, _ scope: AllocationScope) -> Bool {
    type == .movable && (policy.scopeClearsMovable || !scope.contains(.pin))
  }

  /// Whether to look in lower zones before types are mixed in a pageblock.
  ///
  /// That is so if ZONE_NORMAL is preferred, on a machine of one node or a node with ZONE_DMA32.
  ///
  /// - Kernel: mm/page_alloc.c:alloc_flags_nofragment (6.1)
  @inline(__always)
  private func avoidsFragmenting(_ request: AllocationRequest) -> Bool {
    if request.highest < .normal { return false }
    if request.highest == .movable && buddy.zone(ZoneID(node: request.node, kind: .movable)).isManaged {
      return false
    }
    guard buddy.zone(ZoneID(node: request.node, kind: .normal)).isManaged else { return false }
    return machine.layout.nodes.count == 1 || buddy.zone(ZoneID(node: request.node, kind: .dma32)).isManaged
  }

  /// One attempt on all zones allowed, the node's own first.
  ///
  /// - Kernel: mm/page_alloc.c:get_page_from_freelist (6.1); without cpusets, dirty limits, node reclaim.
  @inline(__always)
  func allocate(_ request: AllocationRequest) -> FrameNumber {
    var kind = request.highest.number
    while kind >= 0 {
      let id = ZoneID(rawValue: request.node &* ZoneKind.count &+ kind)
      let zone = buddy.zone(id)
      if zone.isManaged && buddy.watermarkPasses(id, zone, request.order, request.highest, request.flags) {
        let frame = allocate(request, id, zone)
        if frame != .none { return frame }
      }
      kind &-= 1
    }
    return allocateElsewhere(request)
  }

  /// The rest of an attempt: once more with types mixed in a pageblock, then on other nodes.
  @inline(never)
  private func allocateElsewhere(_ request: AllocationRequest) -> FrameNumber {
    var request = request
    if request.flags.contains(.noFragment) {
      request.flags.subtract(.noFragment)
      return allocate(request)
    }
    if request.gfp.contains(.thisNode) { return .none }
    for id in machine.zonelists[request.node]
    where id.node != request.node && id.kind <= request.highest && buddy.zone(id).isManaged {
      let zone = buddy.zone(id)
      if buddy.watermarkPasses(id, zone, request.order, request.highest, request.flags) {
        let frame = allocate(request, id, zone)
        if frame != .none { return frame }
      }
    }
    return .none
  }

  /// Takes a chunk from one zone.
  ///
  /// - Kernel: mm/page_alloc.c:rmqueue (6.1); without waking kswapd after a watermark was boosted.
  @inline(__always)
  private func allocate(_ request: AllocationRequest, _ id: ZoneID, _ zone: Zone) -> FrameNumber {
    var frame = FrameNumber.none
    // The per-CPU list of movable chunks may hold CMA pages.
    if request.type != .movable || request.flags.contains(.cma) {
      let index = perCPUIndex(request.order, request.type)
      if index >= 0 {
        frame = allocatePerCPU(index, request, id, zone)
      }
    }
    if frame == .none { frame = buddy.allocate(request.order, request.type, request.flags, id, zone) }
    if frame != .none && request.flags.contains(.highAtomic) { buddy.reserveHighAtomic(frame, zone) }
    return frame
  }

  /// Makes a chunk of order 1 or more a large folio.
  ///
  /// - Kernel: mm/page_alloc.c:prep_compound_page (6.1)
  private func prepareCompound(_ frame: FrameNumber, _ order: Int) {
    memmap.page(frame).order = order
    memmap.page(frame).set(.head)
    for offset in 1..<(1 &<< order) { memmap.page(frame + offset).headOffset.store(UInt32(offset)) }
  }

  // MARK: - Giving back

  /// Frees 2^order frames without references, to the per-CPU list or the buddy lists.
  ///
  /// Clears the remaining flags and the marks of a folio's head and tails.
  ///
  /// - Locks: takes the per-CPU lock and the zone lock.
  /// - Kernel: mm/page_alloc.c:free_the_page (6.1)
  /// - Kernel: mm/page_alloc.c:free_pages_prepare (6.1); without bad_page, memory control groups, page
  ///   poisoning, KASAN.
  package func free(_ frame: FrameNumber, order: Int, on processor: Int) {
    machine.processor(processor).event(.pgfree).addAsOwner(1 &<< UInt64(truncatingIfNeeded: order))
    let page = memmap.page(frame)
    if order == 0, page.state.isAllocated(order: 0),
      listQuickly(frame, page, 0, perCPULists(processor, zoneOf: page.flagWord.load(.relaxed)))
    {
      return
    }
    freeCounted(frame, order: order, on: processor)
  }

  /// `free`, for a caller that has counted the frames as freed.
  func freeCounted(_ frame: FrameNumber, order: Int, on processor: Int) {
    let page = memmap.page(frame)
    assert(page.refcount.load(.relaxed) == 0, "\(frame) is freed while it is referenced")
    assert(page.type == .none || page.type == .table, "\(frame) is freed twice")
    let word = page.flagWord.load(.relaxed)
    if word & PageFlags.clearedAtFree.rawValue != 0 { page.clear(.clearedAtFree) }
    if order > 0 { clearTails(frame, order) }
    let id = page.zone
    let zone = buddy.zone(id)
    if freePerCPU(frame, order, id, zone, processor) { return }
    buddy.free(frame, order: order, zone)
  }

  /// Makes the tails of a large folio plain frames again.
  @inline(__always)
  private func clearTails(_ frame: FrameNumber, _ order: Int) {
    if memmap.page(frame + 1).headOffset.load(.relaxed) == 0 { return }
    for offset in 1..<(1 &<< order) { memmap.page(frame + offset).headOffset.store(0) }
  }
}

extension Zone {
  /// Whether any memory of the zone belongs to the buddy allocator.
  @inline(__always)
  var isManaged: Bool { managed.load(.relaxed) > 0 }
}
