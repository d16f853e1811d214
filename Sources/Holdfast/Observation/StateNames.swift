/// Names of the words of a machine's state, for the schedules that an explorer prints.
extension Machine {
  /// What the word at an address is, such as `refcount of pfn:0x21`; empty for one outside the tables.
  package func stateName(at address: UInt) -> String {
    let offset = Int(bitPattern: address) - Int(bitPattern: arena)
    guard offset >= 0, offset < layout.size else { return "" }
    if offset >= layout.tablePages {
      let page = (offset - layout.tablePages) >> tableShift
      let entry = (offset - layout.tablePages) & (1 << tableShift - 1)
      return "entry \(entry / 8) of table page \(page)"
    }
    let tables = stateTables
    guard let table = tables.last(where: { $0.start <= offset }) else { return "" }
    let row = (offset - table.start) / max(1, table.stride)
    let byte = (offset - table.start) % max(1, table.stride)
    let word = table.words[byte] ?? "word \(byte)"
    return table.row(row).isEmpty ? word : "\(word) of \(table.row(row))"
  }

  private struct StateTable {
    let start: Int
    let stride: Int
    let words: [Int: String]
    let row: (Int) -> String
  }

  /// The tables by where they begin, with the words that actors meet at.
  private var stateTables: [StateTable] {
    [
      StateTable(
        start: layout.global, stride: GlobalRow.stride,
        words: [
          0: "hotplug lock", 4: "contiguous allocation lock", 8: "tables lock", 12: "ledger lock",
          24: "LRU batches disabled", 28: "drain generation", 376: "hugetlb lock",
        ]
      ) { _ in "" },
      StateTable(
        start: layout.processors, stride: layout.processorStride, words: [0: "walkers", 12: "LRU batch lock"]
      ) { "processor \($0)" },
      StateTable(start: layout.nodes, stride: Node.stride, words: [0: "LRU lock"]) { "node \($0)" },
      StateTable(start: layout.hugetlbPools, stride: HugetlbPool.stride, words: [:]) {
        "huge page pool \($0)"
      },
      StateTable(
        start: layout.zones, stride: layout.zoneStride,
        words: [
          0: "lock", 4: "per-CPU lists disabled", 24: "present", 32: "managed", 40: "CMA", 48: "free",
          56: "free CMA", 64: "isolated pageblocks",
        ]
      ) { "\(ZoneID(rawValue: $0))" },
      StateTable(start: layout.perCPULists, stride: PerCPULists.stride, words: [0: "lock"]) { [layout] row in
        "per-CPU lists \(row / layout.zoneCount) of \(ZoneID(rawValue: row % layout.zoneCount))"
      },
      StateTable(start: layout.routes, stride: AllocationRoute.stride, words: [:]) {
        "route of processor \($0)"
      },
      StateTable(start: layout.blocks, stride: MemoryBlock.stride, words: [0: "state"]) {
        "memory block \($0)"
      },
      StateTable(start: layout.sections, stride: 4, words: [0: "states"]) { "sections \($0 * 4)" },
      StateTable(start: layout.pageblockTypes, stride: 4, words: [0: "types"]) { "pageblocks \($0 * 4)" },
      StateTable(start: layout.cmaAreas, stride: CMAArea.stride, words: [:]) { "CMA area \($0)" },
      StateTable(start: layout.processes, stride: Process.stride, words: [32: "signals"]) { "process \($0)" },
      StateTable(
        start: layout.spaces, stride: AddressSpace.stride,
        words: [
          4: "lock", 8: "page table lock", 12: "write protect sequence", 16: "flags", 40: "locked pages",
          48: "pinned pages", 56: "resident pages", 80: "table pages",
        ]
      ) { "space \($0)" },
      StateTable(start: layout.areas, stride: Area.stride, words: [44: "anonymous group"]) { "area \($0)" },
      StateTable(start: layout.anonGroups, stride: AnonGroup.stride, words: [4: "lock"]) {
        "anonymous group \($0)"
      },
      StateTable(start: layout.objects, stride: BackingObject.stride, words: [4: "lock"]) { "object \($0)" },
      StateTable(start: layout.pinRecords, stride: PinRecord.stride, words: [:]) { "pin record \($0)" },
      StateTable(start: layout.tableMeta, stride: TableMeta.stride, words: [:]) { "table page \($0)" },
      StateTable(start: layout.cmaBitmaps, stride: 8, words: [0: "word"]) { "CMA bitmap \($0)" },
      StateTable(start: layout.pinSlots, stride: 4, words: [0: "frame"]) { "pin slot \($0)" },
      StateTable(
        start: layout.frames, stride: Page.stride,
        words: [
          0: "refcount", 4: "mapcount", 8: "flags", 16: "pincount", 20: "entire mapcount", 24: "head offset",
          28: "type", 32: "mapping", 56: "contents",
        ]
      ) { "\(FrameNumber($0))" },
    ]
  }
}
