import Interleaving

/// Which zone a block goes to when it comes online, and how the span of the zone changes.
///
/// - Locks: the callers hold the hotplug lock.
extension Machine {
  /// The words in a block's `valid_zones`.
  ///
  /// For an online block they name its zone, for an offline one the zones that it may go to.
  ///
  /// - Kernel: drivers/base/memory.c:valid_zones_show (6.1)
  public func validZones(of id: BlockID, policy: OnlinePolicy = .contiguousZones) -> String {
    guard blocks.isBlock(id) else { return "none" }
    let block = blocks.block(id)
    switch block.state {
    case .absent: return "none"
    case .online, .goingOffline: return block.zone.map(\.kind.description) ?? "none"
    case .offline:
      global.hotplugLock.lock()
      defer { global.hotplugLock.unlock() }
      var kinds: [ZoneKind] = []
      for kind in OnlineKind.allCases {
        let zone = blocks.zoneForOnline(id, as: kind, policy).kind
        if !kinds.contains(zone) { kinds.append(zone) }
      }
      return kinds.map(\.description).joined(separator: " ")
    }
  }
}

extension Blocks {
  /// The zone for an offline block.
  ///
  /// - Kernel: mm/memory_hotplug.c:zone_for_pfn_range (6.1); without memory groups.
  /// - Kernel: mm/memory_hotplug.c:default_zone_for_pfn (6.1)
  /// - Kernel: mm/memory_hotplug.c:auto_movable_zone_for_pfn (6.1); without memory groups.
  func zoneForOnline(_ id: BlockID, as kind: OnlineKind, _ policy: OnlinePolicy) -> ZoneID {
    let node = block(id).node
    let movable = ZoneID(node: node, kind: .movable)
    switch kind {
    case .kernel: return kernelZone(id)
    case .movable: return movable
    case .online: break
    }
    let kernel = kernelZone(id)
    switch policy {
    case .contiguousZones:
      let inKernel = spans(kernel, id)
      let inMovable = spans(movable, id)
      if inKernel != inMovable { return inKernel ? kernel : movable }
      if case .movableNodes = configuration.movable { return movable }
      return kernel
    case .autoMovable(let ratio, let perNode):
      let fits =
        ratio > 0 && movableStaysBelow(ratio, node: nil) && (!perNode || movableStaysBelow(ratio, node: node))
      return fits ? movable : kernel
    }
  }

  /// The lowest zone below ZONE_NORMAL that spans frames of the block, else ZONE_NORMAL.
  ///
  /// - Kernel: mm/memory_hotplug.c:default_kernel_zone_for_pfn (6.1)
  private func kernelZone(_ id: BlockID) -> ZoneID {
    let node = block(id).node
    for kind in [ZoneKind.dma, .dma32] where spans(ZoneID(node: node, kind: kind), id) {
      return ZoneID(node: node, kind: kind)
    }
    return ZoneID(node: node, kind: .normal)
  }

  /// Whether a zone spans any frame of a block, holes included.
  ///
  /// - Kernel: include/linux/mmzone.h:zone_intersects (6.1)
  private func spans(_ zone: ZoneID, _ id: BlockID) -> Bool {
    let span = buddy.zone(zone).span
    let range = machine.frames(of: id)
    return span.count > 0 && span.start.index < range.endIndex && range.start.index < span.endIndex
  }

  /// Whether one more block in ZONE_MOVABLE keeps to the ratio, of a node or of the machine.
  ///
  /// - Kernel: mm/memory_hotplug.c:auto_movable_can_online_movable (6.1); without memory groups.
  /// - Kernel: mm/memory_hotplug.c:auto_movable_stats_account_zone (6.1); without present_early_pages: boot
  ///   memory counts by the zone it booted in, in the kernel by its present zone.
  private func movableStaysBelow(_ ratio: Int, node: Int?) -> Bool {
    var movable = geometry.blockFrames
    var kernel = 0
    for node in node.map({ $0...$0 }) ?? 0...(configuration.nodes.count - 1) {
      for kind in ZoneKind.allCases where kind != .device {
        let zone = buddy.zone(ZoneID(node: node, kind: kind))
        if kind == .movable {
          movable += Int(zone.present.load(.relaxed))
        } else {
          // CMA memory serves movable allocations as well.
          movable += Int(zone.cma.load(.relaxed))
          kernel -= Int(zone.cma.load(.relaxed))
        }
      }
    }
    for extent in machine.extents
    where extent.zone.kind != .movable && (node ?? extent.zone.node) == extent.zone.node {
      kernel += onlineFrames(of: extent.frames)
    }
    return movable <= ratio * kernel / 100
  }

  /// Frames of boot memory that are still online.
  private func onlineFrames(of range: FrameRange) -> Int {
    var sum = 0
    var index = range.start.index
    while index < range.endIndex {
      let id = machine.block(of: FrameNumber(index))
      let upper = min(range.endIndex, machine.frames(of: id).endIndex)
      if block(id).state != .offline, block(id).state != .absent { sum += upper - index }
      index = upper
    }
    return sum
  }
}
