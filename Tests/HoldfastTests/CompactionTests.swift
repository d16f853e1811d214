import Holdfast
import Interleaving
import Testing

/// Compaction of a zone.
@Suite struct CompactionTests {
  private static let zone = ZoneID(node: 0, kind: .movable)

  /// ZONE_MOVABLE of 128 frames with every other page in use; the addresses of those in use.
  private static func fragmented() throws -> (HotplugRig, [VirtualAddress]) {
    let rig = try HotplugRig(movable: 128)
    let start = try rig.map(pages: 128)
    var kept: [VirtualAddress] = []
    for page in 0..<128 {
      let address = start + UInt64(page * pageSize)
      let frame = try rig.frame(start, page: page)
      rig.machine.folios.fill(frame, pattern: UInt64(page + 1))
      if frame.index % 2 == 0 { kept.append(address) }
    }
    for page in 0..<128 {
      let address = start + UInt64(page * pageSize)
      if !kept.contains(address) {
        try rig.machine.advise(rig.process, AddressRange(start: address, pages: 1), .dontNeed)
      }
    }
    rig.machine.lru.drainAll(for: rig.process)
    rig.machine.allocator.drainPerCPULists(zone)
    return (rig, kept)
  }

  private static func freeBlocks(_ machine: Machine, order: Int) -> Int {
    atRest {
      (order...machine.geometry.maxOrder).reduce(0) { sum, order in
        sum + machine.buddy.zone(zone).freeList(order: order, .movable).count
      }
    }
  }

  @Test(
    "moves pages from the low end into free ones at the high end until the order is there",
    arguments: [1, 2, 3])
  func makesAnOrder(_ order: Int) throws {
    let (rig, kept) = try Self.fragmented()
    let machine = rig.machine
    #expect(Self.freeBlocks(machine, order: order) == 0)
    let free = machine.buddy.zone(Self.zone).free.load()
    let result = machine.compact(zone: Self.zone, order: order, by: rig.process)
    #expect(result.outcome == .success)
    #expect(Self.freeBlocks(machine, order: order) > 0)
    #expect(machine.buddy.zone(Self.zone).free.load() == free)
    #expect(result.movedPages > 0)
    #expect(machine.total(.compactSuccess) == 1)
    #expect(machine.total(.compactIsolated) == UInt64(result.isolated))
    for address in kept {
      let frame = try rig.frame(address)
      #expect(machine.memmap.page(frame).contentTag != 0)
    }
    #expect(machine.compact(zone: Self.zone, order: order, by: rig.process).outcome == .notNeeded)
  }

  @Test("a whole zone is compacted around its pinned pages, which stay")
  func wholeZone() throws {
    let (rig, kept) = try Self.fragmented()
    let machine = rig.machine
    let pins = try machine.pin(rig.process, at: kept[1], pages: 1)
    let pinned = pins[0]
    let result = machine.compact(zone: Self.zone, order: Machine.wholeZone, by: rig.process)
    #expect(result.outcome == .complete)
    #expect(Self.freeBlocks(machine, order: 4) >= 2)
    #expect(try rig.frame(kept[1]) == pinned)
    #expect(machine.total(.isolatedAnon, node: nil) == 0)
    pins.unpin()
  }

  @Test("too few free pages: compaction is skipped")
  func skipped() throws {
    let rig = try HotplugRig(movable: 128)
    _ = try (0..<126).map { page in try rig.machine.allocate(gfp: .highUserMovable, by: rig.process) }
    rig.machine.allocator.drainPerCPULists(Self.zone)
    let result = rig.machine.compact(zone: Self.zone, order: 3, by: rig.process)
    #expect(result.outcome == .skipped || result.outcome == .notNeeded)
  }
}
