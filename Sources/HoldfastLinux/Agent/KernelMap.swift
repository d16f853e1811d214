import HoldfastScenario
import SystemPackage

/// Where the kernel's zones and memory blocks lie, as of its last reading.
struct KernelMap {
  private(set) var zones: [HostZone] = []
  private(set) var blocks: [HostMemoryBlock] = []
  private(set) var blockPages = 1 << 15

  init() throws(HostReadError) {
    let snapshot = try HostSnapshot.read(from: .live)
    zones = snapshot.zones
    blocks = snapshot.blocks
    blockPages = snapshot.pagesPerBlock
  }

  /// The zone that a frame lies in.
  func zone(of frame: UInt64) -> (zone: ZoneKind, node: Int)? {
    // The spans of two zones of a node may overlap after blocks changed zones: the block then knows better.
    let index = Int(frame) / blockPages
    if let block = blocks.first(where: { $0.index == index }), let name = block.zoneName,
      let zone = ZoneKind(kernelName: name)
    {
      return (zone, block.node ?? 0)
    }
    for zone in zones where zone.frames.contains(Int(frame)) {
      if let name = ZoneKind(kernelName: zone.name) { return (name, zone.node) }
    }
    return nil
  }

  /// How many frames lie in each zone, by the zone's name in scenarios.
  func count(_ frames: [UInt64?]) -> [String: Int64] {
    var counts: [String: Int64] = [:]
    for frame in frames {
      guard let frame, let (zone, _) = zone(of: frame) else { continue }
      counts[zone.rawValue, default: 0] += 1
    }
    return counts
  }

  var zoneRecords: [ZoneRecord] {
    zones.compactMap { zone in
      guard let name = ZoneKind(kernelName: zone.name) else { return nil }
      return ZoneRecord(
        node: zone.node, zone: name, startFrame: UInt64(zone.startFrame), spanned: Int64(zone.spanned),
        present: Int64(zone.present), managed: Int64(zone.managed), free: Int64(zone.free),
        cma: Int64(zone.cma), freeCMA: Int64(zone.counters["nr_free_cma"] ?? 0))
    }
  }

  var blockRecords: [BlockRecord] {
    blocks.map { block in
      BlockRecord(
        index: block.index, startFrame: UInt64(block.index * blockPages), frames: UInt64(blockPages),
        node: block.node ?? 0, zone: block.zoneName.flatMap(ZoneKind.init(kernelName:)),
        state: block.state, whole: block.zoneName != nil,
        free: nil, movable: nil, pinned: nil, unmovable: nil)
    }
  }

  /// The blocks that a selection means, ascending; the kernel does not say how full a block is, so a count means
  /// the highest.
  func pick(_ selection: Verb.BlockSelection, in state: BlockState) -> [Int] {
    if case .indices(let indices) = selection.pick { return indices.sorted() }
    let candidates = blocks.filter { block in
      guard block.state == state else { return false }
      if let node = selection.node, block.node != node { return false }
      guard let zone = selection.zone, state == .online else { return true }
      if let name = block.zoneName { return name == zone.kernelName }
      return selection.pick == .all && touches(block, zone)
    }.map(\.index).sorted()
    if case .count(let count) = selection.pick { return candidates.suffix(count) }
    return candidates
  }

  private func touches(_ block: HostMemoryBlock, _ zone: ZoneKind) -> Bool {
    let frames = block.index * blockPages..<(block.index + 1) * blockPages
    return zones.contains { $0.name == zone.kernelName && $0.frames.overlaps(frames) }
  }
}
