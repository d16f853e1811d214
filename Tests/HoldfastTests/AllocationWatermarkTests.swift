import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// Watermarks, reserves, errors and injected failures (rules 2.6, 2.7).
@Suite struct AllocationWatermarkTests {
  /// 64 frames in one zone, of which 16 are to be kept: min 16, low 20, high 24.
  private static func machine(processors: Int = 1) throws -> Machine {
    var configuration = MachineConfiguration.small(frames: 128, processors: processors)
    configuration.minFreeKiB = 64
    return try Machine(configuration)
  }

  @Test("the test is strict: the last frame above the mark is given, the one at it is not")
  func strictness() throws {
    let rights: [(GFPFlags, Int)] = [
      (.kernel, 16), ([.kernel, .high], 8), (.noWait, 16), (.atomic, 6),
      ([.atomic, .noMemalloc], 8), ([.kernel, .noFail], 0),
    ]
    for (gfp, floor) in rights {
      let machine = try Self.machine()
      let process = try machine.bareProcess()
      let zone = machine.buddy.zone(ZoneID(node: 0, kind: .normal))
      #expect(
        zone.watermark(0).load() == 16 && zone.watermark(1).load() == 20 && zone.watermark(2).load() == 24)
      while (try? machine.allocator.allocateFolio(order: 0, gfp: gfp, for: process)) != nil {}
      // What waits on the processor's lists is not counted as free; requests that wait bring it back.
      machine.drainAllPerCPULists()
      #expect(zone.free.load() <= floor + 3 && zone.free.load() >= floor, "\(gfp)")
    }
    let machine = try Self.machine()
    let process = try machine.bareProcess(scope: .memalloc)
    while (try? machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process)) != nil {}
    #expect(machine.freeFrames == 0, "PF_MEMALLOC has no floor")
  }

  @Test("high orders count what splitting leaves over, and need a block of the order")
  func highOrders() throws {
    let machine = try Machine(.small(frames: 64))
    let process = try machine.bareProcess()
    var singles: [FrameNumber] = []
    while let frame = try? machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process) {
      singles.append(frame)
    }
    for frame in singles where frame.index % 2 == 0 {
      machine.memmap.page(frame).refcount.store(0)
      machine.allocator.free(frame, order: 0, on: 0)
    }
    do {
      _ = try machine.allocator.allocateFolio(order: 1, gfp: .kernel, for: process)
      Issue.record("no two neighbours are free")
    } catch {
      #expect(error.errno == .noMemory)
      let zone = ZoneID(node: 0, kind: .normal)
      #expect(error.cause == .noMemory([ZoneRefusal(zone: zone, reason: .fragmented(free: 31))]))
    }
  }

  @Test("lower zones keep frames from requests that could use a higher one")
  func protection() throws {
    var configuration = MachineConfiguration(frames: 1 << 16)
    configuration.dma32Limit = FrameNumber(1 << 14)
    let machine = try Machine(configuration)
    let dma = machine.buddy.zone(ZoneID(node: 0, kind: .dma))
    let dma32 = machine.buddy.zone(ZoneID(node: 0, kind: .dma32))
    let normal = (1 << 16) - (1 << 14)
    let low = (1 << 14) - (1 << 12)
    let expected = [0, low / 256, (low + normal) / 256, (low + normal) / 256]
    #expect(expected == ZoneKind.allCases.prefix(4).map { Int(dma.protection($0).load()) })
    #expect(dma32.protection(.normal).load() == UInt64(normal / 256) && dma32.protection(.dma32).load() == 0)
    // min_free_kbytes of 256 MiB, by the kernel's formula, and the watermarks' order (invariant 46).
    let kibibytes = ((1 << 16) - 1) * 4
    let minimum = Int(Double(kibibytes * 16).squareRoot()) / 4
    let sum = machine.populatedZones.reduce(0) { $0 + Int(machine.buddy.zone($1).watermark(0).load()) }
    #expect((minimum - 3...minimum).contains(sum))
    for id in machine.populatedZones {
      let marks = (0..<3).map { machine.buddy.zone(id).watermark($0).load() }
      #expect(marks == marks.sorted())
      #expect(machine.buddy.zone(id).managed.load() <= machine.buddy.zone(id).present.load())
    }
  }

  @Test("atomic requests of high order get a pageblock of their own; the others get it back before they fail")
  func highAtomic() throws {
    let machine = try Machine(.small(frames: 64))
    let process = try machine.bareProcess()
    let zone = machine.buddy.zone(ZoneID(node: 0, kind: .normal))
    var held: [FrameNumber] = []
    // Only the slow path has the right, so the low watermark must refuse.
    atRest { zone.watermark(1).store(64) }
    let atomic = try machine.allocator.allocateFolio(order: 1, gfp: .atomic, for: process)
    #expect(machine.buddy.pageblockType(of: atomic) == .highAtomic && zone.highAtomic.load() == 4)
    #expect(machine.freeListProblems == [])
    atRest { zone.watermark(1).store(0) }
    // Requests that cannot wait use up everything else; only atomic ones of high order get the reserve.
    while (try? machine.allocator.allocateFolio(order: 0, gfp: .noWait, for: process)) != nil {}
    let second = try machine.allocator.allocateFolio(order: 1, gfp: .atomic, for: process)
    #expect(second.index / 4 == atomic.index / 4)
    machine.memmap.page(second).refcount.store(0)
    machine.allocator.free(second, order: 1, on: 0)
    machine.drainAllPerCPULists()
    #expect((try? machine.allocator.allocateFolio(order: 0, gfp: .noWait, for: process)) == nil)
    while let frame = try? machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process) {
      held.append(frame)
    }
    #expect(held.contains(second), "the reserve is given back under pressure")
    #expect(zone.highAtomic.load() == 0)
    #expect(machine.freeListProblems == [])
  }

  @Test("an error says what was asked for, which zones were looked at, and what each lacked")
  func errors() throws {
    let machine = try Machine(.small(frames: 64, movable: 16))
    let process = try machine.bareProcess()
    while (try? machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process)) != nil {}
    let table: [(Int, GFPFlags, Int?, String)] = [
      (
        0, .kernel, nil,
        "no memory for order 0 (GFP_KERNEL), no reclaim to try: "
          + "Node 0, zone Movable: not allowed by the flags; "
          + "Node 0, zone Normal: 0 free, 0 of them unusable, 0 to be kept"
      ),
      (5, .kernel, nil, "allocation of order 5: expected 0 to 4"),
      (-1, .kernel, nil, "allocation of order -1: expected 0 to 4"),
      (0, .kernel, 1, "allocation on a node that does not exist: expected 0 to 0"),
      (
        0, [.dma, .dma32], nil,
        "allocation flags __GFP_DMA|__GFP_DMA32: expected at most one of __GFP_DMA, __GFP_DMA32 and "
          + "__GFP_HIGHMEM, and at most one of __GFP_MOVABLE and __GFP_RECLAIMABLE"
      ),
    ]
    for (order, gfp, node, text) in table {
      do {
        _ = try machine.allocate(order: order, gfp: gfp, node: node, by: process)
        Issue.record("\(text)")
      } catch {
        #expect(error.description == text)
      }
    }
  }

  @Test("injected failures come after so many successes, so often, and leave nothing behind")
  func injected() throws {
    let machine = try Machine(.small())
    let process = try machine.bareProcess()
    let before = machine.freeFrames
    machine.injectFailures(.allocation, count: 2, after: 1)
    let outcomes = (0..<4).map { _ in (try? machine.allocate(by: process)) }
    #expect(outcomes.map { $0 != nil } == [true, false, false, true])
    for frame in outcomes.compactMap({ $0 }) { try machine.free(frame, by: process) }
    machine.drainAllPerCPULists()
    #expect(machine.freeFrames == before)
    machine.injectFailures(.table, count: 1)
    #expect(machine.pools.allocate(.areas) == nil)
    let rows = (0..<20).map { _ in machine.pools.allocate(.areas) }
    #expect(rows.prefix(12).map { $0?.index } == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, nil])
    if let row = rows[4] { machine.pools.free(.areas, row) }
    #expect(machine.pools.allocate(.areas) == rows[4])
    #expect(machine.pools.usedRows(.areas) == 11)
  }

  @Test("kernel pages: references outlive free, slab memory counts, wrong frames are refused")
  func kernelPages() throws {
    let machine = try Machine(.small())
    let process = try machine.bareProcess()
    let before = machine.freeFrames
    let slab = try machine.allocate(order: 1, slab: true, by: process)
    #expect(machine.memmap.page(slab).has(.slab) && machine.total(.slabUnreclaimable) == 2)
    try machine.free(slab, order: 1, by: process)
    #expect(!machine.memmap.page(slab).has(.slab) && machine.total(.slabUnreclaimable) == 0)
    let frame = try machine.allocate(order: 2, gfp: .highUserMovable, by: process)
    machine.memmap.page(frame).refcount.fetchAdd(1)
    try machine.free(frame, order: 2, by: process)
    machine.drainAllPerCPULists()
    #expect(machine.freeFrames == before - 1 && machine.memmap.page(frame).refcount.load() == 1)
    try machine.free(frame, by: process)
    machine.drainAllPerCPULists()
    #expect(machine.freeFrames == before && machine.freeListProblems == [])
    let folio = try machine.allocate(order: 2, gfp: [.kernel, .compound], by: process)
    for (wrong, order) in [
      (frame, 0), (FrameNumber(0), 0), (FrameNumber(9999), 0), (folio + 1, 0), (folio, 1),
    ]
    where wrong != folio || order != 2 {
      #expect(throws: AllocationError(order: order, gfp: [], cause: .notAllocated(wrong))) {
        try machine.free(wrong, order: order, by: process)
      }
    }
    #expect(machine.total(.pgallocNormal) == 10 && machine.total(.pgfree) == 6)
  }
}
