/// Names of the words of a machine's state, for the schedules that an explorer prints.
extension Machine {
  /// What the word at an address is, such as `refcount of pfn:0x21`; empty for one outside the tables.
  package func stateName(at address: UInt) -> String {
    guard let place = statePlace(at: address) else { return "" }
    return place.row.isEmpty ? place.word.name : "\(place.word.name) of \(place.row)"
  }

  /// A word of the state: where, what, and of what row.
  struct StatePlace {
    let offset: Int
    let word: StateWord
    let row: String
  }

  func statePlace(at address: UInt) -> StatePlace? {
    let offset = Int(bitPattern: address) - Int(bitPattern: arena)
    guard offset >= 0, offset < layout.size else { return nil }
    if offset >= layout.tablePages {
      let page = (offset - layout.tablePages) >> tableShift
      let entry = (offset - layout.tablePages) & (1 << tableShift - 1)
      return StatePlace(
        offset: offset, word: StateWord("entry \(entry / 8)", .entry), row: "table page \(page)")
    }
    let tables = stateTables
    guard let table = tables.last(where: { $0.start <= offset }) else { return nil }
    let row = (offset - table.start) / max(1, table.stride)
    let byte = (offset - table.start) % max(1, table.stride)
    return StatePlace(offset: offset, word: table.words[byte] ?? "word \(byte)", row: table.row(row))
  }

  private struct StateTable {
    let start: Int
    let stride: Int
    let words: [Int: StateWord]
    let row: (Int) -> String
  }

  /// What is left of the failures that were asked for: words of the global row.
  private static let failureWords: [Int: StateWord] = Dictionary(
    uniqueKeysWithValues: FailurePoint.allCases.flatMap { point in
      let first = GlobalRow.firstFailure + point.number * 8
      return [
        (first, StateWord("failures asked for of \(point)", .number)),
        (first + 4, StateWord("attempts before failures of \(point)", .number)),
      ]
    })

  /// The tables by where they begin, with the words that actors meet at.
  private var stateTables: [StateTable] {
    [
      StateTable(
        start: layout.global, stride: GlobalRow.stride,
        words: [
          0: StateWord("hotplug lock", .lock), 4: StateWord("contiguous allocation lock", .lock),
          8: StateWord("tables lock", .lock), 12: StateWord("ledger lock", .lock),
          24: "LRU batches disabled", 28: "drain generation", 376: StateWord("hugetlb lock", .lock),
        ].merging(Self.failureWords) { one, _ in one }
      ) { _ in "" },
      StateTable(
        start: layout.processors, stride: layout.processorStride,
        words: [0: "walkers", 12: StateWord("LRU batch lock", .lock)]
      ) { "processor \($0)" },
      StateTable(start: layout.nodes, stride: Node.stride, words: [0: StateWord("LRU lock", .lock)]) {
        "node \($0)"
      },
      StateTable(start: layout.hugetlbPools, stride: HugetlbPool.stride, words: [:]) {
        "huge page pool \($0)"
      },
      StateTable(
        start: layout.zones, stride: layout.zoneStride,
        words: [
          0: StateWord("lock", .lock), 4: "per-CPU lists disabled", 24: StateWord("present", .number64),
          32: StateWord("managed", .number64), 40: StateWord("CMA", .number64),
          48: StateWord("free", .number64),
          56: StateWord("free CMA", .number64), 64: StateWord("isolated pageblocks", .number64),
        ]
      ) { "\(ZoneID(rawValue: $0))" },
      StateTable(
        start: layout.perCPULists, stride: PerCPULists.stride,
        words: [0: StateWord("lock", .lock), 8: "first frame of list 0", 24: "first frame of list 1"]
      ) { [layout] row in
        "per-CPU lists \(row / layout.zoneCount) of \(ZoneID(rawValue: row % layout.zoneCount))"
      },
      StateTable(start: layout.routes, stride: AllocationRoute.stride, words: [:]) {
        "route of processor \($0)"
      },
      StateTable(start: layout.blocks, stride: MemoryBlock.stride, words: [0: StateWord("state", .block)]) {
        "memory block \($0)"
      },
      StateTable(start: layout.sections, stride: 4, words: [0: StateWord("states", .bits)]) {
        "sections \($0 * 4)"
      },
      StateTable(start: layout.pageblockTypes, stride: 4, words: [0: StateWord("types", .bits)]) {
        "pageblocks \($0 * 4)"
      },
      StateTable(start: layout.cmaAreas, stride: CMAArea.stride, words: [:]) { "CMA area \($0)" },
      StateTable(start: layout.processes, stride: Process.stride, words: [32: "signals"]) { "process \($0)" },
      StateTable(
        start: layout.spaces, stride: AddressSpace.stride,
        words: [
          4: StateWord("lock", .readWrite), 8: StateWord("page table lock", .lock),
          12: "write protect sequence", 16: "flags", 40: StateWord("locked pages", .number64),
          48: StateWord("pinned pages", .number64), 56: StateWord("resident pages", .number64),
          80: StateWord("table pages", .number64),
        ]
      ) { "space \($0)" },
      StateTable(start: layout.areas, stride: Area.stride, words: [44: "anonymous group"]) { "area \($0)" },
      StateTable(start: layout.anonGroups, stride: AnonGroup.stride, words: [4: StateWord("lock", .lock)]) {
        "anonymous group \($0)"
      },
      StateTable(start: layout.objects, stride: BackingObject.stride, words: [4: StateWord("lock", .lock)]) {
        "object \($0)"
      },
      StateTable(start: layout.pinRecords, stride: PinRecord.stride, words: [:]) { "pin record \($0)" },
      StateTable(start: layout.tableMeta, stride: TableMeta.stride, words: [:]) { "table page \($0)" },
      StateTable(start: layout.cmaBitmaps, stride: 8, words: [0: StateWord("word", .bits)]) {
        "CMA bitmap \($0)"
      },
      StateTable(start: layout.pinSlots, stride: 4, words: [0: "frame"]) { "pin slot \($0)" },
      StateTable(
        start: layout.frames, stride: Page.stride,
        words: [
          0: "refcount", 4: "mapcount", 8: StateWord("flags", .flags), 16: "pincount", 20: "entire mapcount",
          24: "head offset",
          28: StateWord("type", .type), 32: StateWord("mapping", .mapping),
          56: StateWord("contents", .number64),
        ]
      ) { "\(FrameNumber($0))" },
    ]
  }
}
