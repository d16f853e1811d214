import Interleaving

extension Buddy {
  /// Computes watermarks, lowmem reserves and the sizes of per-CPU lists from the zones' managed frames.
  ///
  /// A lowmem reserve is what a lower zone keeps from requests that a higher one could serve.
  ///
  /// - Locks: the caller holds the hotplug lock, except at boot.
  /// - Kernel: mm/page_alloc.c:init_per_zone_wmark_min (6.1); without khugepaged's recommended minimum,
  ///   thresholds of statistics.
  /// - Kernel: mm/page_alloc.c:calculate_min_free_kbytes (6.1); without subtracting the high watermarks from
  ///   the managed pages (nr_free_zone_pages).
  /// - Kernel: mm/page_alloc.c:__setup_per_zone_wmarks (6.1); without highmem zones, WMARK_PROMO, boosts.
  package func recomputeWatermarks() {
    let zones = (0..<machine.layout.zones.count).map { ZoneID(rawValue: $0) }
    func managed(_ id: ZoneID) -> Int { Int(zone(id).managed.load(.relaxed)) }
    // In 6.1 ZONE_MOVABLE gets its share of the watermarks, but does not raise their sum.
    let total = zones.reduce(0) { $0 + managed($1) }
    let low = zones.reduce(0) { $0 + ($1.kind <= .normal ? managed($1) : 0) }
    let kibibytes = configuration.minFreeKiB ?? min(max(Self.squareRoot(low * 4 * 16), 128), 262_144)
    for id in zones {
      let zone = zone(id)
      let frames = managed(id)
      let minimum = total == 0 ? 0 : kibibytes / 4 * frames / total
      let step = max(minimum / 4, frames * 10 / 10_000)
      for index in 0..<3 { zone.watermark(index).store(UInt64(minimum + index * step), .relaxed) }
      protect(id, managed: managed)
      sizeLists(id, managed: frames, low: minimum + step)
    }
    allocator.routeAllocations()
  }

  /// Sets the lowmem reserves of a zone.
  ///
  /// - Kernel: mm/page_alloc.c:setup_per_zone_lowmem_reserve (6.1)
  private func protect(_ id: ZoneID, managed: (ZoneID) -> Int) {
    let zone = zone(id)
    let ratio: Int? =
      switch id.kind {
      case .dma, .dma32: 256
      case .normal: 32
      case .movable, .device: nil
      }
    var above = 0
    for kind in ZoneKind.allCases {
      var kept = 0
      if kind > id.kind {
        above += managed(ZoneID(node: id.node, kind: kind))
        if let ratio, managed(id) > 0 { kept = above / ratio }
      }
      zone.protection(kind).store(UInt64(kept), .relaxed)
    }
  }

  /// Sets the batch and the limit of a zone's per-CPU lists.
  ///
  /// - Kernel: mm/page_alloc.c:zone_batchsize (6.1)
  /// - Kernel: mm/page_alloc.c:zone_highsize (6.1); without percpu_pagelist_high_fraction.
  /// - Kernel: mm/page_alloc.c:zone_set_pageset_high_and_batch (6.1)
  private func sizeLists(_ id: ZoneID, managed: Int, low: Int) {
    var batch = max(min(managed >> 10, 256) / 4, 1)
    batch += batch / 2
    batch = max(1 << (Int.bitWidth - 1 - batch.leadingZeroBitCount) - 1, 1)
    let local = configuration.nodes[id.node].processors
    let high = max(low / (local > 0 ? local : configuration.processors), batch * 4)
    zone(id).perCPUBatch.store(UInt32(batch), .relaxed)
    zone(id).perCPUHigh.store(UInt32(clamping: high), .relaxed)
    for processor in 0..<configuration.processors { allocator.limitLists(processor, id) }
  }

  /// The square root, rounded down.
  private static func squareRoot(_ value: Int) -> Int {
    var root = Int(Double(value).squareRoot())
    while root * root > value { root -= 1 }
    while (root + 1) * (root + 1) <= value { root += 1 }
    return root
  }
}
