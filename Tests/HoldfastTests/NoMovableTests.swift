import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// MADV_NOMOVABLE as seed 004 posted it, where most of the free memory is CMA (rules 9.1, 13.5).
@Suite struct NoMovableTests {
  /// Pages of a range that lie in the CMA area.
  private func inCMA(_ rig: PinRig, _ start: VirtualAddress, of process: Process? = nil) -> Int {
    let space = rig.machine.spaces.space((process ?? rig.process).space)
    return (0..<rig.unit).count { page in
      let frame = space.pageTableLock.withLock {
        rig.machine.faults.mappedFrame(space, start.page + UInt64(page))
      }
      guard let frame else { return false }
      return rig.machine.buddy.pageblockType(of: frame) == .cma
    }
  }

  private func range(_ rig: PinRig, _ start: VirtualAddress) -> AddressRange {
    AddressRange(start: start, pages: rig.unit)
  }

  @Test(
    "what faults bring in is outside CMA with the advice, inside without, under every policy",
    arguments: PlacementPolicy.all, [MappingKind.privateAnonymous, .sharedAnonymous])
  func placement(policy: PlacementPolicy, kind: MappingKind) throws {
    let rig = try PinRig(.cma, policy: policy)
    let machine = rig.machine
    let plain = try rig.map(rig.unit, kind)
    try machine.fill(rig.process, plain, pages: rig.unit, pattern: 1)
    #expect(inCMA(rig, plain) == rig.unit)
    let start = try rig.map(rig.unit, kind)
    try machine.advise(rig.process, range(rig, start), .noMovable)
    try machine.fill(rig.process, start, pages: rig.unit, pattern: 2)
    #expect(inCMA(rig, start) == 0)
    #expect(rig.process.scope.isEmpty, "the scope ends with the fault")
    let pinned = try machine.pin(
      rig.process, at: start, pages: rig.unit, flags: [.write, .longterm], entry: .slow)
    #expect(pinned.count == rig.unit && machine.total(.pgmigrateSuccess) == 0)
    pinned.unpin()
    rig.check("\(policy) \(kind)")
  }

  @Test(
    "from movable-v3 on what faults bring in is outside the movable zone too", arguments: PlacementPolicy.all)
  func movableZone(policy: PlacementPolicy) throws {
    let rig = try PinRig(.movable, policy: policy)
    let start = try rig.map(rig.unit)
    try rig.machine.advise(rig.process, range(rig, start), .noMovable)
    try rig.machine.fill(rig.process, start, pages: rig.unit, pattern: 2)
    let zones = Set((0..<rig.unit).compactMap { rig.frame(start + $0 * 4096).map { rig.page($0).zone.kind } })
    #expect(zones.contains(.movable) == !policy.scopeClearsMovable, "\(policy)")
    rig.check("\(policy)")
  }

  @Test("a fault in an outer scope leaves that scope as it was")
  func nested() throws {
    let rig = try PinRig(.cma)
    let start = try rig.map(rig.unit)
    try rig.machine.advise(rig.process, range(rig, start), .noMovable)
    let outer = rig.process.savePinScope()
    try rig.machine.touch(rig.process, start, write: true)
    #expect(rig.process.scope == .pin)
    rig.process.restorePinScope(outer)
    #expect(rig.process.scope.isEmpty)
  }

  @Test("holes as posted: pages that are there stay, and another mapping of the object is not bound")
  func holes() throws {
    let rig = try PinRig(.cma)
    let machine = rig.machine
    let memfd = try rig.object(.memfd)
    let start = try rig.map(rig.unit, .object(memfd))
    let other = try rig.map(rig.unit, .object(memfd))
    try machine.touch(rig.process, start, write: true)
    try machine.advise(rig.process, range(rig, start), .noMovable)
    #expect(inCMA(rig, start) == 1)
    for page in 1..<rig.unit / 2 { try machine.touch(rig.process, other + page * 4096, write: true) }
    for page in 1..<rig.unit { try machine.touch(rig.process, start + page * 4096, write: true) }
    #expect(inCMA(rig, start) == rig.unit / 2)
    rig.check("holes")
  }

  @Test("a child has the advice, a part of a split area too, and neighbours that differ in it are two areas")
  func inheritance() throws {
    let rig = try PinRig(.cma)
    let machine = rig.machine
    let start = try rig.map(rig.unit)
    let half = AddressRange(start: start, pages: rig.unit / 2)
    try machine.advise(rig.process, half, .noMovable)
    #expect(
      machine.areaUsage(of: rig.process).map { $0.flags.contains(.noMovable) } == [true, false])
    let child = try machine.fork(rig.process)
    try machine.fill(child, start, pages: rig.unit, pattern: 3)
    #expect(inCMA(rig, start, of: child) == rig.unit / 2)
    rig.check("child")
  }

  @Test("the advice asks nothing about the area, and a hole is reported after the rest has it")
  func holesInRange() throws {
    let rig = try PinRig(.cma)
    let machine = rig.machine
    let start = try rig.map(2)
    let range = AddressRange(start: start, pages: 4)
    var errno: Errno?
    do throws(AddressSpaceError) { try machine.advise(rig.process, range, .noMovable) } catch {
      errno = error.errno
    }
    #expect(errno == .noMemory)
    #expect(machine.areaUsage(of: rig.process).allSatisfy { $0.flags.contains(.noMovable) })
  }
}
