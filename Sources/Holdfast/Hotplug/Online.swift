import Interleaving
public import SystemPackage

/// Why a block cannot be added or brought online.
public struct OnlineError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reason for the refusal.
  public enum Cause: Hashable, Sendable {
    /// The range is empty or does not consist of whole blocks.
    case misaligned(frames: Int)
    /// The machine has no such node.
    case noSuchNode(Int)
    /// The tables have no room for it.
    case outsideMachine(blocks: Int)
    /// Some of the range is memory already.
    case alreadyPresent
    /// The block is not offline.
    case wrongState(BlockState)
    /// A notifier refused.
    case vetoed(Errno)
    /// The host has no memory for the block.
    case host(Errno)
  }

  /// The first block of the range.
  public let block: BlockID
  /// The reason.
  public let cause: Cause

  /// The kernel's errno.
  public var errno: Errno {
    switch cause {
    case .misaligned, .noSuchNode, .outsideMachine, .wrongState: .invalidArgument
    case .alreadyPresent: .fileExists
    case .vetoed(let errno), .host(let errno): errno
    }
  }

  /// One sentence.
  public var description: String {
    switch cause {
    case .misaligned(let frames):
      "memory cannot be added at \(block): the range must be whole blocks of \(frames) frames, one at least"
    case .noSuchNode(let node): "memory cannot be added at \(block): the machine has no node \(node)"
    case .outsideMachine(let blocks):
      "memory cannot be added at \(block): the machine has room for memory0 to memory\(blocks - 1)"
    case .alreadyPresent: "memory cannot be added at \(block): there is memory already"
    case .wrongState(let state): "\(block) cannot be brought into use: it is \(state), not offline"
    case .vetoed(let errno): "\(block) stays offline: a notifier refused (\(errno))"
    case .host(let errno): "\(block) stays offline: the host gives it no memory (\(errno))"
    }
  }
}

/// Bringing a memory block online.
extension Machine {
  /// Gives an offline block's frames to the allocator of a zone.
  ///
  /// All pageblocks of the block become movable, whatever the zone. Where frames have bytes and the block has
  /// none yet, the host is asked for them first.
  ///
  /// - Parameters:
  ///   - id: the block.
  ///   - kind: which zone.
  ///   - policy: how plain `online` chooses.
  ///   - process: the process that asks.
  ///   - notify: a memory notifier, asked before the block is used.
  /// - Returns: the zone that got the block.
  /// - Throws: EINVAL for a block that is not offline, a notifier's error, the host's error.
  /// - Locks: takes the hotplug lock; the caller holds no lock.
  /// - Kernel: drivers/base/memory.c:state_store (6.1); without "offline" (see `offline`).
  @discardableResult
  public func online(
    _ id: BlockID, as kind: OnlineKind = .online, policy: OnlinePolicy = .contiguousZones,
    by process: Process,
    notify: HotplugNotifier? = nil
  ) throws(OnlineError) -> ZoneID {
    global.hotplugLock.lock()
    defer { global.hotplugLock.unlock() }
    tick()
    return try blocks.online(id, as: kind, policy, notify)
  }

  // MARK: - Hot-add

  /// Adds memory to a node; its blocks are offline at first.
  ///
  /// - Throws: EINVAL for a range that is not whole blocks, exceeds the room that `hotplugFrames` made, or
  ///   names a node that the machine does not have; EEXIST if some of it is memory already.
  /// - Locks: takes the hotplug lock; the caller holds no lock.
  /// - Kernel: mm/memory_hotplug.c:add_memory (6.1)
  /// - Kernel: mm/memory_hotplug.c:add_memory_resource (6.1); without bringing a new node online, the memory
  ///   map on the memory itself, resources, onlining by default (mhp_default_online_type).
  /// - Kernel: mm/memory_hotplug.c:check_hotplug_memory_range (6.1)
  public func addMemory(_ range: FrameRange, node: Int) throws(OnlineError) {
    let first = block(of: range.start)
    let size = geometry.blockFrames
    guard range.count > 0, range.count % size == 0, range.start.index % size == 0 else {
      throw OnlineError(block: first, cause: .misaligned(frames: size))
    }
    guard configuration.nodes.indices.contains(node) else {
      throw OnlineError(block: first, cause: .noSuchNode(node))
    }
    guard range.endIndex <= frameCount else {
      throw OnlineError(block: first, cause: .outsideMachine(blocks: frameCount / size))
    }
    global.hotplugLock.lock()
    defer { global.hotplugLock.unlock() }
    tick()
    let blocks = (0..<range.count / size).map { BlockID(rawValue: first.rawValue + $0) }
    if let taken = blocks.first(where: {
      self.blocks.block($0).state != .absent || self.blocks.block($0).present > 0
    }) {
      throw OnlineError(block: taken, cause: .alreadyPresent)
    }
    for id in blocks { self.blocks.add(id, node: node) }
  }
}

extension Blocks {
  /// `online` for a caller that holds the hotplug lock.
  ///
  /// - Kernel: mm/memory_hotplug.c:online_pages (6.1); without memory groups, node states, rebuilding the
  ///   zonelists, shuffle_zone, and in the order of steps: the notifier is asked before the zone spans the
  ///   block, in the kernel after.
  /// - Kernel: drivers/base/memory.c:memory_block_online (6.1); without the memory map on the memory itself.
  func online(
    _ id: BlockID, as kind: OnlineKind, _ policy: OnlinePolicy, _ notify: HotplugNotifier?
  ) throws(OnlineError) -> ZoneID {
    guard isBlock(id) else {
      throw OnlineError(block: id, cause: .outsideMachine(blocks: machine.blockCount))
    }
    guard block(id).state == .offline else {
      throw OnlineError(block: id, cause: .wrongState(block(id).state))
    }
    if let store = machine.store {
      do { try store.populate(id) } catch { throw OnlineError(block: id, cause: .host(error)) }
    }
    do {
      try ask(notify, .goingOnline)
    } catch {
      announce(.cancelOnline, to: notify)
      throw OnlineError(block: id, cause: .vetoed(error))
    }
    let zoneID = zoneForOnline(id, as: kind, policy)
    freePages(machine.frames(of: id), to: zoneID)
    block(id).zone = zoneID
    // The state is set before the first allocation can get a page, so that no page of an offline block is in
    // use.
    setState(id, .online)
    isolation.undoIsolation(machine.frames(of: id), to: .movable)
    buddy.recomputeWatermarks()
    announce(.online, to: notify)
    return zoneID
  }

  /// Makes the metadata of new frames of a zone and gives them to its allocator, isolated and all free.
  ///
  /// Allocations can take them only when the isolation is undone, one whole pageblock at a time.
  ///
  /// - Kernel: mm/memory_hotplug.c:move_pfn_range_to_zone (6.1); without the span of the node, device memory.
  /// - Kernel: mm/memory_hotplug.c:online_pages_range (6.1); without an online page callback.
  /// - Kernel: mm/memory_hotplug.c:generic_online_page (6.1)
  private func freePages(_ range: FrameRange, to id: ZoneID) {
    for frame in range.frames { memmap.page(frame).initialise(zone: id, type: .none) }
    setSections(of: range, .made)
    growSpan(of: id, by: range)
    let zone = buddy.zone(id)
    zone.lock.withLock {
      for start in stride(from: range.start.index, to: range.endIndex, by: geometry.pageblockFrames) {
        buddy.setPageblockType(of: FrameNumber(start), .isolate)
      }
      buddy.add(range.count / geometry.pageblockFrames, to: zone.isolatedPageblocks)
      _ = buddy.freeRun(range.start.index, range.endIndex, in: zone)
    }
    buddy.add(range.count, to: zone.managed)
    buddy.add(range.count, to: zone.present)
  }

  /// Records whether the sections of a block have metadata.
  ///
  /// - Locks: the caller holds the hotplug lock.
  func setSections(of range: FrameRange, _ state: SectionState) {
    for start in stride(from: range.start.index, to: range.endIndex, by: geometry.sectionFrames) {
      buddy.setSectionState(start >> geometry.sectionOrder, state)
    }
  }

  /// Makes an absent block an offline one.
  ///
  /// - Locks: the caller holds the hotplug lock.
  /// - Kernel: drivers/base/memory.c:create_memory_block_devices (6.1); without devices in sysfs, memory
  ///   groups.
  func add(_ id: BlockID, node: Int) {
    block(id).node = node
    block(id).zone = nil
    block(id).present = geometry.blockFrames
    setState(id, .offline)
  }
}
