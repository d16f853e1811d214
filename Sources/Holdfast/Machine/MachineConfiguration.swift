/// Sizes that shape the tables, as orders of frames.
///
/// The defaults are those of x86-64 (rule 0.4); a model may be as small as it likes.
public struct Geometry: Hashable, Sendable {
  /// Largest buddy order: blocks of 2^10 frames (MAX_ORDER 11, exclusive).
  public var maxOrder = 10
  /// Frames of a pageblock: 2^9.
  public var pageblockOrder = 9
  /// Frames of a section: 2^15, the unit in which metadata comes into being.
  public var sectionOrder = 15
  /// Frames of a memory block: 2^15 or more, the unit of online and offline.
  public var blockOrder = 15
  /// Address bits that one level of a page table resolves; also the order of a PMD-mapped folio.
  public var tableBits = 9

  /// The sizes of x86-64.
  public init() {}

  /// Frames of a pageblock.
  public var pageblockFrames: Int { 1 << pageblockOrder }
  /// Frames of a section.
  public var sectionFrames: Int { 1 << sectionOrder }
  /// Frames of a memory block.
  public var blockFrames: Int { 1 << blockOrder }
  /// Order of a folio that one PMD entry maps (HPAGE_PMD_ORDER).
  public var hugeOrder: Int { tableBits }
  /// Entries of one table page.
  public var tableEntries: Int { 1 << tableBits }
  /// Pages of an address space: four levels.
  @inline(__always)
  public var addressSpacePages: UInt64 { 1 << UInt64(4 * tableBits) }
}

/// Memory that belongs to one zone of one node.
public struct ZoneExtent: Hashable, Sendable {
  /// The zone.
  public var zone: ZoneID
  /// Its frames.
  public var frames: FrameRange

  /// Frames of a zone.
  public init(zone: ZoneID, frames: FrameRange) {
    self.zone = zone
    self.frames = frames
  }
}

/// How much of the memory ZONE_MOVABLE gets at boot (rule 3.9).
public enum MovableSizing: Hashable, Sendable {
  /// No ZONE_MOVABLE.
  case none
  /// `kernelcore=`: this number of frames stays for the kernel.
  case kernelcore(frames: Int)
  /// `movablecore=`: this number of frames becomes movable.
  case movablecore(frames: Int)
  /// `movable_node`: all memory of nodes that can be unplugged, given by number, is movable.
  case movableNodes(Set<Int>)
}

/// One node: its memory and its share of the processors.
public struct NodeConfiguration: Hashable, Sendable {
  /// The node's memory, ascending; gaps between ranges are holes.
  public var memory: [FrameRange]
  /// Processors of the node.
  public var processors: Int

  /// A node with that memory.
  public init(memory: [FrameRange], processors: Int = 1) {
    self.memory = memory
    self.processors = processors
  }
}

/// A CMA area to be reserved at boot.
public struct CMAConfiguration: Hashable, Sendable {
  /// The name, up to 63 characters.
  public var name: String
  /// Frames of the area: whole pageblocks.
  public var frames: Int
  /// Where it begins, or nil to take the end of the highest zone that is not movable.
  public var base: FrameNumber?
  /// The kind of zone to lie in, or nil for the highest that is not movable.
  public var zone: ZoneKind?
  /// Frames of which the first one's number is a multiple: a power of two.
  public var alignment: Int
  /// Frames per bit of the bitmap, as an order.
  public var orderPerBit = 0

  /// An area of `frames` frames; where it begins overrides zone and alignment.
  public init(
    name: String, frames: Int, base: FrameNumber? = nil, zone: ZoneKind? = nil, alignment: Int = 1,
    orderPerBit: Int = 0
  ) {
    self.name = name
    self.frames = frames
    self.base = base
    self.zone = zone
    self.alignment = alignment
    self.orderPerBit = orderPerBit
  }
}

/// Where the contents of frames are.
public enum FrameBacking: Hashable, Sendable {
  /// Nowhere: a frame carries a 64-bit tag that stands for its contents.
  case none
  /// In one memfd for every memory block, mapped as a linear window.
  case memfd
}

/// Most rows that the tables can hold; they cost address space, not memory, until used.
public struct TableLimits: Hashable, Sendable {
  /// Processes and address spaces.
  public var processes = 1024
  /// Areas (VMAs), anonymous groups.
  public var areas = 65536
  /// Backing objects.
  public var objects = 4096
  /// Containers of devices.
  public var containers = 256
  /// Groups of devices, and domains.
  public var deviceGroups = 1024
  /// Mappings of all containers.
  public var mappings = 1 << 18
  /// Devices with page tables of their own.
  public var mirrors = 256
  /// Pages in the tables of all of them.
  public var mirroredPages = 1 << 18
  /// Pin and get records of the ledger.
  public var pinRecords = 1 << 20
  /// Table pages, or nil for one in 64 frames and some more.
  public var tablePages: Int?
  /// Page slots of the ledger, or nil for four for every frame.
  public var pinSlots: Int?

  /// Limits for machines of any size.
  public init() {}

  /// Limits for a machine that is explored: the tables stay small enough to be copied at every execution.
  public static var explored: TableLimits {
    TableLimits(
      processes: 5, areas: 12, objects: 4, containers: 0, deviceGroups: 0, mappings: 0, mirrors: 0,
      mirroredPages: 0, pinRecords: 12, tablePages: 48, pinSlots: 128)
  }

  /// The same with room for some devices, which few machines need.
  package var withDevices: TableLimits {
    var limits = self
    limits.containers = 4
    limits.deviceGroups = 5
    limits.mappings = 9
    limits.mirrors = 4
    limits.mirroredPages = 12
    return limits
  }

  // All of them, so that a new table cannot keep its large default in an explored machine.
  private init(
    processes: Int, areas: Int, objects: Int, containers: Int, deviceGroups: Int, mappings: Int,
    mirrors: Int, mirroredPages: Int, pinRecords: Int, tablePages: Int?, pinSlots: Int?
  ) {
    self.processes = processes
    self.areas = areas
    self.objects = objects
    self.containers = containers
    self.deviceGroups = deviceGroups
    self.mappings = mappings
    self.mirrors = mirrors
    self.mirroredPages = mirroredPages
    self.pinRecords = pinRecords
    self.tablePages = tablePages
    self.pinSlots = pinSlots
  }
}

/// Everything that a machine is made from.
public struct MachineConfiguration: Sendable {
  /// Table and block sizes.
  public var geometry = Geometry()
  /// Nodes with their memory.
  public var nodes: [NodeConfiguration]
  /// First frame above ZONE_DMA and above ZONE_DMA32.
  public var dmaLimit = FrameNumber(1 << 12)
  /// First frame above ZONE_DMA32.
  public var dma32Limit = FrameNumber(1 << 20)
  /// The share of ZONE_MOVABLE.
  public var movable = MovableSizing.none
  /// The zones as they are, instead of the rules above: a machine read from a host.
  public var explicitZones: [ZoneExtent]?
  /// Frames that firmware or the kernel's image holds: PG_reserved.
  public var reserved: [FrameRange] = []
  /// CMA areas.
  public var cmaAreas: [CMAConfiguration] = []
  /// Processors; each belongs to the node that `NodeConfiguration.processors` gives it to.
  public var processors: Int { nodes.reduce(0) { $0 + $1.processors } }
  /// Frames above the boot memory for which hot-add leaves room.
  public var hotplugFrames = 0
  /// Where the zero page is, or nil to let boot choose.
  public var zeroPage: FrameNumber?
  /// min_free_kbytes, or nil for the kernel's formula (rule 2.7).
  public var minFreeKiB: Int?
  /// Where contents are.
  public var backing = FrameBacking.none
  /// Which kernel's rules for placing pinned pages hold.
  public var policy = PlacementPolicy.linux6_1
  /// What a pin adds to the reference count of a folio that does not count exactly (GUP_PIN_COUNTING_BIAS).
  ///
  /// Models set it high, so that few pins fill the count, or low, so that few references look like a pin.
  public var pinBias: Int32 = 1024
  /// Fixes that the machine does not have; only an explored machine can be without one.
  public var without: Set<Safeguard> = []
  /// Table sizes.
  public var limits = TableLimits()

  /// A machine with those nodes.
  public init(nodes: [NodeConfiguration]) { self.nodes = nodes }

  /// A machine with one node of `frames` frames from frame zero on.
  public init(frames: Int, processors: Int = 1) {
    nodes = [
      NodeConfiguration(
        memory: [FrameRange(start: FrameNumber(0), count: frames)], processors: processors)
    ]
  }

  /// A model of few frames in one zone, with sizes to match: for tests and for the explorer.
  ///
  /// Pageblocks have 4 frames, sections and memory blocks 16, and one level of a page table 4 entries; all
  /// memory below `movable` frames from the end is ZONE_NORMAL.
  public static func small(frames: Int = 64, movable: Int = 0, processors: Int = 2) -> MachineConfiguration {
    var configuration = MachineConfiguration(frames: frames, processors: processors)
    configuration.geometry.maxOrder = 4
    configuration.geometry.pageblockOrder = 2
    configuration.geometry.sectionOrder = 4
    configuration.geometry.blockOrder = 4
    configuration.geometry.tableBits = 2
    configuration.dmaLimit = FrameNumber(0)
    configuration.dma32Limit = FrameNumber(0)
    configuration.minFreeKiB = 0
    if movable > 0 {
      configuration.explicitZones = [
        ZoneExtent(
          zone: ZoneID(node: 0, kind: .normal),
          frames: FrameRange(start: FrameNumber(0), count: frames - movable)),
        ZoneExtent(
          zone: ZoneID(node: 0, kind: .movable),
          frames: FrameRange(start: FrameNumber(frames - movable), count: movable)),
      ]
    }
    configuration.limits = .explored
    return configuration
  }
}
