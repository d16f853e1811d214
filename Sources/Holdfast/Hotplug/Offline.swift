import Interleaving
import SystemPackage

/// What an attempt to take a block offline has done so far.
struct OfflineAttempt {
  let id: BlockID
  let range: FrameRange
  let zone: ZoneID
  let limits: OfflineLimits
  var passes = 0
  var movedPages = 0
  var messages: [String] = []
  /// The last stage that was entered.
  var stage = OfflineError.Stage.scan

  /// Keeps a message, at most ten of them: the kernel's rate limit lets a burst of ten through.
  mutating func log(_ message: @autoclosure () -> String) {
    if messages.count < 10 { messages.append(message()) }
  }

  /// Whether the caller allows one more pass.
  var mayGoOn: Bool { limits.passes.map { passes < $0 } ?? true }
}

/// Taking a memory block offline.
extension Machine {
  /// Moves everything out of a block and takes its frames away from the allocator.
  ///
  /// Tries as long as `limits` allow. Pages that are pinned, referred to or isolated by others are tried
  /// again, and other threads may run in between, until the pages are released, a signal is pending for
  /// `process`, or the passes are used up. A failed attempt leaves the block online, its pageblocks movable.
  ///
  /// - Parameters:
  ///   - id: the block.
  ///   - process: the process that asks; a signal to it ends the attempt.
  ///   - limits: how long to try; the kernel tries until a signal is pending.
  ///   - notify: a memory notifier, asked before pages are moved and told of the end.
  /// - Returns: passes made and pages moved.
  /// - Throws: EINVAL for a block that is not online or can never go offline, EBUSY where a frame cannot be
  ///   moved or the passes are used up, EINTR after a signal, a notifier's own error.
  /// - Locks: takes the hotplug lock; the caller holds no lock.
  /// - Kernel: drivers/base/memory.c:state_store (6.1); without "online" and its kinds (see `online`).
  @discardableResult
  public func offline(
    _ id: BlockID, by process: Process, limits: OfflineLimits = .kernel, notify: HotplugNotifier? = nil
  ) throws(OfflineError) -> OfflineReport {
    global.hotplugLock.lock()
    defer { global.hotplugLock.unlock() }
    tick()
    return try blocks.offline(id, by: process, limits: limits, notify: notify)
  }
}

extension Blocks {
  /// `offline` for a caller that holds the hotplug lock.
  ///
  /// - Kernel: mm/memory_hotplug.c:offline_pages (6.1); without memory groups, node states, and in the order
  ///   of events: MEM_CANCEL_OFFLINE is told before the isolation is undone (in the kernel after),
  ///   MEM_OFFLINE after the zone has shrunk (in the kernel before).
  /// - Kernel: drivers/base/memory.c:memory_block_offline (6.1); without the memory map on the memory itself.
  func offline(
    _ id: BlockID, by process: Process, limits: OfflineLimits, notify: HotplugNotifier?
  ) throws(OfflineError) -> OfflineReport {
    guard isBlock(id) else { throw refusal(id, .alignment, .noSuchBlock) }
    let block = block(id)
    guard block.state == .online else { throw refusal(id, .state, .wrongState(block.state)) }
    guard block.present == geometry.blockFrames else {
      throw refusal(id, .holes, .holes(present: block.present, of: geometry.blockFrames))
    }
    guard let zone = block.zone else { throw refusal(id, .zone, .severalZones) }
    var attempt = OfflineAttempt(id: id, range: machine.frames(of: id), zone: zone, limits: limits)
    if !asks(notify), offlineUntouched(attempt.range, from: zone) {
      setState(id, .goingOffline)
      leaveZone(id, zone, managed: attempt.range.count)
      setState(id, .offline)
      return OfflineReport(block: id, zone: zone, passes: 0, movedPages: 0, messages: [])
    }
    guard buddy.materialise(attempt.range) else { throw refusal(id, .holes, .noBytes) }
    setState(id, .goingOffline)
    allocator.disablePerCPULists(zone)
    lru.disableBatches(for: process)
    do {
      try empty(&attempt, by: process, notify)
    } catch {
      if isEnabled(.offlineListsBack) {
        lru.enableBatches()
        allocator.enablePerCPULists(zone)
      }
      setState(id, .online)
      throw error
    }
    commit(attempt)
    announce(.offline, to: notify)
    setState(id, .offline)
    return OfflineReport(
      block: id, zone: zone, passes: attempt.passes, movedPages: attempt.movedPages,
      messages: attempt.messages)
  }

  /// Isolates the block, asks the notifier and moves everything out; undoes the isolation if that fails.
  private func empty(
    _ attempt: inout OfflineAttempt, by process: Process, _ notify: HotplugNotifier?
  ) throws(OfflineError) {
    do {
      try isolation.isolateRange(attempt.range, for: .movable, memoryOffline: true, by: process)
    } catch {
      throw failure(attempt, .isolate, .isolation(error), around: error.frame)
    }
    do {
      try ask(notify, .goingOffline)
    } catch {
      // As in the kernel, a notifier that was asked before the refusal is told that the block stays online.
      announce(.cancelOffline, to: notify)
      if isEnabled(.offlineUndo) { isolation.undoIsolation(attempt.range, to: .movable) }
      throw failure(attempt, .notify, .vetoed(error))
    }
    do {
      try moveEverything(&attempt, by: process)
    } catch {
      announce(.cancelOffline, to: notify)
      if isEnabled(.offlineUndo) { isolation.undoIsolation(attempt.range, to: .movable) }
      throw error
    }
  }

  /// Takes an isolated block, all free, away from its zone.
  ///
  /// Cannot fail.
  ///
  /// - Kernel: mm/page_alloc.c:__offline_isolated_pages (6.1)
  private func commit(_ attempt: OfflineAttempt) {
    let range = attempt.range
    let zone = buddy.zone(attempt.zone)
    var alreadyAway = 0
    zone.lock.withLock {
      var index = range.start.index
      while index < range.endIndex {
        let frame = FrameNumber(index)
        let page = memmap.page(frame)
        if page.type == .buddy {
          index += 1 << page.order
          buddy.removeFromFreeList(frame)
        } else {
          if page.type == .offline { alreadyAway += 1 }
          index += 1
        }
      }
      // The pageblocks' marks are reset too: an absent pageblock has no type, and zeroed memory reads as
      // movable.
      for start in stride(from: range.start.index, to: range.endIndex, by: geometry.pageblockFrames) {
        buddy.setPageblockType(of: FrameNumber(start), .movable)
      }
      buddy.add(-(range.count / geometry.pageblockFrames), to: zone.isolatedPageblocks)
    }
    lru.enableBatches()
    allocator.enablePerCPULists(attempt.zone)
    memmap.page(range.start).row.raw
      .initializeMemory(as: UInt8.self, repeating: 0, count: range.count * PageRow.stride)
    setSections(of: range, .absent)
    leaveZone(attempt.id, attempt.zone, managed: range.count - alreadyAway)
  }

  /// Takes a block away from the allocator of which no frame was ever allocated.
  ///
  /// Its sections are free and have no metadata, so nothing has to be moved.
  ///
  /// - Returns: false if any of it was allocated, is reserved, or belongs to a CMA area.
  private func offlineUntouched(_ range: FrameRange, from id: ZoneID) -> Bool {
    let zone = buddy.zone(id)
    return zone.lock.withLock {
      let sections = range.start.index >> geometry.sectionOrder..<range.endIndex >> geometry.sectionOrder
      let pageblocks = stride(from: range.start.index, to: range.endIndex, by: geometry.pageblockFrames)
      guard sections.allSatisfy({ buddy.sectionState($0) == .deferred }),
        pageblocks.allSatisfy({ buddy.pageblockType(of: FrameNumber($0)) == .movable }),
        buddy.reservedRuns(in: range).isEmpty
      else { return false }
      for section in sections { buddy.setSectionState(section, .absent) }
      buddy.add(-range.count, to: zone.deferred)
      buddy.add(-range.count, to: zone.free)
      return true
    }
  }

  /// Subtracts a block from its zone.
  ///
  /// The frames are no longer on any list of the allocator.
  ///
  /// - Kernel: mm/memory_hotplug.c:remove_pfn_range_from_zone (6.1); without the span of the node.
  /// - Kernel: mm/memory_hotplug.c:adjust_present_page_count (6.1); without memory groups, counts of the
  ///   node, present_early_pages.
  private func leaveZone(_ id: BlockID, _ zoneID: ZoneID, managed: Int) {
    let range = machine.frames(of: id)
    let zone = buddy.zone(zoneID)
    buddy.add(-managed, to: zone.managed)
    buddy.add(-range.count, to: zone.present)
    block(id).zone = nil
    shrinkSpan(of: zoneID, by: range)
    buddy.recomputeWatermarks()
  }

  // MARK: - Errors

  /// A refusal before anything was changed.
  private func refusal(_ id: BlockID, _ stage: OfflineError.Stage, _ cause: OfflineError.Cause)
    -> OfflineError
  {
    let range = machine.frames(of: id)
    let reason = OfflineError.kernelReason(stage, cause)
    let log = stage == .holes || stage == .zone
    return OfflineError(
      block: id, range: range, stage: stage, cause: cause, passes: 0, movedPages: 0, frames: [],
      frameTotal: 0, holders: [],
      messages: log ? ["memory offlining \(memoryText(range)) failed due to \(reason)"] : [])
  }

  /// A failure of an attempt, with what is in the way now.
  ///
  /// - Parameter frame: the frame that refused; without one everything in the block is looked at.
  func failure(
    _ attempt: OfflineAttempt, _ stage: OfflineError.Stage, _ cause: OfflineError.Cause,
    around frame: FrameNumber? = nil
  ) -> OfflineError {
    var stuck: (described: [StuckFrame], total: Int) = ([], 0)
    var place = attempt.range
    if let frame {
      let head = memmap.head(of: frame)
      let pages = memmap.folioPages(head)
      place = FrameRange(start: head, count: pages)
      if memmap.page(head).type != .buddy { stuck = ([migration.describeStuck(head, pages: pages)], 1) }
    } else if case .vetoed = cause {
    } else {
      stuck = migration.stuckFrames(in: place, memoryOffline: true)
    }
    let holders = stuck.total > 0 ? ledger.holders(of: place) : []
    let reason = OfflineError.kernelReason(stage, cause)
    return OfflineError(
      block: attempt.id, range: attempt.range, stage: stage, cause: cause, passes: attempt.passes,
      movedPages: attempt.movedPages, frames: stuck.described, frameTotal: stuck.total, holders: holders,
      messages: attempt.messages + ["memory offlining \(memoryText(attempt.range)) failed due to \(reason)"])
  }

  /// `[mem 0x08000000-0x0fffffff]`: a range in bytes, as the kernel's log writes it.
  private func memoryText(_ range: FrameRange) -> String {
    func hex(_ value: Int) -> String {
      let digits = String(value, radix: 16)
      return "0x" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
    return "[mem \(hex(range.start.index * pageSize))-\(hex(range.endIndex * pageSize - 1))]"
  }
}
