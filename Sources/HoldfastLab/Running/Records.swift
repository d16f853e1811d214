import Holdfast
import HoldfastScenario
import Interleaving

/// Zones and blocks as a report shows them, counted from the tables.
extension Machine {
  /// Pinned pages by frame, from the ledger.
  var pinnedFrames: [FrameNumber] {
    var found: Set<FrameNumber> = []
    ledger.forEachRecord { record, frames in
      guard record.kind == Ledger.pinKind else { return }
      for frame in frames where frame != .none { found.insert(frame) }
    }
    return Array(found)
  }

  func zoneRecords() -> [ZoneRecord] {
    var pinned: [Int: Int64] = [:]
    for frame in pinnedFrames { pinned[memmap.page(frame).zone.rawValue, default: 0] += 1 }
    return zones.map { id in
      let zone = buddy.zone(id)
      let span = zone.span
      return ZoneRecord(
        node: id.node, zone: id.kind, startFrame: UInt64(span.start.rawValue),
        spanned: Int64(span.count), present: Int64(zone.present.load()),
        managed: Int64(zone.managed.load()), free: Int64(zone.free.load()), cma: Int64(zone.cma.load()),
        freeCMA: Int64(zone.freeCMA.load()), pinned: pinned[id.rawValue] ?? 0)
    }
  }

  func blockRecords() -> [BlockRecord] {
    var pinned: [Int: Int64] = [:]
    for frame in pinnedFrames { pinned[block(of: frame).rawValue, default: 0] += 1 }
    return (0..<blockCount).compactMap { index in
      let id = BlockID(rawValue: index)
      let row = blocks.block(id)
      guard row.state != .absent else { return nil }
      let use = row.state == .online ? self.use(of: id) : BlockUse()
      return BlockRecord(
        index: index, startFrame: UInt64(frames(of: id).start.rawValue),
        frames: UInt64(geometry.blockFrames), node: row.node,
        zone: row.state == .online ? row.zone?.kind : nil,
        state: row.state, whole: isWhole(id), free: use.free,
        movable: use.movable, pinned: pinned[index] ?? 0, unmovable: use.unmovable)
    }
  }

  /// Whether all frames of a block are memory of one zone.
  func isWhole(_ id: BlockID) -> Bool {
    blocks.block(id).zone != nil && blocks.block(id).present == geometry.blockFrames
  }

  /// The kinds of zones that frames of a block belong to.
  func zonesTouched(by id: BlockID) -> Set<ZoneKind> {
    if let zone = blocks.block(id).zone { return [zone.kind] }
    let range = frames(of: id)
    return Set(
      extents.filter {
        $0.frames.start.index < range.endIndex && $0.frames.endIndex > range.start.index
      }.map(\.zone.kind))
  }

  /// Frames of a block that are not in use.
  func freeFrames(in id: BlockID) -> Int64 { use(of: id).free }

  private struct BlockUse {
    var free: Int64 = 0
    var movable: Int64 = 0
    var unmovable: Int64 = 0
  }

  private func use(of id: BlockID) -> BlockUse {
    var use = BlockUse()
    let range = frames(of: id)
    var index = range.start.index
    while index < range.endIndex {
      let frame = FrameNumber(index)
      if observation.isDeferred(frame) {
        // Free since boot: its metadata does not exist yet.
        let end = min(range.endIndex, (index | (geometry.sectionFrames - 1)) + 1)
        use.free += Int64(observation.presentFrames(in: FrameRange(start: frame, count: end - index)))
        index = end
        continue
      }
      let descriptor = memmap.page(frame)
      switch descriptor.type {
      case .absent, .offline: index += 1
      case .buddy, .perCPU:
        use.free += 1 << Int64(descriptor.order)
        index += 1 << descriptor.order
      case .table:
        use.unmovable += 1
        index += 1
      case .none:
        let head = memmap.head(of: frame)
        let top = memmap.page(head)
        if top.mapping != .none || top.has(.lru) { use.movable += 1 } else { use.unmovable += 1 }
        index += 1
      }
    }
    return use
  }
}
