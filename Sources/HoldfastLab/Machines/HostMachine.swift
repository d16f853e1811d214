import Holdfast
import HoldfastLinux
import HoldfastScenario

/// Why a host's machine cannot be made.
struct HostMachineError: Error, CustomStringConvertible {
  let description: String
}

/// A machine that begins as a host is: its zones, blocks, reserved memory, use and fragmentation.
struct HostMachine {
  private(set) var configuration: MachineConfiguration
  /// How the machine differs from the host, a sentence each.
  private(set) var changes: [String] = []
  private let snapshot: HostSnapshot
  /// Frames of each zone, ascending.
  private let extents: [ZoneExtent]

  init(_ snapshot: HostSnapshot, policy: PlacementPolicy, backing: FrameBacking) {
    self.snapshot = snapshot
    let extents = Self.extents(snapshot)
    self.extents = extents
    let nodes = (extents.map(\.zone.node).max() ?? 0) + 1
    // Every zone shows every processor of the host, those of other nodes too: all go to the first node.
    let processors = max(1, snapshot.zones.map(\.cpuCount).max() ?? 1)
    configuration = MachineConfiguration(
      nodes: (0..<nodes).map { node in
        NodeConfiguration(
          memory: Self.merged(extents.filter { $0.zone.node == node }.map(\.frames)),
          processors: node == 0 ? processors : 0)
      })
    configuration.explicitZones = extents
    configuration.policy = policy
    configuration.backing = backing
    configuration.geometry.blockOrder = snapshot.pagesPerBlock.trailingZeroBitCount
    if let types = snapshot.pageTypes { configuration.geometry.pageblockOrder = types.pageblockOrder }
    configuration.reserved = reserved
    let end = extents.map(\.frames.endIndex).max() ?? 0
    let highest = snapshot.blocks.map { snapshot.frames(of: $0).upperBound }.max() ?? 0
    configuration.hotplugFrames = max(0, highest - end) + 8 * snapshot.pagesPerBlock
  }

  /// Reserves the areas that the scenario asks for and the host lacks; areas can only be reserved at boot.
  mutating func reserveAreas(_ spec: MachineSpec) throws(ConfigurationError) {
    for change in spec.liveChanges {
      guard case .contiguousArea(let name) = change,
        let area = spec.contiguousAreas.first(where: { $0.name == name })
      else { continue }
      var wanted = try MachineConfiguration.area(area)
      wanted.base = nil
      configuration.cmaAreas.append(wanted)
      changes.append(
        "reserved a contiguous memory area \(name) of \(area.size), which the host does not have")
    }
  }

  // MARK: - Extents

  /// The host's memory by zone: block by block where a block has one zone, else by the zones' spans.
  private static func extents(_ snapshot: HostSnapshot) -> [ZoneExtent] {
    var found: [ZoneExtent] = []
    for block in snapshot.blocks where block.state != .offline {
      let frames = snapshot.frames(of: block)
      if let zone = snapshot.zone(of: block), let kind = ZoneKind(kernelName: zone.name) {
        append(ZoneID(node: zone.node, kind: kind), frames, to: &found)
        continue
      }
      for zone in snapshot.zones where zone.isPopulated {
        let part = zone.frames.clamped(to: frames)
        guard !part.isEmpty, let kind = ZoneKind(kernelName: zone.name) else { continue }
        append(ZoneID(node: zone.node, kind: kind), part, to: &found)
      }
    }
    return found
  }

  private static func append(_ zone: ZoneID, _ frames: Range<Int>, to extents: inout [ZoneExtent]) {
    if let last = extents.last, last.zone == zone, last.frames.endIndex == frames.lowerBound {
      extents[extents.count - 1].frames.count += frames.count
    } else {
      extents.append(
        ZoneExtent(
          zone: zone, frames: FrameRange(start: FrameNumber(frames.lowerBound), count: frames.count)))
    }
  }

  private static func merged(_ ranges: [FrameRange]) -> [FrameRange] {
    var result: [FrameRange] = []
    for range in ranges.sorted(by: { $0.start < $1.start }) {
      if let last = result.last, last.endIndex == range.start.index {
        result[result.count - 1].count += range.count
      } else {
        result.append(range)
      }
    }
    return result
  }

  // MARK: - Reserved memory

  /// Frames that the host's page allocator does not manage: firmware, the kernel's image, boot allocations.
  ///
  /// The files say how many there are in a zone, not where: they are put at its start, where the kernel lies, and
  /// in ZONE_MOVABLE at its end, where boot allocations that did not fit elsewhere come from.
  private var reserved: [FrameRange] {
    var missing: [ZoneID: Int] = [:]
    for zone in snapshot.zones where zone.isPopulated {
      guard let kind = ZoneKind(kernelName: zone.name) else { continue }
      let id = ZoneID(node: zone.node, kind: kind)
      missing[id] = max(0, frames(of: id) - zone.managed)
    }
    // Memory that the host initialises later is not managed yet, but free.
    var deferred = snapshot.deferredPages
    for (id, count) in missing.sorted(by: { $0.value > $1.value }) {
      let share = min(deferred, count)
      missing[id] = count - share
      deferred -= share
    }
    return missing.sorted { $0.key.rawValue < $1.key.rawValue }.flatMap { id, count in
      take(count, of: id, fromEnd: id.kind == .movable)
    }
  }

  private func frames(of id: ZoneID) -> Int {
    extents.reduce(0) { $0 + ($1.zone == id ? $1.frames.count : 0) }
  }

  private func take(_ count: Int, of id: ZoneID, fromEnd: Bool) -> [FrameRange] {
    var left = count
    var taken: [FrameRange] = []
    let mine = extents.filter { $0.zone == id }.map(\.frames)
    for range in fromEnd ? mine.reversed() : mine where left > 0 {
      let part = min(left, range.count)
      let start = fromEnd ? FrameNumber(range.endIndex - part) : range.start
      taken.append(FrameRange(start: start, count: part))
      left -= part
    }
    return taken
  }

  // MARK: - Use

  /// Fills the machine as the host is filled.
  mutating func occupy(_ machine: Machine) throws {
    for block in snapshot.blocks where block.state == .offline {
      let frames = snapshot.frames(of: block)
      try machine.addMemory(
        FrameRange(start: FrameNumber(frames.lowerBound), count: frames.count), node: block.node ?? 0)
    }
    let process = try machine.createProcess(name: "host")
    for zone in snapshot.zones where zone.isPopulated {
      guard let kind = ZoneKind(kernelName: zone.name) else { continue }
      let use = ZoneUse(zone, snapshot)
      try use.apply(to: ZoneID(node: zone.node, kind: kind), of: machine, for: process)
    }
    machine.lru.drainAll(for: process)
    for id in machine.zones { machine.allocator.drainPerCPULists(id) }
    if snapshot.pageTypes == nil {
      changes.append("/proc/pagetypeinfo could not be read: free memory is taken to be movable")
    }
  }

  /// Makes the changes that the scenario asks for.
  mutating func apply(_ wanted: [MachineSpec.LiveChange], to machine: Machine) throws {
    for change in wanted {
      guard case .online(let blocks, let zone) = change else { continue }
      let kind = zone
      guard kind == .movable || kind == .normal else {
        throw HostMachineError(description: "blocks can be onlined movable or normal, not \(kind)")
      }
      let present = machine.blockRecords()
      let have = present.filter { $0.whole && $0.zone == zone }.count
      guard have < blocks else { continue }
      let free = present.filter {
        $0.whole && $0.zone != zone && $0.state == .online && $0.free == Int64($0.frames)
      }
      let chosen = free.suffix(blocks - have)
      guard chosen.count == blocks - have else {
        throw HostMachineError(
          description:
            "the scenario needs \(blocks) whole blocks in zone \(kind), the host has \(have), and only "
            + "\(free.count) wholly free blocks that could be moved there")
      }
      guard let process = machine.processes.first else { continue }
      for block in chosen {
        let id = BlockID(rawValue: block.index)
        _ = try machine.offline(id, by: process)
        _ = try machine.online(id, as: kind == .movable ? .movable : .kernel, by: process)
      }
      let size = MemorySize(pages: UInt64(chosen.count * machine.geometry.blockFrames)) ?? .zero
      changes.append(
        "took \(chosen.count) free blocks, memory\(chosen[chosen.startIndex].index) to "
          + "memory\(chosen[chosen.endIndex - 1].index) (\(size)), offline and onlined them in zone \(kind), "
          + "of which the host had \(have == 0 ? "none" : "\(have)")")
    }
  }
}
