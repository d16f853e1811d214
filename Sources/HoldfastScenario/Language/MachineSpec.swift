/// The machine that a scenario asks for, every default filled in.
public struct MachineSpec: Sendable, Equatable {
  /// A node: a run of memory and the CPUs beside it.
  public struct NodeSpec: Sendable, Equatable {
    /// Memory of the node; nodes follow each other from frame 0 without a gap.
    public var memory: MemorySize
    /// CPUs of the node.
    public var cpus: Int
  }

  /// A size, or a part of the machine's memory.
  public enum Amount: Sendable, Equatable {
    /// As in `movablecore=1G`.
    case size(MemorySize)
    /// As in `movablecore=25%`; 1 to 99.
    case percent(Int)
  }

  /// A contiguous memory area.
  public struct ContiguousArea: Sendable, Equatable {
    /// Its name, as in /sys/kernel/mm/cma.
    public var name: String
    /// A whole number of pageblocks.
    public var size: MemorySize
    /// A power of two of pageblocks.
    public var align: MemorySize
    /// The physical address of its first byte; the machine chooses if nil.
    public var base: MemorySize?
    /// The zone to lie in; the machine chooses if nil.
    public var zone: ZoneKind?
  }

  /// How a machine that was read from a host is changed before the actors start.
  public enum LiveChange: Sendable, Equatable {
    /// Bring a zone to this many whole blocks, by moving the highest free blocks of other zones into it.
    case online(blocks: Int, zone: ZoneKind)
    /// Reserve an area of `contiguousAreas` in free memory, if the host has none of this name.
    case contiguousArea(name: String)
  }

  /// At least one.
  public var nodes: [NodeSpec]
  /// Index bits of one page-table level: 9 on x86-64, fewer in small models.
  public var tableBits: Int
  /// What a pin adds to a reference count: 1024 in the kernel, and what suits it in a model.
  public var pinBias = 1024
  /// What one entry of the second page-table level maps.
  public var hugePage: MemorySize
  /// The unit of mobility grouping.
  public var pageblock: MemorySize
  /// The unit of metadata.
  public var section: MemorySize
  /// The unit of offlining.
  public var block: MemorySize
  /// The first address above ZONE_DMA, or nil where the machine has no such zone.
  public var dmaLimit: MemorySize?
  /// The first address above ZONE_DMA32, or nil where the machine has no such zone.
  public var dma32Limit: MemorySize?
  /// `movablecore=`.
  public var movableCore: Amount?
  /// `kernelcore=`.
  public var kernelCore: Amount?
  /// The contiguous memory areas.
  public var contiguousAreas: [ContiguousArea]
  /// Applied to a machine that was read from a host, and to no other.
  public var liveChanges: [LiveChange]

  /// The number of the zero page's frame, or nil for the lowest of the kernel's.
  public var zeroPage: Int?

  /// Memory of all nodes.
  public var memory: MemorySize {
    MemorySize(pages: nodes.reduce(0) { $0 + $1.memory.pages }) ?? .zero
  }

  /// CPUs of all nodes.
  public var cpus: Int { nodes.reduce(0) { $0 + $1.cpus } }
}
