import Interleaving

/// Where each table lies inside the one arena that holds a machine's state.
///
/// The arena is address space until touched, so tables are as large as they may ever get. For a small
/// machine the whole arena is a few pages, and a snapshot is one copy.
///
/// A new table is a constant here and a line in `init`; names, checks and the explorer's display follow from them.
@usableFromInline
package struct TableLayout: Sendable {
  @usableFromInline package let size: Int
  /// All tables, in the order in which they lie in the arena.
  @usableFromInline package let tables: [PlacedTable]

  @usableFromInline package let global: Table<GlobalRow>
  @usableFromInline package let processors: Table<ProcessorRow>
  @usableFromInline package let nodes: Table<NodeRow>
  @usableFromInline package let hugetlbPools: Table<HugetlbPoolRow>
  @usableFromInline package let hugetlbFaultMutexes: Table<HugetlbFaultMutexRow>
  @usableFromInline package let zones: Table<ZoneRow>
  @usableFromInline package let perCPULists: Table<PerCPUListsRow>
  @usableFromInline package let routes: Table<AllocationRouteRow>
  @usableFromInline package let blocks: Table<MemoryBlockRow>
  @usableFromInline package let sections: Table<SectionRow>
  @usableFromInline package let pageblockTypes: Table<PageblockTypesRow>
  @usableFromInline package let cmaAreas: Table<CMAAreaRow>
  @usableFromInline package let processes: Table<ProcessRow>
  @usableFromInline package let spaces: Table<AddressSpaceRow>
  @usableFromInline package let areas: Table<VirtualMemoryAreaRow>
  @usableFromInline package let anonGroups: Table<AnonGroupRow>
  @usableFromInline package let objects: Table<BackingObjectRow>
  @usableFromInline package let containers: Table<ContainerRow>
  @usableFromInline package let domains: Table<DomainRow>
  @usableFromInline package let deviceGroups: Table<DeviceGroupRow>
  @usableFromInline package let mappings: Table<MappingRow>
  @usableFromInline package let sharedMemory: Table<SharedMemoryRow>
  @usableFromInline package let mirrors: Table<MirrorRow>
  @usableFromInline package let mirroredPages: Table<MirroredPageRow>
  @usableFromInline package let pinRecords: Table<PinRecordRow>
  @usableFromInline package let tableMeta: Table<TableMetaRow>
  @usableFromInline package let cmaBitmaps: Table<CMABitmapRow>
  @usableFromInline package let pinSlots: Table<PinSlotRow>
  @usableFromInline package let frames: Table<PageRow>
  @usableFromInline package let tablePages: Table<TablePageRow>

  /// The layout for a machine whose highest frame is below `frameCount`.
  init(_ configuration: MachineConfiguration, frameCount: Int) {
    let geometry = configuration.geometry
    let limits = configuration.limits
    let nodeCount = configuration.nodes.count
    let zoneCount = nodeCount * ZoneKind.count
    let tablePageCount = limits.tablePages ?? (frameCount / 64 + 4096)
    func cells(order: Int) -> Int { (frameCount >> order + 1 + 3) / 4 }

    var plan = TablePlan()
    global = plan.place(1) { _ in "" }
    processors = plan.place(
      configuration.processors, stride: ProcessorRow.stride(nodes: nodeCount), align: 128
    ) { "processor \($0)" }
    nodes = plan.place(nodeCount, align: 128) { "node \($0)" }
    hugetlbPools = plan.place(nodeCount) { "huge page pool \($0)" }
    hugetlbFaultMutexes = plan.place(HugetlbFaultMutexRow.count(processors: configuration.processors)) {
      "hugetlb fault mutex \($0)"
    }
    zones = plan.place(zoneCount, stride: ZoneRow.stride(geometry), align: 128) {
      "\(ZoneID(rawValue: $0))"
    }
    perCPULists = plan.place(configuration.processors * zoneCount) {
      "per-CPU lists \($0 / zoneCount) of \(ZoneID(rawValue: $0 % zoneCount))"
    }
    routes = plan.place(configuration.processors, align: 128) { "route of processor \($0)" }
    blocks = plan.place(frameCount >> geometry.blockOrder + 1) { "memory block \($0)" }
    sections = plan.place(cells(order: geometry.sectionOrder)) { "sections \($0 * 4)" }
    pageblockTypes = plan.place(cells(order: geometry.pageblockOrder)) { "pageblocks \($0 * 4)" }
    cmaAreas = plan.place(configuration.cmaAreas.count) { "CMA area \($0)" }
    processes = plan.place(limits.processes) { "process \($0)" }
    spaces = plan.place(limits.processes) { "space \($0)" }
    areas = plan.place(limits.areas) { "area \($0)" }
    anonGroups = plan.place(limits.areas) { "anonymous group \($0)" }
    objects = plan.place(limits.objects) { "object \($0)" }
    containers = plan.place(limits.containers) { "container \($0)" }
    domains = plan.place(limits.deviceGroups) { "domain \($0)" }
    deviceGroups = plan.place(limits.deviceGroups) { "device group \($0)" }
    mappings = plan.place(limits.mappings) { "mapping \($0)" }
    sharedMemory = plan.place(limits.mappings) { "shared memory \($0)" }
    mirrors = plan.place(limits.mirrors) { "mirror \($0)" }
    mirroredPages = plan.place(limits.mirroredPages) { "mirrored page \($0)" }
    pinRecords = plan.place(limits.pinRecords) { "pin record \($0)" }
    tableMeta = plan.place(tablePageCount) { "table page \($0)" }
    cmaBitmaps = plan.place(
      configuration.cmaAreas.reduce(0) { $0 + ($1.frames >> $1.orderPerBit) / 64 + 1 }
    ) { "CMA bitmap \($0)" }
    pinSlots = plan.place(limits.pinSlots ?? max(1 << 16, frameCount * 4)) { "pin slot \($0)" }
    frames = plan.place(frameCount) { "\(FrameNumber($0))" }
    // Table pages begin on a page of the host, so that clearing one touches only its own.
    let tableBytes = geometry.tableEntries * 8
    tablePages = plan.place(tablePageCount, stride: tableBytes, align: min(4096, max(64, tableBytes))) {
      "table page \($0)"
    }
    tables = plan.tables
    size = (plan.size + 4095) / 4096 * 4096
    assert(flaws.isEmpty, flaws.joined(separator: "; "))
  }

  /// What is wrong with the rows of the tables: empty, unless a declaration of a layout is.
  package var flaws: [String] { tables.flatMap { $0.layout.flaws(stride: $0.stride) } }
}
