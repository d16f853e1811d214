import TestThreads
import Testing

@testable import Holdfast

/// A small random generator, so that a trace repeats.
struct TraceRandom {
  var state: UInt64

  mutating func next(_ bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(bound))
  }
}

@Suite struct AddressSpaceTraceTests {
  @Test(
    "random calls of two processes on shared objects: the recount holds after every step, exit frees everything",
    arguments: [1, 2, 3, 4] as [UInt64], [PlacementPolicy.linux6_1, .linux5_10])
  func trace(_ seed: UInt64, _ policy: PlacementPolicy) throws {
    let machine = try smallMachine(policy: policy)
    var random = TraceRandom(state: seed)
    var refused = 0
    try run(machine, &random, steps: 400, refused: &refused) { step in
      let wrong = recount(machine)
      #expect(wrong == [], "step \(step)")
      return wrong.isEmpty
    }
    #expect(refused < 300)
    #expect(framesInUse(machine) == 1)
  }

  @Test(
    "allocations, rows or both fail at every point of the same trace: nothing leaks, no count is wrong",
    arguments: [FailurePoint.allocation, .table])
  func injected(_ point: FailurePoint) throws {
    for delay in 0..<60 {
      let machine = try smallMachine()
      var random = TraceRandom(state: 77)
      machine.injectFailures(point, count: 3, after: delay)
      var refused = 0
      try run(machine, &random, steps: 60, refused: &refused) { _ in true }
      #expect(recount(machine) == [], "after \(delay)")
      #expect(framesInUse(machine) == 1, "after \(delay)")
    }
  }

  @Test(
    "two threads, a process each, on one object: faults, unmapping and the reverse mapping at the same time")
  func threads() throws {
    let machine = try smallMachine()
    let processes = try (0..<2).map { try machine.createProcess(name: "thread \($0)", processor: $0) }
    let object = try machine.createObject(kind: .memfd, pages: 8, for: processes[0])
    try together(2, rounds: 200) { thread, rounds in
      var random = TraceRandom(state: UInt64(thread))
      let process = processes[thread]
      for round in rounds {
        let isShared = random.next(2) == 0
        let kind: MappingKind = isShared ? .object(object) : .object(object, shared: false)
        guard let address = try? machine.map(process, pages: 8, kind: kind) else { continue }
        for _ in 0..<8 {
          let page = UInt64(random.next(8) * pageSize)
          if let frame = try? machine.touch(process, address + page, write: random.next(2) == 0), !isShared {
            // Only what this thread maps privately may be looked at without a reference.
            if machine.memmap.page(frame).mapping.isAnonymous {
              machine.reverseMap.forEachMapping(of: frame) { _, _, _ in true }
            }
          }
        }
        if round % 2 == 0 { try? machine.advise(process, AddressRange(start: address, pages: 5), .dontNeed) }
        try? machine.unmap(process, AddressRange(start: address, pages: 8))
      }
    }
    #expect(recount(machine) == [])
    machine.closeObject(object, for: processes[0])
    for process in processes { machine.exit(process) }
    #expect(framesInUse(machine) == 1)
  }

  /// Runs a trace and ends it: processes exit, handles are closed, the pool of huge pages is given back.
  private func run(
    _ machine: Machine, _ random: inout TraceRandom, steps: Int, refused: inout Int,
    _ check: (Int) throws -> Bool
  ) throws {
    var processes: [Process] = []
    for name in ["one", "two"] {
      // The second attempt finds the injected failures used up, at the latest the fourth.
      for _ in 0..<4 {
        guard let made = try? machine.createProcess(name: name, processor: processes.count) else { continue }
        processes.append(made)
        break
      }
    }
    var objects: [ObjectHandle] = []
    for kind in [ObjectKind.memfd, .hugetlb] {
      if let made = try? machine.createObject(kind: kind, pages: 16, for: processes[0]) {
        objects.append(made)
      }
    }
    _ = try? machine.reserveHugePages(node: 0, count: 6, for: processes[0])
    for step in 0..<steps {
      let process = processes[random.next(2)]
      let range = AddressRange(
        start: VirtualAddress(page: UInt64(200 + random.next(48))), pages: 1 + random.next(10))
      do {
        switch random.next(12) {
        case 0, 1:
          let kind: MappingKind =
            switch random.next(6) {
            case 0, 1: .privateAnonymous
            case 2: .sharedAnonymous
            case 3: .hugetlb
            default:
              if objects.isEmpty {
                .privateAnonymous
              } else {
                .object(
                  objects[random.next(objects.count)], offset: UInt64(random.next(3) * 4),
                  shared: random.next(2) == 0)
              }
            }
          let pages = random.next(2) == 0 ? 8 : 1 + random.next(8)
          let start = VirtualAddress(page: range.start.page & (pages == 8 ? ~3 : ~0))
          try machine.map(
            process, pages: pages, kind: kind, at: random.next(3) == 0 ? .anywhere : .fixed(start),
            populate: random.next(4) == 0)
        case 2: try machine.unmap(process, range)
        case 3: try machine.protect(process, range, [[], .read, .readWrite, .readWrite][random.next(4)])
        case 4: try machine.advise(process, range, Advice.implemented[random.next(5)])
        case 5: try machine.advise(process, range, .hugePage)
        case 6: try machine.fill(process, range.start, pages: 3, pattern: 1000 + UInt64(step))
        default: try machine.touch(process, range.start, write: random.next(3) > 0)
        }
      } catch {
        refused += 1
      }
      if step % 97 == 96 {
        let index = random.next(2)
        machine.exit(processes[index])
        var made: Process?
        while made == nil { made = try? machine.createProcess(name: "again", processor: index) }
        if let made { processes[index] = made }
      }
      guard try check(step) else { break }
    }
    for object in objects { machine.closeObject(object, for: processes[0]) }
    machine.exit(processes[1])
    _ = try machine.reserveHugePages(node: 0, count: 0, for: processes[0])
    machine.exit(processes[0])
  }
}
