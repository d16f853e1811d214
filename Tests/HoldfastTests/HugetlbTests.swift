import SystemPackage
import Testing

@testable import Holdfast

/// Faults on pages of the pool, and what is reserved of it (rule 5.9).
///
/// Races are in Scenarios/pool.
@Suite struct HugetlbTests {
  private static func errno(_ body: () throws -> Void) -> Errno? {
    do {
      try body()
      return nil
    } catch {
      return (error as? AddressSpaceError)?.errno
    }
  }

  /// How the pool gets a free page again after a child has lost one.
  enum Refill: CaseIterable { case unmap, exit, pool }

  @Test(
    "a child whose page was taken away finds no zeros in its place, however many pages the pool has then",
    arguments: Refill.allCases)
  func lostPage(refill: Refill) throws {
    let rig = try PinRig()
    let (machine, parent, unit) = (rig.machine, rig.process, rig.unit)
    try machine.reserveHugePages(node: 0, count: 3, for: parent)
    let start = try rig.map(3 * unit, .hugetlb)
    let (second, third) = (start + unit * pageSize, start + 2 * unit * pageSize)
    try machine.fill(parent, start, pages: unit, pattern: 7)
    try machine.fill(parent, second, pages: unit, pattern: 9)
    let child = try machine.fork(parent)
    try machine.fill(parent, start, pages: unit, pattern: 8)
    switch refill {
    case .unmap: try machine.unmap(parent, AddressRange(start: start, pages: 3 * unit))
    case .exit: machine.exit(parent)
    case .pool: try machine.reserveHugePages(node: 0, count: 8, for: child)
    }
    #expect(machine.hugetlbCounts(node: 0).free > machine.reservedHugePages)
    for write in [false, true] {
      #expect(throws: AddressSpaceError.self, "\(refill)") { try machine.touch(child, start, write: write) }
      #expect(throws: AddressSpaceError.self, "\(refill), another hole") {
        try machine.touch(child, third, write: write)
      }
    }
    #expect(try machine.check(child, second, pages: unit, pattern: 9) == nil, "\(refill)")
    // Only the area that has lost a page is marked.
    let grandchild = try machine.fork(child)
    try machine.touch(grandchild, start, write: false)
    rig.check("\(refill)")
  }

  @Test("a fault that maps a cached page while it is isolated leaves it isolated")
  func cachedIsolated() throws {
    let rig = try PinRig()
    let (machine, unit) = (rig.machine, rig.unit)
    let start = try rig.make(.hugetlbShared)
    let head = try #require(rig.frame(start))
    let object = try #require(rig.page(head).mapping.object)
    let other = try machine.createProcess(name: "other")
    let there = try machine.map(other, pages: unit, kind: .object(ObjectHandle(id: object)))
    #expect(machine.hugetlb.isolate(head, on: 0))
    try machine.touch(other, there, write: true)
    #expect(!machine.hugetlb.isolate(head, on: 0), "isolated a second time")
    machine.hugetlb.putBack(head, on: 0)
    #expect(machine.hugetlb.isolate(head, on: 0))
    machine.hugetlb.putBack(head, on: 0)
    rig.check("cached")
  }

  @Test("a private mapping reserves all that it maps, of a file too; a page is used where it was reserved")
  func reservations() throws {
    for isFile in [false, true] {
      let rig = try PinRig()
      let (machine, process, unit) = (rig.machine, rig.process, rig.unit)
      func object() throws -> MappingKind {
        if !isFile { return .hugetlb }
        let file = try machine.createObject(kind: .hugetlb, pages: 2 * unit, for: process)
        return .object(file, shared: false)
      }
      let kind = try object()
      try machine.reserveHugePages(node: 0, count: 1, for: process)
      #expect(Self.errno { _ = try rig.map(2 * unit, kind) } == .noMemory, "file \(isFile)")
      #expect(machine.reservedHugePages == 0 && machine.processes.count == 1)
      try machine.reserveHugePages(node: 0, count: 2, for: process)
      let start = try rig.map(2 * unit, kind)
      #expect(machine.reservedHugePages == 2, "file \(isFile)")
      let other = try machine.createProcess(name: "other")
      #expect(Self.errno { _ = try machine.map(other, pages: unit, kind: kind) } == .noMemory)
      let child = try machine.fork(process)
      #expect(throws: AddressSpaceError.self, "nothing is reserved for a child") {
        try machine.touch(child, start, write: true)
      }
      machine.exit(child)
      #expect(machine.reservedHugePages == 2, "a child's end gives nothing back, file \(isFile)")
      try machine.touch(process, start, write: true)
      #expect(machine.reservedHugePages == 1 && machine.hugetlbCounts(node: 0).free == 1)
      try machine.unmap(process, AddressRange(start: start + unit * pageSize, pages: unit))
      #expect(machine.reservedHugePages == 0 && machine.hugetlbCounts(node: 0).free == 1)
      rig.check("file \(isFile)")
      machine.exit(process)
      #expect(machine.reservedHugePages == 0 && machine.hugetlbCounts(node: 0).free == 2)
      rig.check("file \(isFile), exit")
    }
  }

  @Test("the copy of a file's page takes the page that was reserved for it")
  func reservedCopy() throws {
    let rig = try PinRig()
    let (machine, process, unit) = (rig.machine, rig.process, rig.unit)
    try machine.reserveHugePages(node: 0, count: 2, for: process)
    let file = try machine.createObject(kind: .hugetlb, pages: unit, for: process)
    let shared = try rig.map(unit, .object(file))
    try machine.fill(process, shared, pages: unit, pattern: 1)
    let start = try rig.map(unit, .object(file, shared: false))
    #expect(machine.reservedHugePages == 1)
    try machine.touch(process, start, write: false)
    #expect(rig.frame(start) == rig.frame(shared) && machine.reservedHugePages == 1)
    try machine.fill(process, start, pages: unit, pattern: 2)
    #expect(machine.reservedHugePages == 0 && machine.hugetlbCounts(node: 0).free == 0)
    #expect(try machine.check(process, shared, pages: unit, pattern: 1) == nil)
    rig.check("copied")
  }

  @Test("parent and child have one object behind a private mapping, however it is split")
  func oneObject() throws {
    let rig = try PinRig()
    let (machine, process, unit) = (rig.machine, rig.process, rig.unit)
    try machine.reserveHugePages(node: 0, count: 2, for: process)
    let start = try rig.map(2 * unit, .hugetlb)
    try machine.protect(process, AddressRange(start: start, pages: unit), .read)
    let child = try machine.fork(process)
    let pages = start.page..<start.page + UInt64(2 * unit)
    for one in [process, child] { #expect(machine.spaces.isOfOneKind(one.space, pages)) }
    rig.check("split")
  }
}
