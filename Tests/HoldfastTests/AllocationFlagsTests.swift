import Interleaving
import Testing

@testable import Holdfast

/// Which zone and type of pageblock an allocation gets, by flags, scope and policy (rules 2.3, 2.4, 2.12).
@Suite struct AllocationFlagsTests {
  /// All four zones, 64 frames each.
  private static func machine(_ policy: PlacementPolicy) throws -> Machine {
    var configuration = MachineConfiguration.small(frames: 256)
    configuration.explicitZones = [
      extent(.dma, 0, 64), extent(.dma32, 64, 128), extent(.normal, 128, 192), extent(.movable, 192, 256),
    ]
    configuration.policy = policy
    return try Machine(configuration)
  }

  /// The rules of 2.3 and 2.4, written the long way round.
  private static func expected(_ gfp: GFPFlags, pinScope: Bool) -> (ZoneKind, MigrateType)? {
    var gfp = gfp
    if pinScope { gfp.subtract(.movable) }
    let zoneBits = [GFPFlags.dma, .dma32, .highMem].filter { gfp.contains($0) }
    if zoneBits.count > 1 || gfp.isSuperset(of: [.movable, .reclaimable]) { return nil }
    var kind = ZoneKind.normal
    if gfp.contains(.dma) { kind = .dma }
    if gfp.contains(.dma32) { kind = .dma32 }
    if gfp.isSuperset(of: [.highMem, .movable]) { kind = .movable }
    let type: MigrateType =
      gfp.contains(.movable) ? .movable : gfp.contains(.reclaimable) ? .reclaimable : .unmovable
    return (kind, type)
  }

  @Test("every combination of zone and type bits, scope and policy", arguments: PlacementPolicy.all)
  func zoneAndType(_ policy: PlacementPolicy) throws {
    for bits in UInt32(0)..<32 {
      for scope in [AllocationScope(), .pin, [.pin, .noIO], .noFS] {
        let machine = try Self.machine(policy)
        let process = try machine.bareProcess(scope: scope)
        let gfp = GFPFlags(rawValue: bits).union(.kernel)
        let clears = policy.scopeClearsMovable && scope.contains(.pin)
        let what = "\(policy.name), \(gfp), scope \(scope.rawValue)"
        guard let (kind, type) = Self.expected(gfp, pinScope: clears) else {
          #expect(throws: AllocationError(order: 0, gfp: gfp, cause: .illegalFlags), "\(what)") {
            try machine.allocator.allocateFolio(order: 0, gfp: gfp, for: process)
          }
          continue
        }
        let frame = try machine.allocator.allocateFolio(order: 0, gfp: gfp, for: process)
        #expect(machine.memmap.page(frame).zone.kind == kind, "\(what)")
        #expect(machine.buddy.pageblockType(of: frame) == type, "\(what)")
      }
    }
  }

  @Test(
    "a pin scope keeps allocations out of CMA; without it they go there while most of what is free is CMA")
  func cma() throws {
    for policy in PlacementPolicy.all {
      for (gfp, scope) in [
        (GFPFlags.highUserMovable, AllocationScope()), (.highUserMovable, .pin), (.user, []),
        (.transhuge, .pin),
      ] {
        var configuration = MachineConfiguration.small(frames: 128)
        configuration.cmaAreas = [CMAConfiguration(name: "most", frames: 96)]
        configuration.policy = policy
        let machine = try Machine(configuration)
        let process = try machine.bareProcess(scope: scope)
        let frame = try machine.allocator.allocateFolio(order: 0, gfp: gfp, for: process)
        let inCMA = machine.buddy.pageblockType(of: frame) == .cma
        #expect(inCMA == (gfp.contains(.movable) && scope.isEmpty), "\(policy.name), \(gfp)")
      }
    }
  }

  @Test("movable allocations that must avoid CMA bypass the per-CPU list, which holds CMA pages (rule 2.11)")
  func perCPUBypass() throws {
    var configuration = MachineConfiguration.small(frames: 128)
    configuration.cmaAreas = [CMAConfiguration(name: "most", frames: 96)]
    configuration.policy = .linux5_10
    let machine = try Machine(configuration)
    let process = try machine.bareProcess()
    let normal = ZoneID(node: 0, kind: .normal)
    let frame = try machine.allocator.allocateFolio(order: 0, gfp: .highUserMovable, for: process)
    #expect(machine.buddy.pageblockType(of: frame) == .cma)
    machine.memmap.page(frame).refcount.store(0)
    machine.allocator.free(frame, order: 0, on: 0)
    #expect(machine.allocator.perCPULists(0, normal).list(1).first == frame)
    process.scope = .pin
    let held = atRest { machine.allocator.perCPULists(0, normal).count }
    let pinnable = try machine.allocator.allocateFolio(order: 0, gfp: .highUserMovable, for: process)
    #expect(machine.buddy.pageblockType(of: pinnable) == .movable)
    #expect(atRest { machine.allocator.perCPULists(0, normal).count } == held)
    process.scope = []
    #expect(try machine.allocator.allocateFolio(order: 0, gfp: .highUserMovable, for: process) == frame)
  }

  @Test("scopes nest: an inner restore does not end an outer scope (invariant 29)")
  func nesting() throws {
    let machine = try Machine(.small())
    let process = try machine.bareProcess(scope: .noIO)
    let outer = process.savePinScope()
    let inner = process.savePinScope()
    #expect(process.scope == [.noIO, .pin])
    process.restorePinScope(inner)
    #expect(process.scope == [.noIO, .pin])
    process.restorePinScope(outer)
    #expect(process.scope == .noIO)
  }

  @Test("scopes take IO and FS away, NOIO both (rule 2.12)")
  func ioScopes() {
    let table: [(AllocationScope, Bool, GFPFlags)] = [
      ([], true, .highUserMovable), (.noFS, true, .highUserMovable.subtracting(.fs)),
      (.noIO, true, .highUserMovable.subtracting([.io, .fs])), (.pin, true, .highUser),
      (.pin, false, .highUserMovable), ([.pin, .noFS], true, .highUser.subtracting(.fs)),
    ]
    for (scope, clears, expected) in table {
      #expect(GFPFlags.highUserMovable.limited(by: scope, clearsMovable: clears) == expected)
    }
  }

  @Test("composites are the sums of the specification's table (rule 2.2)")
  func composites() {
    let user: GFPFlags = [.directReclaim, .kswapdReclaim, .io, .fs, .hardwall]
    #expect(GFPFlags.user == user)
    #expect(GFPFlags.highUserMovable == user.union([.highMem, .movable]))
    #expect(
      GFPFlags.transhugeLight
        == user.union([.highMem, .movable, .compound, .noMemalloc, .noWarn]).subtracting(.reclaim))
    #expect(GFPFlags.transhuge == GFPFlags.transhugeLight.union(.directReclaim))
    #expect(GFPFlags([.kernel, .zero]).description == "GFP_KERNEL|__GFP_ZERO")
  }
}
