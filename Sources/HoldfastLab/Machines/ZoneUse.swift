import Holdfast
import HoldfastLinux

/// How a host uses a zone: frames in use by kind, and its free chunks by type and order.
struct ZoneUse {
  /// Frames on LRU lists: anonymous and file memory, which can move.
  private var anon: Int
  private var file: Int
  /// Frames in use otherwise: the kernel's own, which cannot.
  private var kernel: Int
  /// Free chunks of each order below the largest, by type.
  private var free: [MigrateType: [Int]] = [:]
  /// Pageblocks of the types that are not movable.
  private var pageblocks: [MigrateType: Int] = [:]

  init(_ zone: HostZone, _ snapshot: HostSnapshot) {
    let used = max(0, zone.managed - zone.free)
    func counter(_ name: String) -> Int { Int(clamping: zone.counters[name] ?? 0) }
    anon = min(used, counter("nr_zone_inactive_anon") + counter("nr_zone_active_anon"))
    file = min(
      used - anon,
      counter("nr_zone_inactive_file") + counter("nr_zone_active_file") + counter("nr_zone_unevictable"))
    // What ZONE_MOVABLE holds beside LRU memory waits in per-CPU lists: it is free.
    kernel = zone.name == ZoneKind.movable.description ? 0 : used - anon - file
    let types = snapshot.pageTypes
    for row in types?.free ?? [] where row.node == zone.node && row.zone == zone.name {
      guard let type = Self.type(row.type) else { continue }
      free[type] = Array(row.counts.dropLast())
    }
    for row in types?.blocks ?? [] where row.node == zone.node && row.zone == zone.name {
      for (name, count) in row.counts {
        // In ZONE_MOVABLE, pageblocks of other types are those of reserved memory.
        guard zone.name != ZoneKind.movable.description, let type = Self.type(name), type != .movable else {
          continue
        }
        pageblocks[type] = count
      }
    }
    if types == nil,
      let row = snapshot.freeBlocks.first(where: { $0.node == zone.node && $0.zone == zone.name })
    {
      free[.movable] = Array(row.counts.dropLast())
    }
  }

  private static func type(_ name: String) -> MigrateType? {
    let known: [MigrateType] = [.unmovable, .movable, .reclaimable]
    return known.first { $0.description == name }
  }

  /// Allocates frames of a zone so that its free memory is as fragmented as the host's.
  ///
  /// A used frame between two free chunks keeps them from merging. If the host uses too few frames for that, chunks
  /// merge, and the machine is less fragmented than the host.
  func apply(to id: ZoneID, of machine: Machine, for process: Process) throws {
    var rest = self
    var source = ChunkSource(id, machine, process)
    for type in [MigrateType.unmovable, .reclaimable] {
      let blocks = pageblocks[type] ?? 0
      guard blocks > 0 else { continue }
      rest.fill(type, pageblocks: blocks, &source)
    }
    guard rest.anon + rest.file + rest.kernel > 0 || source.hasLeftover else { return }
    let object = machine.pageCache.makeHostObject(pages: UInt64(anon + file + 1))
    rest.fillMovable(&source, object)
    source.freeLeftover()
  }

  /// Fills pageblocks of a type with the kernel's frames, leaving its free chunks between them.
  private mutating func fill(_ type: MigrateType, pageblocks: Int, _ source: inout ChunkSource) {
    let size = source.machine.geometry.pageblockFrames
    var blocks = Holes(free[type] ?? [], limit: pageblocks * size)
    for _ in 0..<pageblocks {
      guard let first = source.nextPageblock() else { return }
      source.machine.allocator.retypePageblock(of: first, type)
      var offset = 0
      while offset < size {
        if let order = blocks.next(at: offset, size: size, canSeparate: kernel > 0) {
          source.machine.allocator.freeChunk(first + offset, order: order, for: source.process)
          offset += 1 << order
        } else if kernel > 0 {
          source.machine.allocator.keepForKernel(first + offset, for: source.process)
          kernel -= 1
          offset += 1
        } else {
          source.machine.allocator.freeChunk(first + offset, order: 0, for: source.process)
          offset += 1
        }
      }
    }
  }

  private mutating func fillMovable(_ source: inout ChunkSource, _ object: RowID?) {
    let size = source.machine.geometry.pageblockFrames
    var blocks = Holes(free[.movable] ?? [], limit: .max)
    var index: UInt64 = 0
    while anon + file + kernel > 0, let first = source.nextPageblock() {
      source.machine.allocator.retypePageblock(of: first, .movable)
      var offset = 0
      while offset < size {
        let used = anon + file + kernel > 0
        if let order = blocks.next(at: offset, size: size, canSeparate: used) {
          source.machine.allocator.freeChunk(first + offset, order: order, for: source.process)
          offset += 1 << order
          continue
        }
        let frame = first + offset
        offset += 1
        if let object, anon + file > 0 {
          let isAnon = anon > 0
          if source.machine.pageCache.keepInCache(
            frame, of: object, at: index, swapBacked: isAnon, for: source.process)
          {
            index += 1
            if isAnon { anon -= 1 } else { file -= 1 }
            continue
          }
        }
        if kernel > 0 {
          kernel -= 1
          source.machine.allocator.keepForKernel(frame, for: source.process)
        } else {
          source.machine.allocator.freeChunk(frame, order: 0, for: source.process)
        }
      }
    }
  }
}

/// The free chunks to leave, largest first, each followed by a used frame.
private struct Holes {
  private var counts: [Int]
  private var lastEnd = -1

  /// - Parameter limit: frames that there are; what does not fit is left out.
  init(_ counts: [Int], limit: Int) {
    self.counts = counts
    var room = limit
    for order in counts.indices.reversed() {
      self.counts[order] = min(counts[order], room >> order)
      room -= self.counts[order] << order
    }
  }

  /// The order of the free chunk to leave at an offset of a pageblock, or nil to use the frame there.
  mutating func next(at offset: Int, size: Int, canSeparate: Bool) -> Int? {
    if offset == 0 { lastEnd = -1 }
    // Two free chunks side by side would merge.
    if offset == lastEnd, canSeparate { return nil }
    for order in counts.indices.reversed() where counts[order] > 0 {
      guard offset % (1 << order) == 0, offset + 1 << order <= size else { continue }
      counts[order] -= 1
      lastEnd = offset + 1 << order
      return order
    }
    return nil
  }
}

/// Hands out the pageblocks of a zone; it takes one chunk of the largest order at a time.
private struct ChunkSource {
  let machine: Machine
  let process: Process
  private let zone: ZoneID
  private var next = FrameNumber.none
  private var left = 0

  init(_ zone: ZoneID, _ machine: Machine, _ process: Process) {
    self.zone = zone
    self.machine = machine
    self.process = process
  }

  var hasLeftover: Bool { left > 0 }

  mutating func nextPageblock() -> FrameNumber? {
    if left == 0 {
      guard let chunk = machine.allocator.allocateChunk(of: zone, for: process) else { return nil }
      next = chunk
      left = 1 << (machine.geometry.maxOrder - machine.geometry.pageblockOrder)
    }
    defer {
      next = next + machine.geometry.pageblockFrames
      left -= 1
    }
    return next
  }

  mutating func freeLeftover() {
    while left > 0, let first = nextPageblock() {
      machine.allocator.retypePageblock(of: first, .movable)
      machine.allocator.freeChunk(first, order: machine.geometry.pageblockOrder, for: process)
    }
  }
}
