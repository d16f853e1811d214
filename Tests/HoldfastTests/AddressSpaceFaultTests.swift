import Interleaving
import Testing

@testable import Holdfast

/// What a mapping is, in the tables below.
enum TestArea: String, CaseIterable, Sendable {
  case anonymous, huge, shared, memfd, privateMemfd, hugetlb, sharedHugetlb
}

/// A step on one page, in the tables below.
enum TestStep: Sendable {
  case read, write, unshare, forceWrite, readOnly, readWrite, noAccess, drop
}

struct TestMapping {
  let machine: Machine
  let process: Process
  let address: VirtualAddress

  init(_ machine: Machine, _ area: TestArea, pages: Int = 8) throws {
    self.machine = machine
    process = try machine.createProcess(name: "test")
    if area == .hugetlb || area == .sharedHugetlb {
      try machine.reserveHugePages(node: 0, count: 4, for: process)
    }
    let kind: MappingKind =
      switch area {
      case .anonymous, .huge: .privateAnonymous
      case .shared: .sharedAnonymous
      case .memfd, .privateMemfd:
        .object(
          try machine.createObject(kind: .memfd, pages: pages, for: process), shared: area == .memfd)
      case .hugetlb: .hugetlb
      case .sharedHugetlb: .object(try machine.createObject(kind: .hugetlb, pages: pages, for: process))
      }
    address = try machine.map(process, pages: pages, kind: kind)
    if area == .huge { try machine.advise(process, AddressRange(start: address, pages: pages), .hugePage) }
  }

  func range(_ first: Int, _ pages: Int) -> AddressRange {
    AddressRange(start: address + UInt64(first * pageSize), pages: pages)
  }

  func fault(_ page: Int, _ flags: FaultFlags) {
    let space = machine.spaces.space(process.space)
    space.lock.lockShared()
    let at = address.page + UInt64(page)
    if let area = machine.spaces.findArea(space, at) {
      _ = machine.faults.handle(process, space, area, page: at, flags)
    }
    space.lock.unlockShared()
  }

  func run(_ step: TestStep) throws {
    switch step {
    case .read: try machine.touch(process, address, write: false)
    case .write: try machine.touch(process, address, write: true)
    case .unshare: fault(0, .unshare)
    case .forceWrite: fault(0, .write)
    case .readOnly: try machine.protect(process, range(0, 8), .read)
    case .readWrite: try machine.protect(process, range(0, 8), .readWrite)
    case .noAccess: try machine.protect(process, range(0, 8), [])
    case .drop: try machine.advise(process, range(0, 8), .dontNeed)
    }
  }
}

@Suite struct AddressSpaceFaultTests {
  @Test(
    "rules 5.9 and 1.13: which entry a sequence of accesses leaves, per kind of area",
    arguments: [
      (TestArea.anonymous, [TestStep.read], "zero r"),
      (.anonymous, [.write], "anon exclusive rw dirty"),
      (.anonymous, [.read, .write], "anon exclusive rw dirty"),
      (.anonymous, [.read, .unshare], "zero r"),
      (.anonymous, [.write, .readOnly], "anon exclusive r dirty"),
      (.anonymous, [.write, .readOnly, .unshare], "anon exclusive r dirty"),
      (.anonymous, [.write, .readOnly, .forceWrite], "anon exclusive r dirty"),
      (.anonymous, [.write, .readOnly, .readWrite], "anon exclusive rw dirty"),
      (.anonymous, [.write, .noAccess], "anon exclusive none dirty"),
      (.anonymous, [.write, .noAccess, .readWrite], "anon exclusive rw dirty"),
      (.anonymous, [.read, .noAccess, .readWrite, .write], "anon exclusive rw dirty"),
      (.anonymous, [.write, .drop], "none"),
      (.huge, [.read], "zero r"),
      (.huge, [.write], "anon huge exclusive rw dirty"),
      (.huge, [.write, .readOnly, .readWrite], "anon huge exclusive r dirty"),
      (.huge, [.write, .readOnly, .readWrite, .write], "anon huge exclusive rw dirty"),
      (.huge, [.write, .drop], "none"),
      (.shared, [.read], "cache rw"),
      (.shared, [.write], "cache rw dirty"),
      (.shared, [.read, .readOnly, .readWrite], "cache rw"),
      (.memfd, [.write, .readOnly], "cache r dirty"),
      (.memfd, [.write, .drop], "none"),
      (.privateMemfd, [.read], "cache r"),
      (.privateMemfd, [.read, .unshare], "cache r"),
      (.privateMemfd, [.write], "anon exclusive rw dirty"),
      (.privateMemfd, [.read, .write], "anon exclusive rw dirty"),
      (.hugetlb, [.read], "anon huge exclusive r"),
      (.hugetlb, [.read, .write], "anon huge exclusive rw dirty"),
      (.hugetlb, [.write, .drop], "none"),
      (.sharedHugetlb, [.read], "cache huge rw"),
      (.sharedHugetlb, [.write], "cache huge rw dirty"),
    ])
  func entries(_ area: TestArea, _ steps: [TestStep], _ expected: String) throws {
    let machine = try smallMachine()
    let mapping = try TestMapping(machine, area)
    for step in steps {
      try mapping.run(step)
      #expect(recount(machine) == [])
    }
    #expect(describe(machine, mapping.process, mapping.address) == expected)
  }

  @Test(
    "mainline: unsharing gives a page of one's own for the zero page and for pages of objects too (rule 5.8)",
    arguments: [TestArea.anonymous, .privateMemfd])
  func mainlineUnshares(_ area: TestArea) throws {
    let machine = try smallMachine(policy: .linuxMainline)
    let mapping = try TestMapping(machine, area)
    try mapping.run(.read)
    try mapping.run(.unshare)
    #expect(describe(machine, mapping.process, mapping.address) == "anon exclusive r")
    #expect(recount(machine) == [])
  }

  @Test(
    "rule 5.9, row 15 of the catalogue: an extra reference makes older kernels copy, 6.1 keeps an exclusive page",
    arguments: [
      (PlacementPolicy.linux6_1, false, true), (.linux5_13, true, true), (.linux5_13, false, false),
    ])
  func reuse(_ policy: PlacementPolicy, _ isDrained: Bool, _ isKeptWithoutExtra: Bool) throws {
    for extra: Int32 in [0, 1, 1024] {
      let machine = try smallMachine(policy: policy)
      let mapping = try TestMapping(machine, .anonymous)
      let first = try machine.touch(mapping.process, mapping.address, write: true)
      if isDrained { machine.lru.drain(processor: 0, on: 0) }
      machine.folios.get(first, refs: extra + 1)
      machine.folios.put(first, on: 0)
      try mapping.run(.readOnly)
      try mapping.run(.readWrite)
      let second = try machine.touch(mapping.process, mapping.address, write: true)
      #expect((second == first) == (policy.tracksExclusive || (extra == 0 && isKeptWithoutExtra)))
      if extra > 0 { machine.folios.put(first, refs: extra, on: 0) }
      #expect(recount(machine) == [])
    }
  }

  @Test(
    "shared mappings show each other's writes, private ones do not, and real bytes are copied and zeroed",
    arguments: [FrameBacking.none, .memfd])
  func contents(_ backing: FrameBacking) throws {
    let machine = try smallMachine(frames: 128, backing: backing)
    let one = try machine.createProcess(name: "one")
    let other = try machine.createProcess(name: "other", processor: 1)
    let object = try machine.createObject(kind: .memfd, pages: 8, for: one)
    let shared = try machine.map(one, pages: 8, kind: .object(object))
    let window = try machine.map(other, pages: 4, kind: .object(object, offset: 4))
    let copy = try machine.map(other, pages: 8, kind: .object(object, shared: false))
    try machine.fill(one, shared, pages: 8, pattern: 100)
    #expect(try machine.check(other, window, pages: 4, pattern: 104) == nil)
    #expect(try machine.check(other, copy, pages: 8, pattern: 100) == nil)
    try machine.fill(other, copy, pages: 4, pattern: 7)
    #expect(try machine.check(one, shared, pages: 8, pattern: 100) == nil)
    try machine.fill(one, shared, pages: 8, pattern: 200)
    #expect(try machine.check(other, copy, pages: 4, pattern: 7) == nil)
    #expect(try machine.check(other, copy + UInt64(4 * pageSize), pages: 4, pattern: 204) == nil)
    #expect(try machine.check(other, window, pages: 4, pattern: 200) == window)
    machine.exit(one)
    #expect(try machine.check(other, window, pages: 4, pattern: 204) == nil)
    let fresh = try machine.map(other, pages: 4)
    #expect(try machine.check(other, fresh, pages: 4, pattern: 0) == nil)
    #expect(recount(machine) == [])
    machine.closeObject(object, for: other)
    machine.exit(other)
    #expect(framesInUse(machine) == 1)
  }

  @Test("a huge page that cannot be had is counted, and small pages serve instead")
  func hugeFallback() throws {
    let machine = try smallMachine()
    let mapping = try TestMapping(machine, .huge)
    machine.injectFailures(.allocation, count: 1, after: 2)
    try mapping.run(.write)
    #expect(describe(machine, mapping.process, mapping.address) == "anon exclusive rw dirty")
    #expect(machine.total(.thpFaultFallback) == 1 && machine.total(.thpFaultAlloc) == 0)
    try machine.touch(mapping.process, mapping.address + UInt64(4 * pageSize), write: true)
    #expect(machine.total(.thpFaultAlloc) == 1)
    #expect(machine.total(.anonTransparentHugePages, node: nil) == 1)
    #expect(recount(machine) == [])
  }

  @Test(
    "a part of a huge mapping is taken away or changed: entries are split, the folio is not",
    arguments: [
      (1, 1, TestStep.drop), (0, 3, .drop), (3, 2, .drop), (2, 6, .drop), (1, 2, .readOnly),
      (0, 4, .readOnly),
      (3, 3, .noAccess),
    ])
  func partOfHuge(_ first: Int, _ pages: Int, _ step: TestStep) throws {
    for isUnmap in [false, true] {
      let machine = try smallMachine()
      let mapping = try TestMapping(machine, .huge)
      let process = mapping.process
      try machine.fill(process, mapping.address, pages: 8, pattern: 50)
      let range = mapping.range(first, pages)
      switch step {
      case .drop where isUnmap: try machine.unmap(process, range)
      case .drop: try machine.advise(process, range, .dontNeed)
      case .readOnly: try machine.protect(process, range, .read)
      default: try machine.protect(process, range, [])
      }
      #expect(recount(machine) == [])
      for page in 0..<8 {
        let at = mapping.address + UInt64(page * pageSize)
        let isInside = (first..<first + pages).contains(page)
        let isWhole = (first <= page & 4) && (first + pages >= page & 4 + 4)
        let isTouched = first < page & 4 + 4 && first + pages > page & 4
        let size = isTouched && !isWhole ? "" : " huge"
        let expected =
          switch step {
          case .drop where isInside: "none"
          case .readOnly where isInside: "anon\(size) exclusive r dirty"
          case .noAccess where isInside: "anon\(size) exclusive none dirty"
          default: "anon\(size) exclusive rw dirty"
          }
        #expect(describe(machine, process, at) == expected, "page \(page)")
        if expected.contains("rw") {
          #expect(try machine.check(process, at, pages: 1, pattern: 50 + UInt64(page)) == nil)
        }
      }
      machine.exit(process)
      #expect(framesInUse(machine) == 1)
    }
  }

  @Test(
    "the reverse mapping finds every area that maps a page, and where (rule 1.4; areas split off share the group)"
  )
  func reverseMapping() throws {
    let machine = try smallMachine()
    let mapping = try TestMapping(machine, .huge)
    let process = mapping.process
    let anon = try machine.touch(process, mapping.address + UInt64(5 * pageSize), write: true)
    try machine.protect(process, mapping.range(6, 1), .read)
    func places(_ head: FrameNumber) -> Set<[UInt64]> {
      let folio = machine.memmap.page(head)
      if !folio.mapping.isAnonymous { folio.lock.lock() }
      defer { if !folio.mapping.isAnonymous { folio.lock.unlock() } }
      var found: Set<[UInt64]> = []
      machine.reverseMap.forEachMapping(of: head) { space, area, page in
        found.insert([UInt64(space.owner.rawValue), page - area.start, area.end - page])
        return true
      }
      return found
    }
    let owner = UInt64(process.id.rawValue)
    #expect(places(machine.memmap.head(of: anon)) == [[owner, 4, 2], [owner, 0, 1]])

    let other = try machine.createProcess(name: "other")
    let object = try machine.createObject(kind: .memfd, pages: 8, for: process)
    let first = try machine.map(process, pages: 8, kind: .object(object))
    try machine.map(other, pages: 4, kind: .object(object, offset: 4, shared: false))
    try machine.map(other, pages: 2, kind: .object(object))
    let cached = try machine.touch(process, first + UInt64(5 * pageSize), write: true)
    #expect(places(cached) == [[owner, 5, 3], [UInt64(other.id.rawValue), 1, 3]])
  }

  @Test(
    "the sizes of x86-64: 512 pages to a huge one, and a terabyte that is mapped, changed and never touched")
  func realGeometry() throws {
    var configuration = MachineConfiguration(frames: 16384)
    configuration.minFreeKiB = 0
    let machine = try Machine(configuration)
    let before = framesInUse(machine)
    let process = try machine.createProcess(name: "large")
    let vast = try machine.map(process, pages: 1 << 28)
    try machine.protect(process, AddressRange(start: vast, pages: 1 << 28), .read)
    try machine.protect(process, AddressRange(start: vast, pages: 1 << 27), .readWrite)
    let address = try machine.map(process, pages: 1024)
    try machine.advise(process, AddressRange(start: address, pages: 1024), .hugePage)
    try machine.advise(process, AddressRange(start: address, pages: 1024), .populateWrite)
    #expect(machine.total(.thpFaultAlloc) == 2 && machine.total(.pgfault) == 2)
    try machine.fill(process, address, pages: 1024, pattern: 5)
    try machine.unmap(process, AddressRange(start: address + UInt64(pageSize), pages: 1))
    #expect(machine.usage(of: process).residentAnon == 1023)
    #expect(machine.areaUsage(of: process).map(\.anonymousHuge).reduce(0, +) == 512)
    let rest = address + UInt64(2 * pageSize)
    #expect(try machine.check(process, rest, pages: 1022, pattern: 7) == nil)
    machine.exit(process)
    #expect(framesInUse(machine) == before)
  }

  @Test("a pinned page outlives its mapping and its process (rule 5.12)")
  func orphans() throws {
    let machine = try smallMachine()
    let mapping = try TestMapping(machine, .huge)
    let small = try TestMapping(machine, .memfd)
    let frames = [
      try machine.touch(mapping.process, mapping.address, write: true),
      try machine.touch(small.process, small.address, write: true),
    ]
    for frame in frames { machine.folios.get(machine.memmap.head(of: frame)) }
    machine.exit(mapping.process)
    machine.exit(small.process)
    machine.lru.drain(processor: 0, on: 0)
    #expect(machine.memmap.page(frames[0]).refcount.load() == 1)
    #expect(machine.folios.mappingCount(frames[0]) == 0)
    var visited = 0
    machine.reverseMap.forEachMapping(of: frames[0]) { _, _, _ in
      visited += 1
      return true
    }
    #expect(visited == 0)
    for frame in frames { machine.folios.put(machine.memmap.head(of: frame), on: 0) }
  }

  @Test("a fault beyond the end of an object leaves no table behind")
  func beyondTheEnd() throws {
    for shared in [true, false] {
      for write in [true, false] {
        let rig = try PinRig()
        let file = try rig.machine.createObject(kind: .memfd, pages: 1, for: rig.process)
        let start = try rig.map(4 * rig.unit, .object(file, shared: shared))
        try rig.machine.touch(rig.process, start, write: write)
        let tables = rig.space.tablePages.load()
        #expect(throws: AddressSpaceError.self) {
          try rig.machine.touch(rig.process, start + 2 * rig.unit * 4096, write: write)
        }
        #expect(rig.space.tablePages.load() == tables, "shared \(shared), write \(write)")
        rig.check("shared \(shared), write \(write)")
      }
    }
  }
}
