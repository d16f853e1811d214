/// Where each table begins inside the one arena that holds a machine's state.
///
/// The arena is address space until touched, so tables are as large as they may ever get. For a small
/// machine the whole arena is a few pages, and a snapshot is one copy.
struct TableLayout: Sendable {
  private(set) var size = 0

  let global: Int
  let processors: Int
  let nodes: Int
  let hugetlbPools: Int
  let zones: Int
  let perCPULists: Int
  let routes: Int
  let blocks: Int
  let sections: Int
  let pageblockTypes: Int
  let cmaAreas: Int
  let processes: Int
  let spaces: Int
  let areas: Int
  let anonGroups: Int
  let objects: Int
  let pinRecords: Int
  let tableMeta: Int
  let cmaBitmaps: Int
  let pinSlots: Int
  let frames: Int
  let tablePages: Int

  let frameCount: Int
  let nodeCount: Int
  let zoneCount: Int
  let processorCount: Int
  let zoneStride: Int
  let processorStride: Int
  let tablePageCount: Int
  let pinSlotCount: Int
  let limits: TableLimits

  /// The layout for a machine whose highest frame is below `frameCount`.
  init(_ configuration: MachineConfiguration, frameCount: Int) {
    let geometry = configuration.geometry
    self.frameCount = frameCount
    limits = configuration.limits
    nodeCount = configuration.nodes.count
    zoneCount = configuration.nodes.count * ZoneKind.allCases.count
    processorCount = configuration.processors
    zoneStride = Zone.stride(geometry)
    processorStride = Processor.stride(nodes: configuration.nodes.count)
    tablePageCount = limits.tablePages ?? (frameCount / 64 + 4096)
    pinSlotCount = limits.pinSlots ?? max(1 << 16, frameCount * 4)

    var next = 0
    func place(_ count: Int, _ stride: Int, align: Int = 64) -> Int {
      next = (next + align - 1) / align * align
      defer { next += count * stride }
      return next
    }
    global = place(1, GlobalRow.stride)
    processors = place(configuration.processors, processorStride, align: 128)
    nodes = place(configuration.nodes.count, Node.stride, align: 128)
    hugetlbPools = place(configuration.nodes.count, HugetlbPool.stride)
    zones = place(zoneCount, zoneStride, align: 128)
    perCPULists = place(configuration.processors * zoneCount, PerCPULists.stride, align: 64)
    routes = place(configuration.processors, AllocationRoute.stride, align: 128)
    blocks = place(frameCount >> geometry.blockOrder + 1, MemoryBlock.stride)
    sections = place(frameCount >> geometry.sectionOrder + 1, 1)
    pageblockTypes = place(frameCount >> geometry.pageblockOrder + 1, 1)
    cmaAreas = place(configuration.cmaAreas.count, CMAArea.stride)
    processes = place(limits.processes, Process.stride)
    spaces = place(limits.processes, AddressSpace.stride)
    areas = place(limits.areas, Area.stride)
    anonGroups = place(limits.areas, AnonGroup.stride)
    objects = place(limits.objects, BackingObject.stride)
    pinRecords = place(limits.pinRecords, PinRecord.stride)
    tableMeta = place(tablePageCount, TableMeta.stride)
    cmaBitmaps = place(configuration.cmaAreas.reduce(0) { $0 + ($1.frames >> $1.orderPerBit) / 64 + 1 }, 8)
    pinSlots = place(pinSlotCount, 4)
    frames = place(frameCount, Page.stride)
    // Table pages begin on a page of the host, so that clearing one touches only its own.
    let tableBytes = geometry.tableEntries * 8
    tablePages = place(tablePageCount, tableBytes, align: min(4096, max(64, tableBytes)))
    size = (next + 4095) / 4096 * 4096
  }
}
