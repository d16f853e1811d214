import CLinux
import Interleaving
import SystemPackage

/// A machine: memory with its zones and blocks, processors, processes, and the rules that hold on it.
///
/// All changing state lies in one arena of flat tables, protected by locks that lie there too; what this class
/// stores itself never changes. Methods may be called from several threads, as long as one thread at a time acts
/// for a process and on a processor. `LockRank` says in which order locks are taken.
public final class Machine: @unchecked Sendable {
  // Sendable: every stored property is a constant; the arena's words are atomic or guarded by its locks.

  /// What the machine was made from.
  public let configuration: MachineConfiguration
  /// The rules for pinned pages.
  public let policy: PlacementPolicy
  /// Table and block sizes.
  public let geometry: Geometry
  /// Zones of boot memory, ascending.
  public let extents: [ZoneExtent]

  package let layout: TableLayout
  let arena: UnsafeMutableRawPointer
  /// The descriptors of all frames.
  package let memmap: Memmap
  let tableArena: UnsafeMutableRawPointer
  let tableShift: Int
  // Where tables begin that every allocation looks at.
  private let processorTable: UnsafeMutableRawPointer
  let zoneTable: UnsafeMutableRawPointer
  let perCPUTable: UnsafeMutableRawPointer
  let routeTable: UnsafeMutableRawPointer
  private let nodeTable: UnsafeMutableRawPointer
  let pageblockTypes: ByteCells
  /// Pending injected failures of allocations.
  let allocationFailures: AtomicUInt32
  /// The order besides 0 to 3 that per-CPU lists keep, or -1.
  let perCPUHugeOrder: Int
  let store: FrameStore?
  let trace: TraceSink?
  /// The policy's rules for single pages.
  package let pinRules: PinRules
  /// A bit for each safeguard that the machine does not have.
  let absentSafeguards: UInt64
  /// Zones in the order in which a node's allocations try them (rule 2.5), by node.
  let zonelists: [[ZoneID]]

  /// Makes a machine and boots it: zones, watermarks, CMA areas, the zero page.
  ///
  /// Metadata comes into being section by section when first needed, so this takes no longer for a large
  /// machine than for a small one.
  ///
  /// - Parameters:
  ///   - configuration: nodes, zones, memory blocks, processors, the policy and the safeguards.
  ///   - trace: where events go; nil costs one comparison per event.
  /// - Throws: `ConfigurationError` (EINVAL) naming the field that is wrong, ENOMEM if the host refuses room.
  public init(_ configuration: MachineConfiguration, trace: TraceSink? = nil) throws(ConfigurationError) {
    let plan = try ZonePlan(configuration)
    guard isExplored || configuration.without.isEmpty else {
      throw ConfigurationError(
        field: "without", found: configuration.without.map(\.name).sorted().joined(separator: ", "),
        expected: "nothing: only an explored machine can be without a safeguard")
    }
    absentSafeguards = configuration.without.reduce(0) { $0 | $1.bit }
    self.configuration = configuration
    policy = configuration.policy.lacking(configuration.without)
    pinRules = PinRules(policy, bias: configuration.pinBias, zeroPage: plan.zeroPage)
    geometry = configuration.geometry
    extents = plan.extents
    zonelists = plan.zonelists
    layout = TableLayout(configuration, frameCount: plan.frameCount)
    tableShift = configuration.geometry.tableBits + 3
    self.trace = trace

    var at: UnsafeMutableRawPointer?
    let result = hf_reserve(&at, UInt64(layout.size), true)
    guard result == 0, let at else {
      throw ConfigurationError(
        field: "memory", found: "\(plan.frameCount) frames, whose tables span \(layout.size) bytes",
        expected: "a size that the host grants (errno \(-result))")
    }
    arena = at
    memmap = Memmap(base: at + layout.frames.start, count: plan.frameCount)
    tableArena = at + layout.tablePages.start
    processorTable = at + layout.processors.start
    zoneTable = at + layout.zones.start
    perCPUTable = at + layout.perCPULists.start
    routeTable = at + layout.routes.start
    nodeTable = at + layout.nodes.start
    pageblockTypes = ByteCells(at + layout.pageblockTypes.start)
    allocationFailures = Globals(Row(at + layout.global.start)).failures(.allocation)
    let sizes = configuration.geometry
    perCPUHugeOrder = sizes.hugeOrder <= sizes.pageblockOrder ? sizes.hugeOrder : -1
    switch configuration.backing {
    case .none: store = nil
    case .memfd:
      do {
        store = try FrameStore(frames: plan.frameCount, blockFrames: configuration.geometry.blockFrames)
      } catch {
        _ = hf_release_range(at, UInt64(layout.size))
        throw ConfigurationError(
          field: "frames", found: "memfd", expected: "a host that grants the window (\(error))")
      }
    }
    try LockOrder.atRest("no other thread knows the machine yet") { () throws(ConfigurationError) in
      try boot(plan)
    }
  }

  deinit { _ = hf_release_range(arena, UInt64(layout.size)) }

  // MARK: - Rows

  /// The number of frames that the tables have room for: one past the highest frame there can be.
  public var frameCount: Int { layout.frames.count }

  /// A row of a table whose rows have one size.
  @inline(__always)
  func row<Layout: FixedRow>(_ table: Table<Layout>, _ index: Int) -> Row {
    Row(arena + table.offset(index))
  }

  @inline(__always)
  package var global: Globals { Globals(row(layout.global, 0)) }

  @inline(__always)
  package func processor(_ index: Int) -> Processor {
    Processor(Row(processorTable + index &* layout.processors.stride))
  }

  @inline(__always)
  package func node(_ index: Int) -> Node { Node(Row(nodeTable + index &* NodeRow.stride)) }

  // MARK: - Frames, blocks, pageblocks

  /// The memory block that holds a frame.
  @inline(__always)
  public func block(of frame: FrameNumber) -> BlockID {
    BlockID(rawValue: frame.index >> geometry.blockOrder)
  }

  /// The frames of a memory block.
  public func frames(of block: BlockID) -> FrameRange {
    FrameRange(start: FrameNumber(block.rawValue << geometry.blockOrder), count: geometry.blockFrames)
  }

  /// How many memory blocks the tables have room for.
  public var blockCount: Int { (frameCount + geometry.blockFrames - 1) >> geometry.blockOrder }

  /// Advances the logical clock.
  ///
  /// Calls as short as an allocation advance `Processor.calls` instead, since processors share this word.
  @inline(__always)
  func tick() { global.clock.advance(by: 1) }

  /// Advances the logical clock and returns it; no other call gets the same time, unless it allocates or frees.
  func stamp() -> UInt64 { global.clock.advance(by: 1) &+ 1 &+ callsOnProcessors }

  /// The logical time: how many calls were made.
  public var now: UInt64 { global.clock.count &+ callsOnProcessors }

  private var callsOnProcessors: UInt64 {
    var sum: UInt64 = 0
    for index in 0..<layout.processors.count { sum &+= processor(index).calls.count }
    return sum
  }
}

extension Machine {
  /// The boot extent that holds a frame.
  func extent(of frame: FrameNumber) -> ZoneExtent? {
    var low = 0
    var high = extents.count
    while low < high {
      let middle = (low + high) / 2
      if extents[middle].frames.endIndex <= frame.index { low = middle + 1 } else { high = middle }
    }
    return low < extents.count && extents[low].frames.contains(frame) ? extents[low] : nil
  }

  /// The zero page.
  public var zeroPageFrame: FrameNumber { global.zeroPage }

  /// Zones that have memory, in order.
  public var zones: [ZoneID] {
    (0..<layout.zones.count).map(ZoneID.init(rawValue:)).filter { buddy.zone($0).isPopulated }
  }
}
