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
  let memmap: UnsafeMutableRawPointer
  let tableArena: UnsafeMutableRawPointer
  let tableShift: Int
  // Where tables begin that every allocation looks at.
  private let processorTable: UnsafeMutableRawPointer
  private let zoneTable: UnsafeMutableRawPointer
  private let perCPUTable: UnsafeMutableRawPointer
  let routeTable: UnsafeMutableRawPointer
  private let nodeTable: UnsafeMutableRawPointer
  private let pageblockTypes: ByteCells
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
  /// Zones in the order in which a node's allocations try them (spec 2.5), by node.
  let zonelists: [[ZoneID]]

  /// Makes a machine and boots it: zones, watermarks, CMA areas, the zero page.
  ///
  /// Metadata comes into being section by section when first needed, so this takes no longer for a large
  /// machine than for a small one.
  ///
  /// - Parameter trace: where events go; nil costs one comparison per event.
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
    memmap = at + layout.frames.start
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
    try boot(plan)
  }

  deinit { _ = hf_release_range(arena, UInt64(layout.size)) }

  // MARK: - Rows

  /// The number of frames that the tables have room for: one past the highest frame there can be.
  public var frameCount: Int { layout.frames.count }

  /// A row of a table whose rows have one size.
  @inline(__always)
  private func row<Layout: FixedRow>(_ table: Table<Layout>, _ index: Int) -> Row {
    Row(arena + table.offset(index))
  }

  @inline(__always)
  package var global: Globals { Globals(row(layout.global, 0)) }

  /// The descriptor of a frame.
  @inline(__always)
  package func page(_ frame: FrameNumber) -> Page { Page(Row(memmap + (frame.index &* PageRow.stride))) }

  /// The head of the folio that a frame is part of.
  @inline(__always)
  package func head(of frame: FrameNumber) -> FrameNumber {
    FrameNumber(rawValue: frame.rawValue &- page(frame).headOffset.load(.acquire))
  }

  @inline(__always)
  package func processor(_ index: Int) -> Processor {
    Processor(Row(processorTable + index &* layout.processors.stride))
  }

  @inline(__always)
  package func node(_ index: Int) -> Node { Node(Row(nodeTable + index &* NodeRow.stride)) }

  /// The pool of huge pages of a node.
  package func hugetlbPool(_ node: Int) -> HugetlbPool { HugetlbPool(row(layout.hugetlbPools, node)) }

  @inline(__always)
  package func zone(_ id: ZoneID) -> Zone { zone(at: id.rawValue &* layout.zones.stride) }

  /// The zone whose row begins at an offset in the table of zones.
  @inline(__always)
  func zone(at offset: Int) -> Zone { Zone(Row(zoneTable + offset)) }

  @inline(__always)
  package func perCPULists(_ processor: Int, _ zone: ZoneID) -> PerCPULists {
    perCPULists(at: (processor &* layout.zones.count &+ zone.rawValue) &* PerCPUListsRow.stride)
  }

  /// The lists whose row begins at an offset in their table.
  @inline(__always)
  func perCPULists(at offset: Int) -> PerCPULists { PerCPULists(Row(perCPUTable + offset)) }

  package func block(_ id: BlockID) -> MemoryBlock { MemoryBlock(row(layout.blocks, id.rawValue)) }

  package func process(_ id: ProcessID) -> Process { Process(row(layout.processes, Int(id.rawValue))) }

  @inline(__always)
  package func space(_ id: RowID) -> AddressSpace { AddressSpace(row(layout.spaces, id.index)) }

  package func area(_ id: RowID) -> Area { Area(row(layout.areas, id.index), id: id) }

  package func anonGroup(_ id: RowID) -> AnonGroup { AnonGroup(row(layout.anonGroups, id.index)) }

  package func object(_ id: RowID) -> BackingObject { BackingObject(row(layout.objects, id.index)) }

  package func pinRecord(_ id: RowID) -> PinRecord { PinRecord(row(layout.pinRecords, id.index), id: id) }

  /// The slots of the ledger, one frame number each.
  @inline(__always)
  var pinSlots: UnsafeMutablePointer<FrameNumber> {
    (arena + layout.pinSlots.start).assumingMemoryBound(to: FrameNumber.self)
  }

  package func tableMeta(_ id: RowID) -> TableMeta { TableMeta(row(layout.tableMeta, id.index)) }

  @inline(__always)
  package func tablePage(_ id: RowID) -> TablePage { TablePage(Row(tableArena + (id.index &<< tableShift))) }

  package func cmaArea(_ index: Int) -> CMAArea { CMAArea(row(layout.cmaAreas, index)) }

  /// A word of the CMA bitmaps.
  func cmaBitmapWord(_ index: Int) -> Row { row(layout.cmaBitmaps, index) }

  /// How many rows of a pool were ever in use; rows are numbered from 1.
  package func usedRows(_ pool: TablePool) -> Int { Int(global.pool(pool).used) }

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

  /// The type of the pageblock that holds a frame.
  ///
  /// Written under the zone's lock; read freely, as Linux does.
  @inline(__always)
  package func pageblockType(of frame: FrameNumber) -> MigrateType {
    MigrateType(stored: pageblockTypeNumber(of: frame))
  }

  /// The raw value of `pageblockType(of:)`, for a test against a mask of types.
  @inline(__always)
  func pageblockTypeNumber(of frame: FrameNumber) -> UInt8 {
    pageblockTypes.load(frame.index &>> geometry.pageblockOrder) ^ Self.zeroedType
  }

  /// Sets the type of the pageblock that holds a frame.
  ///
  /// The caller holds the zone's lock.
  package func setPageblockType(of frame: FrameNumber, _ type: MigrateType) {
    pageblockTypes.store(frame.index &>> geometry.pageblockOrder, type.number ^ Self.zeroedType)
  }

  /// Types are stored so that zeroed memory means movable, the type of every new pageblock.
  private static var zeroedType: UInt8 { MigrateType.movable.number }

  /// Whether a frame has metadata: it is memory, and its section came into being.
  @inline(__always)
  package func hasMetadata(_ frame: FrameNumber) -> Bool {
    frame.index < frameCount && page(frame).type != .absent
  }

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
