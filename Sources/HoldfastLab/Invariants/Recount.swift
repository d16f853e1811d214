import Holdfast
import Interleaving

/// What the tables say about each folio, counted anew: nothing here is taken from a counter.
struct Recount {
  /// References that the tables explain, by head.
  private(set) var references: [FrameNumber: Int] = [:]
  /// PTEs by page, PMD entries by head.
  private(set) var smallMappings: [FrameNumber: Int] = [:]
  private(set) var hugeMappings: [FrameNumber: Int] = [:]
  /// Logical pins by head.
  private(set) var pins: [FrameNumber: Int] = [:]
  /// Address spaces that map an exclusive page, by page.
  private(set) var mappers: [FrameNumber: Set<UInt32>] = [:]
  /// Heads found on LRU lists, with the list.
  private(set) var listed: [FrameNumber: LRUList] = [:]
  /// Heads found in batches.
  private(set) var batched: [FrameNumber: Int] = [:]
  /// Frames that hold table pages in use.
  private(set) var tableFrames: Set<FrameNumber> = []
  /// Those of them that are tables of an IOMMU.
  private(set) var translationFrames: Set<FrameNumber> = []
  /// Writable entries: page, and whether it is anonymous and not exclusive.
  private(set) var writableNotExclusive: [FrameNumber] = []
  /// Entries that map anonymous pages, or that devices have exclusively.
  private(set) var anonymousMappings: [(frame: FrameNumber, page: UInt64, space: RowID)] = []
  /// Frames that migration entries name.
  private(set) var migrating: [FrameNumber] = []
  /// Entries of pages that a device has exclusively.
  private(set) var exclusive: [(frame: FrameNumber, page: UInt64, space: RowID)] = []
  /// Lists that are broken: a sentence each.
  private(set) var brokenLists: [String] = []

  private let machine: Machine

  init(_ machine: Machine) {
    self.machine = machine
    countSpaces()
    countObjects()
    countTables()
    countRecords()
    countLists()
  }

  private mutating func refer(_ head: FrameNumber, by count: Int) { references[head, default: 0] += count }

  private mutating func countSpaces() {
    for index in 1...max(1, machine.pools.usedRows(.spaces)) {
      let id = RowID(rawValue: UInt32(index))
      let space = machine.spaces.space(id)
      guard space.live != 0, space.rootTable != .none else { continue }
      for mapped in machine.spaces.mappings(of: space) {
        note(mapped.entry, level: mapped.level, page: mapped.page, space: id)
      }
    }
  }

  private mutating func note(_ entry: PageTableEntry, level: Int, page: UInt64, space: RowID) {
    if entry.isMigration {
      migrating.append(entry.frame)
      return
    }
    guard entry.mapsFrame || entry.isExclusive, !entry.isSpecial else { return }
    let head = machine.memmap.head(of: entry.frame)
    refer(head, by: 1)
    if entry.isExclusive {
      exclusive.append((entry.frame, page, space))
      if machine.policy.exclusiveAccess == .page { smallMappings[entry.frame, default: 0] += 1 }
    } else if level == 1 {
      hugeMappings[head, default: 0] += 1
    } else {
      smallMappings[entry.frame, default: 0] += 1
    }
    let isExclusive = machine.memmap.page(entry.frame).has(.anonExclusive)
    guard machine.memmap.page(head).mapping.isAnonymous else { return }
    anonymousMappings.append((entry.frame, page, space))
    if isExclusive { mappers[entry.frame, default: []].insert(space.rawValue) }
    if entry.mapsFrame, entry.isWritable, !isExclusive { writableNotExclusive.append(entry.frame) }
  }

  private mutating func countObjects() {
    for index in 1...max(1, machine.pools.usedRows(.objects)) {
      let object = machine.pageCache.object(RowID(rawValue: UInt32(index)))
      guard object.users != 0, object.rootTable != .none else { continue }
      for cached in machine.spaces.cacheEntries(of: object) where cached.entry.mapsFrame {
        let head = machine.memmap.head(of: cached.entry.frame)
        // A hugetlb folio's cache holds one reference, whatever its size.
        let isWhole = cached.level == 1 && !machine.memmap.page(head).isHugetlb
        refer(head, by: isWhole ? machine.memmap.folioPages(head) : 1)
      }
    }
  }

  private mutating func countTables() {
    for index in 1...max(1, machine.pools.usedRows(.tablePages)) {
      let meta = machine.pageTables.tableMeta(RowID(rawValue: UInt32(index)))
      guard meta.live != 0 else { continue }
      tableFrames.insert(meta.frame)
      refer(meta.frame, by: 1)
    }
    for domain in machine.liveContainers.flatMap(machine.devices.domains) {
      for table in machine.devices.tables(of: domain) {
        translationFrames.insert(machine.pageTables.tableMeta(table).frame)
      }
    }
  }

  private mutating func countRecords() {
    var held: [(FrameNumber, Bool)] = []
    machine.ledger.forEachRecord { record, frames in
      let isPin = record.kind == Ledger.pinKind
      for frame in frames where frame != .none { held.append((frame, isPin)) }
    }
    for (frame, isPin) in held {
      let head = machine.memmap.head(of: frame)
      if isPin {
        if frame == machine.pinRules.uncountedZeroPage { continue }
        pins[head, default: 0] += 1
        let exact =
          machine.pinRules.countsExactly(machine.memmap.page(head)) || machine.policy.counting == .reference
        refer(head, by: exact ? 1 : Int(machine.configuration.pinBias))
      } else {
        refer(head, by: 1)
      }
    }
  }

  private mutating func countLists() {
    for index in 0..<machine.configuration.processors {
      let cpu = machine.processor(index)
      for i in 0..<cpu.batchCount {
        batched[cpu.batchEntry(i), default: 0] += 1
        refer(cpu.batchEntry(i), by: 1)
      }
    }
    for node in machine.configuration.nodes.indices {
      for which in LRUList.allCases {
        let list = machine.node(node).list(which)
        var frame = list.first
        var previous = FrameNumber.none
        var count = 0
        while frame != .none, count <= list.count {
          if machine.memmap.page(frame).previous != previous {
            brokenLists.append("\(which) of node \(node): \(frame) does not point back to \(previous)")
          }
          if listed.updateValue(which, forKey: frame) != nil {
            brokenLists.append("\(frame) is on an LRU list twice")
          }
          count += 1
          previous = frame
          frame = machine.memmap.page(frame).next
        }
        if count != list.count || list.last != previous {
          brokenLists.append("\(which) of node \(node): \(count) folios where \(list.count) are counted")
        }
      }
    }
  }
}
