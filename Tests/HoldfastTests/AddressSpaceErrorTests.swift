import SystemPackage
import Testing

@testable import Holdfast

/// Limit in bytes, capabilities, charges that fit, and one more that does not.
private let memlockCases: [(UInt64, Capabilities, [UInt64], UInt64)] = [
  (32768, [], [8], 1), (36863, [], [4, 4], 1), (0, [], [0], 1), (16383, [], [3], 1), (4096, [], [1], .max),
  (4096, .ipcLock, [5, 6], .max), (.max, [], [1 << 40], 1 << 63),
]

@Suite struct AddressSpaceErrorTests {
  @Test(
    "what each call answers to a bad range; the space has 256 pages, 8 are mapped at page 100 and 8 at 120")
  func badRanges() throws {
    let machine = try smallMachine()
    let process = try machine.createProcess(name: "errors")
    let page = UInt64(pageSize)
    let base = VirtualAddress(page: 100)
    try machine.map(process, pages: 8, at: .fixed(base))
    try machine.map(process, pages: 8, at: .fixed(VirtualAddress(page: 120)))
    let before = machine.areaUsage(of: process)

    typealias Call = (name: String, errno: Errno?, body: () throws -> Void)
    func range(_ start: UInt64, _ bytes: UInt64) -> AddressRange {
      AddressRange(start: VirtualAddress(rawValue: start), bytes: bytes)
    }
    let hundred = base.rawValue
    var calls: [Call] = [
      ("map 0 pages", .invalidArgument, { try machine.map(process, pages: 0) }),
      ("map -1 pages", .invalidArgument, { try machine.map(process, pages: -1) }),
      ("map too many", .noMemory, { try machine.map(process, pages: .max) }),
      ("map all but the gaps", .noMemory, { try machine.map(process, pages: 200) }),
      ("map unaligned", .invalidArgument, { try machine.map(process, pages: 1, at: .fixed(base + 8)) }),
      ("map beyond", .noMemory, { try machine.map(process, pages: 2, at: .fixed(.init(page: 255))) }),
      ("map far beyond", .noMemory, { try machine.map(process, pages: 2, at: .fixed(.init(page: 1 << 51))) }),
      ("map page 0", .notPermitted, { try machine.map(process, pages: 1, at: .fixed(.init(page: 0))) }),
      ("map hugetlb", .noMemory, { try machine.map(process, pages: 4, kind: .hugetlb) }),
      ("unmap nothing", .invalidArgument, { try machine.unmap(process, range(hundred, 0)) }),
      ("unmap unaligned", .invalidArgument, { try machine.unmap(process, range(hundred + 1, page)) }),
      ("unmap wrapping", .invalidArgument, { try machine.unmap(process, range(hundred, .max)) }),
      ("unmap beyond", .invalidArgument, { try machine.unmap(process, range(255 * page, 2 * page)) }),
      ("unmap a hole", nil, { try machine.unmap(process, range(page, page)) }),
      (
        "object of 0 pages", .invalidArgument,
        {
          _ = try machine.createObject(kind: .memfd, pages: 0, for: process)
        }
      ),
      (
        "hugetlb object of 3", .invalidArgument,
        {
          _ = try machine.createObject(kind: .hugetlb, pages: 3, for: process)
        }
      ),
      (
        "huge pages of node 7", .operationNotSupportedByDevice,
        {
          try machine.reserveHugePages(node: 7, count: 1, for: process)
        }
      ),
      ("touch a hole", .badAddress, { try machine.touch(process, .init(page: 5), write: false) }),
      ("touch beyond", .badAddress, { try machine.touch(process, .init(page: 1 << 40), write: true) }),
    ]
    let changes: [(String, Errno, (AddressRange) throws -> Void)] =
      [
        ("protect", .noMemory, { try machine.protect(process, $0, .readWrite) })
      ]
      + Advice.implemented.map { advice in
        ("\(advice)", .invalidArgument, { try machine.advise(process, $0, advice) })
      }
    for (name, wrapping, change) in changes {
      calls += [
        ("\(name) nothing", nil, { try change(range(hundred, 0)) }),
        ("\(name) unaligned", .invalidArgument, { try change(range(hundred + 1, page)) }),
        ("\(name) wrapping", wrapping, { try change(range(hundred, .max)) }),
        ("\(name) wrapping by rounding", wrapping, { try change(range(hundred, .max - hundred)) }),
        ("\(name) a hole", .noMemory, { try change(range(page, page)) }),
        ("\(name) across a hole", .noMemory, { try change(range(hundred, 28 * page)) }),
        ("\(name) beyond", .noMemory, { try change(range(255 * page, 9 * page)) }),
      ]
    }
    for call in calls {
      var found: Errno?
      do { try call.body() } catch let error as AddressSpaceError { found = error.errno }
      #expect(found == call.errno, "\(call.name)")
    }
    let ranges = machine.areaUsage(of: process).map { [$0.start.page, UInt64($0.pages)] }
    #expect(ranges == before.map { [$0.start.page, UInt64($0.pages)] })
    #expect(recount(machine) == [])
  }

  @Test("access and population against protection and the end of an object")
  func badAccess() throws {
    let machine = try smallMachine()
    let process = try machine.createProcess(name: "access")
    let object = try machine.createObject(kind: .memfd, pages: 2, for: process)
    let beyond = try machine.map(process, pages: 4, kind: .object(object))
    let readOnly = try machine.map(process, pages: 1, protection: .read)
    let none = try machine.map(process, pages: 1, protection: [])
    func errno(_ body: () throws -> Void) -> Errno? {
      do { try body() } catch { return (error as? AddressSpaceError)?.errno }
      return nil
    }
    let past = beyond + UInt64(2 * pageSize)
    #expect(errno { try machine.touch(process, past, write: false) } == .badAddress)
    #expect(errno { try machine.touch(process, readOnly, write: true) } == .badAddress)
    #expect(errno { try machine.touch(process, readOnly, write: false) } == nil)
    #expect(errno { try machine.touch(process, none, write: false) } == .badAddress)
    for (address, advice, expected) in [
      (past, Advice.populateRead, Errno.badAddress), (readOnly, .populateWrite, .invalidArgument),
      (none, .populateRead, .invalidArgument), (beyond, .pageOut, .invalidArgument),
    ] {
      #expect(
        errno { try machine.advise(process, AddressRange(start: address, pages: 1), advice) } == expected)
    }
    // MAP_POPULATE ignores what cannot be populated.
    let populated = try machine.map(process, pages: 4, kind: .object(object), populate: true)
    #expect(describe(machine, process, populated + UInt64(pageSize)) == "cache rw")
    machine.exit(process)
    #expect(errno { try machine.touch(process, readOnly, write: false) } == .noSuchProcess)
  }

  @Test(
    "RLIMIT_MEMLOCK: the limit itself is allowed, a page more is not; nothing wraps (rules 9.2, 9.3)",
    arguments: memlockCases)
  func memlock(
    _ limit: UInt64, _ capabilities: Capabilities, _ charged: [UInt64], _ refused: UInt64
  ) throws {
    let machine = try smallMachine()
    for account in [MemlockAccount.locked, .pinned] {
      let process = try machine.createProcess(
        name: "memlock", memlockLimit: limit, capabilities: capabilities)
      let space = machine.spaces.space(process.space)
      for pages in charged { try machine.spaces.chargeLocked(space, pages: pages, as: account, for: process) }
      let total = charged.reduce(0, +)
      #expect(throws: AddressSpaceError.self) {
        try machine.spaces.chargeLocked(space, pages: refused, as: account, for: process)
      }
      machine.injectFailures(.memlock, count: 1)
      #expect(throws: AddressSpaceError.self) {
        try machine.spaces.chargeLocked(space, pages: 0, as: account, for: process)
      }
      let usage = machine.usage(of: process)
      #expect([usage.locked, usage.pinned] == (account == .locked ? [Int(total), 0] : [0, Int(total)]))
      machine.spaces.unchargeLocked(space, pages: total, as: account)
      #expect(machine.usage(of: process).locked + machine.usage(of: process).pinned == 0)
      if total > 0 { try machine.spaces.chargeLocked(space, pages: 1, as: account, for: process) }
      let id = process.space
      machine.spaces.getSpaceRow(id)
      machine.exit(process)
      // What was charged to a space that has ended may still be given back.
      machine.spaces.unchargeLocked(space, pages: 1, as: account)
      machine.spaces.putSpaceRow(id)
    }
  }

  @Test("huge pages are promised when mapped, used when touched, and free again in the end")
  func hugetlbReservations() throws {
    let machine = try smallMachine()
    let process = try machine.createProcess(name: "hugetlb")
    #expect(try machine.reserveHugePages(node: 0, count: 3, for: process) == 3)
    let address = try machine.map(process, pages: 5, kind: .hugetlb)
    #expect(machine.reservedHugePages == 2)
    #expect(throws: AddressSpaceError.self) { try machine.map(process, pages: 8, kind: .hugetlb) }
    #expect(machine.reservedHugePages == 2)
    try machine.fill(process, address, pages: 4, pattern: 9)
    #expect(machine.reservedHugePages == 1)
    #expect(machine.hugetlbCounts(node: 0) == HugetlbCounts(total: 3, free: 2, surplus: 0))
    #expect(try machine.reserveHugePages(node: 0, count: 0, for: process) == 0)
    #expect(machine.hugetlbCounts(node: 0) == HugetlbCounts(total: 2, free: 1, surplus: 2))
    #expect(recount(machine) == [])
    #expect(throws: AddressSpaceError.self) {
      try machine.unmap(process, AddressRange(start: address, pages: 1))
    }
    machine.exit(process)
    #expect(machine.reservedHugePages == 0)
    #expect(machine.hugetlbCounts(node: 0) == HugetlbCounts(total: 1, free: 1, surplus: 1))
    let last = try machine.createProcess(name: "last")
    #expect(try machine.reserveHugePages(node: 0, count: 0, for: last) == 0)
    machine.exit(last)
    #expect(framesInUse(machine) == 1)
  }
}
