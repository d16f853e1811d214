import Interleaving

@testable import Holdfast

/// A machine whose tables have room for long traces; one PMD entry maps 4 pages.
func smallMachine(
  frames: Int = 512, movable: Int = 0, policy: PlacementPolicy = .linux6_1, backing: FrameBacking = .none
) throws -> Machine {
  var configuration = MachineConfiguration.small(frames: frames, movable: movable)
  configuration.limits = TableLimits()
  configuration.limits.areas = 512
  configuration.limits.tablePages = 512
  configuration.policy = policy
  configuration.backing = backing
  return try Machine(configuration)
}

/// What the tables say about the descriptors, compared with what the descriptors say; nothing may run.
///
/// It follows rules 1.4, 1.5, 12.9 to 12.11, 12.37, and the counts that vmstat and smaps print.
func recount(_ machine: Machine) -> [String] {
  atRest { recountAtRest(machine) }
}

private func recountAtRest(_ machine: Machine) -> [String] {
  var wrong: [String] = []
  for processor in 0..<machine.configuration.processors {
    machine.lru.drain(processor: processor, on: processor)
  }
  var references: [FrameNumber: Int32] = [machine.global.zeroPage: 1]
  var mapcounts: [FrameNumber: Int32] = [:]
  var entire: [FrameNumber: Int32] = [:]
  var tableFrames: Set<FrameNumber> = []
  var tableCount = 0

  func check(tables: [RowID], of what: String) {
    for id in tables {
      let meta = machine.pageTables.tableMeta(id)
      references[meta.frame, default: 0] += 1
      tableFrames.insert(meta.frame)
      let used = (0..<machine.geometry.tableEntries).count {
        !machine.pageTables.tablePage(id).entry($0).load().isNone
      }
      let isDeposit = meta.used == 0 && used == 0
      if used != meta.used, !isDeposit {
        wrong.append("\(what): table \(id.rawValue) counts \(meta.used), has \(used)")
      }
    }
  }

  for process in machine.processes {
    let space = machine.spaces.space(process.space)
    let tables = machine.spaces.tables(of: space)
    tableCount += tables.count
    if tables.count != Int(space.tablePages.load()) {
      wrong.append("\(process.name): \(tables.count) tables, counted \(space.tablePages.load())")
    }
    check(tables: tables, of: process.name)
    var anon = 0
    var shared = 0
    for mapped in machine.spaces.mappings(of: process) {
      let entry = mapped.entry
      guard let area = machine.spaces.findArea(space, mapped.page) else {
        wrong.append("\(process.name): page \(mapped.page) is mapped outside areas")
        continue
      }
      guard entry.mapsFrame || entry.isExclusive, !entry.isSpecial else { continue }
      let head = machine.memmap.head(of: entry.frame)
      let folio = machine.memmap.page(head)
      references[head, default: 0] += 1
      let pages = mapped.level == 1 ? machine.geometry.tableEntries : 1
      if entry.isExclusive {
        // Resident and referred to; counted as a mapping from 6.15 on.
        if machine.policy.exclusiveAccess == .page { mapcounts[entry.frame, default: 0] += 1 }
      } else if mapped.level == 1 {
        entire[head, default: 0] += 1
      } else {
        mapcounts[entry.frame, default: 0] += 1
      }
      if !folio.isHugetlb {
        if folio.mapping.isAnonymous { anon += pages } else { shared += pages }
      }
      if folio.index + UInt64(entry.frame.index - head.index) != area.offset(of: mapped.page) {
        wrong.append("\(process.name): page \(mapped.page) maps index \(folio.index) of \(head)")
      }
      if entry.isExclusive { continue }
      if entry.isWritable, folio.mapping.isAnonymous, machine.policy.tracksExclusive,
        !machine.memmap.page(entry.frame).has(.anonExclusive)
      {
        wrong.append("\(process.name): page \(mapped.page) is writable but not exclusive")
      }
      if entry.isWritable, !area.flags.contains(.write) {
        wrong.append("\(process.name): page \(mapped.page) is writable, its area is not")
      }
    }
    if anon != Int(space.residentAnon.load()) || shared != Int(space.residentShared.load()) {
      wrong.append(
        "\(process.name): resident \(anon)+\(shared), counted \(space.residentAnon.load())+\(space.residentShared.load())"
      )
    }
  }

  var cached = 0
  var reserved = 0
  for row in 1..<(machine.pools.usedRows(.objects) + 1) {
    let object = machine.pageCache.object(RowID(rawValue: UInt32(row)))
    guard object.users > 0 else { continue }
    check(tables: machine.spaces.tables(of: object), of: "object \(row)")
    for mapped in machine.spaces.cacheEntries(of: object) {
      guard mapped.entry.isPresent else {
        reserved += 1
        continue
      }
      let head = mapped.entry.frame
      references[head, default: 0] += 1
      if !machine.memmap.page(head).isHugetlb { cached += 1 }
      if machine.memmap.page(head).mapping != PageMapping(object: RowID(rawValue: UInt32(row))) {
        wrong.append("\(head) is cached by object \(row) and belongs to another")
      }
    }
  }

  var anonPages: Int64 = 0
  var mappedPages: Int64 = 0
  for index in 0..<machine.frameCount {
    let frame = FrameNumber(index)
    let page = machine.memmap.page(frame)
    let head = machine.memmap.head(of: frame)
    if page.refcount.load() != references[frame] ?? 0 {
      wrong.append("\(frame): refcount \(page.refcount.load()), tables say \(references[frame] ?? 0)")
    }
    if page.mapcount.load() != mapcounts[frame] ?? 0 || page.entireMapcount.load() != entire[frame] ?? 0 {
      wrong.append(
        "\(frame): mapcount \(page.mapcount.load())+\(page.entireMapcount.load()), tables say \(mapcounts[frame] ?? 0)+\(entire[frame] ?? 0)"
      )
    }
    let pieces = page.isLarge && !page.isHugetlb ? 1 << page.order : 0
    let mapped = (0..<pieces).count { mapcounts[frame + $0] ?? 0 > 0 }
    let whole = pieces > 0 && entire[frame] ?? 0 > 0 ? Int(Page.wholeMapping) : 0
    if Int(page.pagesMapped.load()) != mapped + whole {
      wrong.append("\(frame): \(page.pagesMapped.load()) pages mapped, tables say \(mapped)+\(whole)")
    }
    let folio = machine.memmap.page(head)
    if mapcounts[frame] != nil || entire[head] != nil, !folio.isHugetlb {
      if folio.mapping.isAnonymous { anonPages += 1 } else { mappedPages += 1 }
    }
    if page.type == .table, !tableFrames.contains(frame) { wrong.append("\(frame): a table nobody has") }
  }
  let expected: [(NodeCounter, Int64)] = [
    (.anonPages, anonPages), (.mapped, mappedPages), (.shmem, Int64(cached)), (.filePages, Int64(cached)),
    (.pageTablePages, Int64(tableCount)),
  ]
  for (counter, value) in expected where machine.total(counter, node: nil) != value {
    wrong.append("\(counter): \(machine.total(counter, node: nil)), tables say \(value)")
  }
  if machine.reservedHugePages != reserved {
    wrong.append("\(machine.reservedHugePages) huge pages are promised, tables say \(reserved)")
  }
  return wrong
}

/// Frames that someone refers to, after the LRU batches are drained.
func framesInUse(_ machine: Machine) -> Int {
  for processor in 0..<machine.configuration.processors {
    machine.lru.drain(processor: processor, on: processor)
  }
  return (0..<machine.frameCount).count {
    machine.memmap.page(machine.memmap.head(of: FrameNumber($0))).refcount.load() > 0
  }
}

/// An entry in a few letters: what it maps and how.
func describe(_ machine: Machine, _ process: Process, _ address: VirtualAddress) -> String {
  let space = machine.spaces.space(process.space)
  guard let slot = machine.pageTables.leafSlot(space, address.page), !slot.entry.isNone else { return "none" }
  let entry = slot.entry
  if entry.isMigration { return "migration" }
  if entry.isExclusive { return entry.swapKind == .exclusiveWrite ? "device rw" : "device r" }
  let folio = machine.memmap.page(machine.memmap.head(of: entry.frame))
  var text = entry.isSpecial ? "zero" : folio.mapping.isAnonymous ? "anon" : "cache"
  if slot.level == 1 { text += " huge" }
  if !entry.isSpecial, machine.memmap.page(entry.frame).has(.anonExclusive) { text += " exclusive" }
  text += entry.isProtNone ? " none" : entry.isWritable ? " rw" : " r"
  if entry.has(PageTableEntry.dirty) { text += " dirty" }
  return text
}
