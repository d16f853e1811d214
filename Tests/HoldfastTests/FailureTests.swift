import Interleaving
import Testing

@testable import Holdfast

/// Injected failures at every point of a process's life.
@Suite struct FailureTests {
  /// What a process does in its life: map, touch, pin, unpin; what fails does not end it.
  private static func live(_ rig: PinRig, _ kind: PageKind) {
    let machine = rig.machine
    guard let process = try? machine.createProcess(name: "actor", memlockLimit: .max) else { return }
    defer { machine.exit(process) }
    var object: ObjectHandle?
    defer { if let object { machine.closeObject(object, for: process) } }
    var mapping = MappingKind.privateAnonymous
    switch kind {
    case .sharedAnonymous: mapping = .sharedAnonymous
    case .memfd:
      object = try? machine.createObject(kind: .memfd, pages: 4, for: process)
      if let object { mapping = .object(object) }
    case .hugetlb:
      _ = try? machine.reserveHugePages(node: 0, count: 1, for: process)
      mapping = .hugetlb
    default: break
    }
    defer { if kind == .hugetlb { _ = try? machine.reserveHugePages(node: 0, count: 0, for: process) } }
    guard let start = try? machine.map(process, pages: 4, kind: mapping) else { return }
    if kind == .hugePMD { try? machine.advise(process, AddressRange(start: start, pages: 4), .hugePage) }
    _ = try? machine.touch(process, start, write: true)
    for entry in [PinEntry.fast, .slow] {
      // The values end where they are made: a pin that worked is given back at once.
      if let pins = try? machine.pin(
        process, at: start, pages: 4, flags: [.write, .longterm], entry: entry, accounting: .pinned)
      {
        pins.unpin(0..<1, markDirty: true)
      }
    }
    if let gets = try? machine.get(process, at: start, pages: 4) { gets.put() }
    try? machine.unmap(process, AddressRange(start: start, pages: 4))
  }

  @Test(
    "the n-th chance of every failure point, for every n: nothing leaks (rules 12.19, 12.25)",
    arguments: FailurePoint.allCases)
  func everyChance(_ point: FailurePoint) throws {
    var chances = 0
    for kind in [PageKind.anonymous, .sharedAnonymous, .memfd, .hugetlb, .hugePMD] {
      for policy in [PlacementPolicy.linux6_1, .movableV4, .linux5_10, .linuxMainline] {
        var n = 0
        while true {
          let what = "\(point) \(kind.rawValue) \(policy.name) chance \(n)"
          let rig = try PinRig(.movable, policy: policy, frames: 128)
          let machine = rig.machine
          // Whatever is made once and stays is made first.
          Self.live(rig, kind)
          machine.lru.drainAll(for: rig.process)
          let before = Self.resources(rig)
          machine.injectFailures(point, count: 1, after: n)
          Self.live(rig, kind)
          let hasFailed = machine.global.failures(point).load() == 0
          machine.injectFailures(point, count: 0)
          machine.lru.drainAll(for: rig.process)
          #expect(Self.resources(rig) == before, "\(what)")
          #expect(rig.acquired == rig.released, "\(what), pins")
          rig.check(what)
          if !hasFailed { break }
          n += 1
          chances += 1
          if n > 200 {
            Issue.record("\(what): no end")
            break
          }
        }
      }
    }
    // A life without a chance to fail would pass unseen; none takes memory offline.
    let fewest =
      switch point {
      case .notifier: 0
      case .copy, .unmap, .pageLock, .isolation, .reference: 14
      case .allocation, .memlock, .table: 40
      }
    #expect(chances >= fewest, "\(point): \(chances) chances")
  }

  /// What a life must have given back: frames, rows of every table, pin slots, huge pages.
  private static func resources(_ rig: PinRig) -> [String] { atRest { resourcesAtRest(rig) } }

  private static func resourcesAtRest(_ rig: PinRig) -> [String] {
    let machine = rig.machine
    var found = ["free frames \(machine.freeFrames)"]
    for pool in TablePool.allCases {
      let state = machine.global.pool(pool)
      var free = 0
      var next = state.firstFree
      while next != .none {
        free += 1
        next = Self.nextRow(machine, pool, next)
      }
      found.append("\(pool): \(Int(state.used) - free) rows in use")
    }
    found.append("\(machine.hugetlbCounts(node: 0)), \(machine.reservedHugePages) promised")
    for counter in NodeCounter.allCases where ![.follPinAcquired, .follPinReleased].contains(counter) {
      found.append("\(counter) \(machine.total(counter))")
    }
    return found
  }

  private static func nextRow(_ machine: Machine, _ pool: TablePool, _ id: RowID) -> RowID {
    let row =
      switch pool {
      case .processes: machine.spaces.process(ProcessID(rawValue: id.rawValue)).row
      case .spaces: machine.spaces.space(id).row
      case .areas: machine.spaces.area(id).row
      case .anonGroups: machine.reverseMap.anonGroup(id).row
      case .objects: machine.pageCache.object(id).row
      case .tablePages: machine.pageTables.tableMeta(id).row
      case .containers: machine.devices.container(id).row
      case .domains: machine.devices.domain(id).row
      case .deviceGroups: machine.devices.group(id).row
      case .mappings: machine.devices.mapping(id).row
      case .sharedMemory: machine.devices.source(id).row
      case .mirrors: machine.mirrors.mirror(id).row
      case .mirroredPages: machine.mirrors.page(id).row
      case .pinRecords: machine.ledger.pinRecord(id).row
      }
    return row[PooledRow.nextFree]
  }
}
