public import HoldfastScenario

/// The virtual machine that stands for a scenario's machine.
///
/// A PC has to hold a kernel and the agent beside what the scenario talks about, so each node gets that much
/// more memory: `room(nodes:)`. The first GiB lies below 4 GiB, in the zones DMA and DMA32; all memory above it,
/// which is at least what the scenario asked for, lies above 4 GiB, where neither firmware nor device windows
/// cut memory blocks: there is ZONE_NORMAL, and at its end ZONE_MOVABLE.
public struct GuestMachine: Sendable, Equatable {
  /// A node: memory in bytes and CPUs.
  public struct Node: Sendable, Equatable {
    /// A multiple of a memory block.
    public var memory: UInt64
    /// None on a node of memory alone.
    public var cpus: Int
  }

  /// The kernel's only CMA area, which debugfs calls "reserved".
  public struct ContiguousArea: Sendable, Equatable {
    /// What the scenario calls it.
    public var name: String
    /// Bytes.
    public var size: UInt64
    /// Whether it must lie below 4 GiB.
    public var below4GiB: Bool
  }

  /// Bytes of a memory block of this PC.
  public static let blockBytes: UInt64 = 128 << 20
  /// Memory below 4 GiB.
  static let lowBytes: UInt64 = 1 << 30
  /// Room for hot-added memory.
  static let hotplugBytes: UInt64 = 4 << 30
  /// DIMMs that can be added.
  static let hotplugSlots = 32
  /// The disk, for swap and for a file system; sparse.
  static let diskBytes: UInt64 = 2 << 30

  /// At least one.
  public var nodes: [Node]
  /// `movablecore=` in bytes.
  public var movableCore: UInt64?
  /// `kernelcore=` in bytes.
  public var kernelCore: UInt64?
  /// The area of contiguous memory.
  public var contiguousArea: ContiguousArea?

  /// Memory of all nodes.
  public var memory: UInt64 { nodes.reduce(0) { $0 + $1.memory } }
  /// CPUs of all nodes.
  public var cpus: Int { nodes.reduce(0) { $0 + $1.cpus } }

  /// What each node gets beyond what the scenario asks for: 1 GiB, of which several nodes share, but each no
  /// less than 512 MiB.
  public static func room(nodes: Int) -> UInt64 {
    nodes == 1 ? 1 << 30 : 512 << 20
  }

  /// A machine of one node.
  public init(memory: UInt64, cpus: Int, movableCore: UInt64? = nil) {
    let blocks = (memory + Self.blockBytes - 1) / Self.blockBytes
    nodes = [Node(memory: blocks * Self.blockBytes + Self.room(nodes: 1), cpus: cpus)]
    self.movableCore = movableCore
  }

  /// The machine for a scenario, or why no PC can be it.
  public init(_ scenario: Scenario) throws(GuestRefusal) {
    try self.init(scenario.machine, usesBlocks: scenario.usesBlocks)
  }

  /// The machine for a specification; `usesBlocks` says whether the scenario counts or moves memory blocks.
  public init(_ spec: MachineSpec, usesBlocks: Bool) throws(GuestRefusal) {
    try Self.checkUnits(spec, usesBlocks: usesBlocks)
    let room = Self.room(nodes: spec.nodes.count)
    nodes = spec.nodes.map { node in
      let blocks = (node.memory.bytes + Self.blockBytes - 1) / Self.blockBytes
      return Node(memory: blocks * Self.blockBytes + room, cpus: node.cpus)
    }
    guard memory <= Self.largestMemory else {
      throw GuestRefusal(
        "the guest would have \(spec.memory) and more; \(Self.largestMemory >> 30) GiB is the most")
    }
    guard cpus <= Self.mostCPUs else {
      throw GuestRefusal("it has \(cpus) CPUs; \(Self.mostCPUs) is the most")
    }
    // The coordinator needs a CPU while an actor holds another one.
    if cpus < 2, let first = nodes.firstIndex(where: { $0.cpus > 0 }) { nodes[first].cpus = 2 }
    movableCore = spec.movableCore.map { Self.bytes($0, of: spec) }
    kernelCore = spec.kernelCore.map { Self.bytes($0, of: spec) + room * UInt64(spec.nodes.count) }
    contiguousArea = try Self.area(of: spec)
  }

  /// NR_CPUS of Guest/kernel.config.
  private static let mostCPUs = 16
  /// Beyond this a guest under emulation takes minutes to boot.
  private static let largestMemory: UInt64 = 32 << 30

  private static func bytes(_ amount: MachineSpec.Amount, of spec: MachineSpec) -> UInt64 {
    switch amount {
    case .size(let size): return size.bytes
    case .percent(let percent):
      let bytes = spec.memory.bytes / 100 * UInt64(percent)
      return bytes / spec.pageblock.bytes * spec.pageblock.bytes
    }
  }

  private static func checkUnits(_ spec: MachineSpec, usesBlocks: Bool) throws(GuestRefusal) {
    guard spec.tableBits == 9 else {
      throw GuestRefusal("its page tables have \(spec.tableBits) index bits per level; x86-64 has 9")
    }
    for (what, size) in [("huge pages", spec.hugePage), ("pageblocks", spec.pageblock)]
    where size.bytes != 2 << 20 {
      throw GuestRefusal("its \(what) are \(size); x86-64 has 2 MiB")
    }
    let depends = usesBlocks || spec.movableCore != nil || spec.kernelCore != nil
    for (what, size) in [("sections", spec.section), ("memory blocks", spec.block)]
    where size.bytes != blockBytes && depends {
      throw GuestRefusal("its \(what) are \(size); a PC of this size has 128 MiB")
    }
    // Without "zones:", small machines have no limits and others those of the PC.
    let limits = (spec.dmaLimit?.bytes, spec.dma32Limit?.bytes)
    let isSmall = spec.memory.bytes <= 64 << 20
    guard limits == (16 << 20, 4 << 30) || (isSmall && limits == (nil, nil)) else {
      throw GuestRefusal("its zones end elsewhere than a PC's, at 16 MiB and 4 GiB")
    }
  }

  private static func area(of spec: MachineSpec) throws(GuestRefusal) -> ContiguousArea? {
    guard let area = spec.contiguousAreas.first else { return nil }
    guard spec.contiguousAreas.count == 1 else {
      throw GuestRefusal("cma= makes one area; the machine has \(spec.contiguousAreas.count)")
    }
    if let base = area.base {
      throw GuestRefusal("cma area \(area.name) lies at \(base), where a PC has something else")
    }
    guard area.align <= spec.pageblock else {
      throw GuestRefusal(
        "cma area \(area.name) is aligned to \(area.align); cma= aligns to \(spec.pageblock)")
    }
    switch area.zone {
    case nil, .normal?: return ContiguousArea(name: area.name, size: area.size.bytes, below4GiB: false)
    case .dma32?: return ContiguousArea(name: area.name, size: area.size.bytes, below4GiB: true)
    case let zone?:
      throw GuestRefusal("cma area \(area.name) lies in zone \(zone.rawValue), where cma= does not put it")
    }
  }
}

/// Why a scenario's machine cannot be built as a PC.
public struct GuestRefusal: Error, Sendable, Hashable, CustomStringConvertible {
  /// What the machine has that a PC cannot have.
  public let reason: String

  init(_ reason: String) {
    self.reason = reason
  }

  /// A sentence.
  public var description: String { "skipped: this machine is a model: \(reason)" }
}

extension Scenario {
  /// Whether a step or an expectation is about memory blocks, so that their size matters.
  var usesBlocks: Bool {
    let verbs = actors.contains { actor in
      actor.steps.contains { step in
        switch step.verb {
        case .offline, .online, .add, .remove: true
        default: false
        }
      }
    }
    return verbs
      || expectations.contains { expectation in
        switch expectation.subject {
        case .blocks, .holders: true
        default: false
        }
      }
  }
}
