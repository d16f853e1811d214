import Interleaving

/// What is tried after no zone passed the low watermark.
extension Allocator {
  /// Orders up to this one are not costly (PAGE_ALLOC_COSTLY_ORDER).
  private static var costlyOrder: Int { 3 }

  /// Tries the min watermark, the reserves, compaction, the per-CPU lists and the HIGHATOMIC reserve.
  ///
  /// There is nothing to reclaim: no swap and no file on disk. Linux would reclaim for up to sixteen rounds
  /// and then kill a process; this gives up after the one retry that follows reclaim.
  ///
  /// - Kernel: mm/page_alloc.c:__alloc_pages_slowpath (6.1); without reclaim, the OOM killer, kswapd,
  ///   cpusets, retries, the second compaction with __GFP_NORETRY or after an early one,
  ///   gfp_compaction_allowed (__GFP_IO), the early end of costly __GFP_NORETRY requests. A request with
  ///   __GFP_NOFAIL ignores the watermarks at the end and may fail, where the kernel gives it
  ///   ALLOC_MIN_RESERVE and retries without end.
  /// - Kernel: mm/page_alloc.c:__alloc_pages_direct_reclaim (6.1); without reclaim itself: per-CPU lists are
  ///   drained and a HIGHATOMIC pageblock is released.
  /// - Kernel: mm/page_alloc.c:__gfp_pfmemalloc_flags (6.1); without __GFP_MEMALLOC, softirqs, OOM victims.
  @inline(never)
  func allocateSlowly(
    _ first: AllocationRequest, asked: GFPFlags, for process: Process
  ) throws(AllocationError) -> FrameNumber {
    var request = first
    let scope = process.scope
    if !policy.scopeInFastPath {
      // Before 5.13 only the slow path applied the scopes.
      request.gfp = request.gfp.limited(by: scope, clearsMovable: policy.scopeClearsMovable)
      request.highest = request.gfp.highestZone ?? request.highest
      request.type = request.gfp.migrateType ?? request.type
    }
    request.flags = slowFlags(request, scope)
    let waits = request.gfp.contains(.directReclaim)
    var frame = allocateAgain(request)
    if frame != .none { return frame }

    let mayCompact = waits && request.order > 0 && !scope.contains(.memalloc)
    let early = mayCompact && (request.order > Self.costlyOrder || request.type != .movable)
    if early {
      frame = compactAndAllocate(request, for: process)
      if frame != .none { return frame }
    }
    if scope.contains(.memalloc) && !request.gfp.contains(.noMemalloc) {
      request.flags.formUnion(.noWatermarks)
      frame = allocateAgain(request)
      if frame != .none { return frame }
    }
    if waits && !scope.contains(.memalloc) {
      let zones = zonesTried(request)
      for id in zones { drainPerCPULists(id) }
      frame = allocateAgain(request)
      if frame != .none { return frame }
      if buddy.unreserveHighAtomic(zones, type: request.type, force: true) {
        frame = allocateAgain(request)
        if frame != .none { return frame }
      }
      if mayCompact && !early && !request.gfp.contains(.noRetry) {
        frame = compactAndAllocate(request, for: process)
        if frame != .none { return frame }
      }
      if request.gfp.contains(.noFail) {
        request.flags.formUnion(.noWatermarks)
        frame = allocateAgain(request)
        if frame != .none { return frame }
      }
    }
    throw AllocationError(
      order: request.order, gfp: asked, cause: .noMemory(refusals(of: request)))
  }

  @inline(never)
  private func allocateAgain(_ request: AllocationRequest) -> FrameNumber { allocate(request) }

  /// The rights of the slow path.
  ///
  /// - Kernel: mm/page_alloc.c:gfp_to_alloc_flags (6.1); without cpusets, real-time tasks, kswapd, the
  ///   condition that only a request with ALLOC_MIN_RESERVE gets ALLOC_HIGHATOMIC.
  private func slowFlags(_ request: AllocationRequest, _ scope: AllocationScope) -> AllocationFlags {
    var flags = AllocationFlags()
    if request.gfp.contains(.high) { flags.formUnion(.minReserve) }
    if !request.gfp.contains(.directReclaim) && !request.gfp.contains(.noMemalloc) {
      flags.formUnion(.nonBlock)
      if request.order > 0 { flags.formUnion(.highAtomic) }
    }
    if mayUseCMA(request.type, scope) { flags.formUnion(.cma) }
    return flags
  }

  /// Compacts the zones that the request may use, one after the other, until one of them can serve it.
  ///
  /// - Kernel: mm/page_alloc.c:__alloc_pages_direct_compact (6.1); without capture. It tries to allocate
  ///   after each zone, the kernel after the last one.
  /// - Kernel: mm/compaction.c:try_to_compact_pages (6.1); without the deferral of zones in which compaction
  ///   failed, the priority, gfp_compaction_allowed; one call runs both modes.
  private func compactAndAllocate(_ request: AllocationRequest, for process: Process) -> FrameNumber {
    // Allocations of the compaction itself must not compact again.
    let previous = process.scope
    process.scope.formUnion(.memalloc)
    var frame = FrameNumber.none
    for id in zonesTried(request) {
      _ = compaction.compact(zone: id, order: request.order, by: process)
      drainPerCPULists(id)
      frame = allocateAgain(request)
      if frame != .none { break }
    }
    process.scope = previous
    return frame
  }

  /// The zones that a request may use, in the order of the attempt.
  private func zonesTried(_ request: AllocationRequest) -> [ZoneID] {
    machine.zonelists[request.node].filter { id in
      id.kind <= request.highest && buddy.zone(id).isManaged
        && (id.node == request.node || !request.gfp.contains(.thisNode))
    }
  }

  /// What every populated zone lacked for the request.
  private func refusals(of request: AllocationRequest) -> [ZoneRefusal] {
    let tried = zonesTried(request)
    return machine.zonelists[request.node].compactMap { id in
      guard buddy.zone(id).isManaged else { return nil }
      guard tried.contains(id) else { return ZoneRefusal(zone: id, reason: .notAllowed) }
      let reason = buddy.refusal(id, request.order, request.highest, request.flags)
      return ZoneRefusal(zone: id, reason: reason)
    }
  }
}
