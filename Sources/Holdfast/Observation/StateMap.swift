import Interleaving

/// Where a machine's tables lie: for checks between two steps of an execution, which read rows as bytes.
///
/// Reading a row there is no schedule point and takes no lock, so nobody may act on the machine meanwhile.
@frozen
package struct StateMap: @unchecked Sendable {
  // Sendable: addresses that never change; who reads through them sees to it that nobody acts.
  package let base: UnsafeRawPointer
  package let size: Int
  package let processors: Range<Int>
  package let processorStride: Int
  package let nodes: Range<Int>
  package let zones: Range<Int>
  package let zoneStride: Int
  package let perCPULists: Range<Int>
  package let blocks: Int
  package let pageblockTypes: Int
  package let processes: Int
  package let spaces: Int
  package let records: Int
  package let tableMeta: Int
  package let slots: Int
  package let frames: Range<Int>
  package let tablePages: Int
  package let tableShift: Int
  package let tableBits: Int
  package let maxOrder: Int
  package let pageblockOrder: Int
  package let blockOrder: Int
  package let zeroPage: Int

  init(_ machine: Machine) {
    let layout = machine.layout
    base = UnsafeRawPointer(machine.arena)
    size = layout.size
    processorStride = layout.processorStride
    processors = layout.processors..<layout.processors + layout.processorCount * layout.processorStride
    nodes = layout.nodes..<layout.nodes + layout.nodeCount * Node.stride
    zoneStride = layout.zoneStride
    zones = layout.zones..<layout.zones + layout.zoneCount * layout.zoneStride
    perCPULists =
      layout.perCPULists..<layout.perCPULists + layout.processorCount * layout.zoneCount * PerCPULists.stride
    blocks = layout.blocks
    pageblockTypes = layout.pageblockTypes
    processes = layout.processes
    spaces = layout.spaces
    records = layout.pinRecords
    tableMeta = layout.tableMeta
    slots = layout.pinSlots
    frames = layout.frames..<layout.frames + layout.frameCount * Page.stride
    tablePages = layout.tablePages
    tableShift = machine.tableShift
    tableBits = machine.geometry.tableBits
    maxOrder = machine.geometry.maxOrder
    pageblockOrder = machine.geometry.pageblockOrder
    blockOrder = machine.geometry.blockOrder
    zeroPage = machine.zeroPageFrame.index
  }
}

extension Process {
  /// The scopes in force, read without a schedule point.
  package var unannouncedScope: AllocationScope {
    AllocationScope(rawValue: UnsafeRawPointer(row.raw).load(fromByteOffset: 16, as: UInt32.self))
  }
}

extension Machine {
  /// Where the tables lie.
  package var stateMap: StateMap { StateMap(self) }

  /// The order from which a large folio counts its pins exactly.
  package var leastExactOrder: Int { pinRules.leastExactOrder }
  /// What a pin adds to the references of any other folio.
  package var pinWeight: Int32 { pinRules.bias }
}
