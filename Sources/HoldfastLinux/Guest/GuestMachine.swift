public import HoldfastScenario

/// The virtual machine for a scenario's machine.
///
/// A PC must hold a kernel and the agent beside what the scenario needs, so each node gets `room` more
/// memory. The first GiB lies below 4 GiB, in the zones DMA and DMA32; the memory of the scenario lies above,
/// where neither firmware nor device windows cut memory blocks.
///
/// ZONE_MOVABLE consists of memory that is present from the start but hot-plugged, a DIMM for each memory
/// block, which init puts online. `movablecore=` would make a zone of the same size, but the boot allocator
/// leaves the memory map at its end, and the first file system its pages. Such blocks can never be removed,
/// or cost thousands of migrations that are not part of the scenario.
public struct GuestMachine: Sendable, Equatable {
  /// A node.
  public struct GuestNode: Sendable, Equatable {
    /// Bytes at boot, of zones for the kernel; whole memory blocks.
    public var memory: UInt64
    /// Memory blocks of ZONE_MOVABLE.
    public var movableBlocks = 0
    /// Its CPUs; 0 on a node of memory alone.
    public var cpus: Int
  }

  /// The kernel's only CMA area, which debugfs calls "reserved".
  public struct ContiguousArea: Sendable, Equatable {
    /// Its name in the scenario.
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
  /// Room for memory that is hot-added later, and the DIMMs that can be.
  static let hotplugBytes: UInt64 = 4 << 30
  static let hotplugSlots = 32
  /// The disk with the file system, and the one to swap to; sparse.
  static let diskBytes: UInt64 = 1 << 30
  /// Devices that can be handed to VFIO.
  static let vfioDevices = 3
  /// NR_CPUS of Guest/kernel.config.
  static let mostCPUs = 16
  /// With more memory a guest under emulation takes minutes to boot.
  static let largestMemory: UInt64 = 16 << 30

  /// The nodes, at least one.
  public var nodes: [GuestNode]
  /// The area of contiguous memory.
  public var contiguousArea: ContiguousArea?

  /// CPUs of all nodes.
  public var cpus: Int { nodes.reduce(0) { $0 + $1.cpus } }
  /// Bytes at boot.
  var bootMemory: UInt64 { nodes.reduce(0) { $0 + $1.memory } }
  /// Blocks of ZONE_MOVABLE.
  var movableBlocks: Int { nodes.reduce(0) { $0 + $1.movableBlocks } }

  /// Memory of a node beyond what the scenario asks for.
  ///
  /// The first node gets all memory below 4 GiB, so that each has ZONE_NORMAL, and any other 256 MiB.
  static func room(node: Int) -> UInt64 {
    node == 0 ? lowBytes : 256 << 20
  }

  /// A machine of one node; `memory` is added to the room, and `movableBlocks` of its blocks are movable.
  public init(memory: UInt64, movableBlocks: Int = 0, cpus: Int) {
    let kernelBlocks = max(0, Self.blocks(memory) - movableBlocks)
    nodes = [
      GuestNode(
        memory: UInt64(kernelBlocks) * Self.blockBytes + Self.room(node: 0), movableBlocks: movableBlocks,
        cpus: cpus)
    ]
  }

  /// The machine for a scenario, or why no PC can have it.
  public init(_ scenario: Scenario) throws(GuestRefusal) {
    try self.init(scenario.machine, usesBlocks: scenario.usesBlocks)
  }

  /// The machine for a specification; `usesBlocks` says whether the scenario counts or moves memory blocks.
  public init(_ spec: MachineSpec, usesBlocks: Bool) throws(GuestRefusal) {
    try Self.checkUnits(spec, usesBlocks: usesBlocks)
    guard spec.memory.bytes <= Self.largestMemory else {
      throw GuestRefusal("it has \(spec.memory); under emulation \(Self.largestMemory >> 30) GiB is the most")
    }
    let movable = try Self.movableBlocks(of: spec)
    nodes = zip(spec.nodes, movable).enumerated().map { index, node in
      let kernelBlocks = Self.blocks(node.0.memory.bytes) - node.1
      return GuestNode(
        memory: UInt64(kernelBlocks) * Self.blockBytes + Self.room(node: index), movableBlocks: node.1,
        cpus: node.0.cpus)
    }
    guard cpus <= Self.mostCPUs else {
      throw GuestRefusal("it has \(cpus) CPUs; \(Self.mostCPUs) is the most")
    }
    // The coordinator needs a CPU while an actor holds another one.
    if cpus < 2, let first = nodes.firstIndex(where: { $0.cpus > 0 }) { nodes[first].cpus = 2 }
    contiguousArea = try Self.area(of: spec)
  }

  /// The number of whole blocks that hold the bytes.
  private static func blocks(_ bytes: UInt64) -> Int { Int((bytes + blockBytes - 1) / blockBytes) }

  /// Blocks of ZONE_MOVABLE as the kernel would choose them for `movablecore=` and `kernelcore=`.
  ///
  /// Every node has the same amount of memory for the kernel, or all of its memory where that is less.
  private static func movableBlocks(of spec: MachineSpec) throws(GuestRefusal) -> [Int] {
    let sizes = spec.nodes.map { $0.memory.bytes }
    guard spec.movableCore != nil || spec.kernelCore != nil else { return sizes.map { _ in 0 } }
    var kernel: UInt64 = 0
    if let amount = spec.kernelCore { kernel = bytes(amount, of: spec) }
    if let amount = spec.movableCore { kernel = max(kernel, spec.memory.bytes - bytes(amount, of: spec)) }

    var shares = sizes.map { _ in UInt64(0) }
    var left = Array(sizes.indices)
    while !left.isEmpty {
      let share = kernel / UInt64(left.count)
      let full = left.filter { sizes[$0] <= share }
      for node in full.isEmpty ? left : full {
        shares[node] = min(sizes[node], share)
        kernel -= shares[node]
      }
      left = full.isEmpty ? [] : left.filter { !full.contains($0) }
    }
    var result: [Int] = []
    for (index, size) in sizes.enumerated() {
      let movable = size - shares[index]
      guard movable.isMultiple(of: blockBytes) else {
        let text = MemorySize(bytes: movable).map { "\($0)" } ?? "\(movable) bytes"
        throw GuestRefusal("ZONE_MOVABLE of node \(index) is \(text), no whole number of memory blocks")
      }
      result.append(Int(movable / blockBytes))
    }
    return result
  }

  private static func bytes(_ amount: MachineSpec.Amount, of spec: MachineSpec) -> UInt64 {
    switch amount {
    case .size(let size): return size.bytes
    case .percent(let percent):
      // The memory is at most 16 GiB here, so that a product with 99 is far from overflow.
      let bytes = spec.memory.bytes * UInt64(percent) / 100
      return bytes / spec.pageblock.bytes * spec.pageblock.bytes
    }
  }

  private static func checkUnits(_ spec: MachineSpec, usesBlocks: Bool) throws(GuestRefusal) {
    guard spec.tableBits == 9 else {
      throw GuestRefusal("its page tables have \(spec.tableBits) index bits per level; x86-64 has 9")
    }
    guard spec.zeroPage == nil else {
      throw GuestRefusal("its zero page has a place of its own; the kernel's is in its image")
    }
    guard spec.pinBias == 1024 else {
      throw GuestRefusal("its pins add \(spec.pinBias) to a reference count; the kernel's add 1024")
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
