import Interleaving
import TestThreads
import Testing

@testable import Holdfast

/// Splitting, merging, stealing and counting of free memory (rules 2.8 to 2.11).
@Suite struct AllocationBuddyTests {
  @Test("filling a machine with any order and emptying it again conserves every frame (invariants 3 to 5)")
  func fillAndEmpty() throws {
    for order in 0...4 {
      for gfp in [GFPFlags.highUserMovable, .kernel, [.highUserMovable, .compound, .zero]] {
        let machine = try Machine(.small(frames: 160, movable: 32))
        let process = try machine.bareProcess()
        let before = machine.freeFrames
        var taken: [FrameNumber] = []
        while let frame = try? machine.allocator.allocateFolio(order: order, gfp: gfp, for: process) {
          #expect(frame.index % (1 << order) == 0)
          #expect(machine.memmap.page(frame).refcount.load() == 1)
          taken.append(frame)
        }
        // ZONE_NORMAL keeps one frame, a 32nd of ZONE_MOVABLE, from requests that could go there.
        let reachable = gfp.contains(.movable) ? 158 : 127
        #expect(taken.count == reachable >> order, "order \(order), \(gfp)")
        #expect(Set(taken).count == taken.count)
        #expect(machine.freeListProblems == [])
        for frame in taken {
          machine.memmap.page(frame).refcount.store(0)
          machine.allocator.free(frame, order: order, on: 0)
        }
        machine.drainAllPerCPULists()
        #expect(machine.freeFrames == before)
        #expect(machine.freeListProblems == [])
        #expect((0..<160).allSatisfy { !machine.memmap.page(FrameNumber($0)).isTail })
        // All of it merged again: beside the zero page's block, only blocks of the largest order.
        #expect(machine.buddy.freeChunks(ZoneID(node: 0, kind: .normal), order: 4) == 7)
        #expect(machine.buddy.freeChunks(ZoneID(node: 0, kind: .movable), order: 4) == 2)
      }
    }
  }

  @Test("a random trace of allocations and frees keeps lists, counts and descriptors in agreement")
  func randomTrace() throws {
    for seed in UInt64(1)...6 {
      var random = Seeded(seed)
      var configuration = MachineConfiguration.small(frames: 512, movable: 128, processors: 3)
      configuration.cmaAreas = [CMAConfiguration(name: "c", frames: 64)]
      configuration.minFreeKiB = 64
      let machine = try Machine(configuration)
      let before = machine.freeFrames
      let processes = try (0..<3).map { try machine.bareProcess(on: $0) }
      let masks: [GFPFlags] = [
        .highUserMovable, .kernel, .user, [.kernel, .reclaimable], .atomic, [.highUserMovable, .compound],
        .noWait,
      ]
      var held: [(FrameNumber, Int)] = []
      for step in 0..<700 {
        let process = processes[Int.random(in: 0..<3, using: &random)]
        process.scope = Int.random(in: 0..<4, using: &random) == 0 ? .pin : []
        let wantsMore = Int.random(in: 0..<100, using: &random) < (step % 300 < 200 ? 60 : 35)
        if wantsMore || held.isEmpty {
          let order = min(Int.random(in: 0...4, using: &random), Int.random(in: 0...4, using: &random))
          let gfp = masks[Int.random(in: 0..<masks.count, using: &random)]
          if let frame = try? machine.allocator.allocateFolio(order: order, gfp: gfp, for: process) {
            if process.scope == .pin || !gfp.contains(.movable) {
              // Invariant 28: nothing of a pin scope is in ZONE_MOVABLE or CMA.
              #expect(machine.memmap.page(frame).zone.kind != .movable, "seed \(seed) step \(step)")
              #expect(machine.buddy.pageblockType(of: frame) != .cma, "seed \(seed) step \(step)")
            }
            held.append((frame, order))
          }
        } else {
          let (frame, order) = held.remove(at: Int.random(in: 0..<held.count, using: &random))
          machine.memmap.page(frame).refcount.store(0)
          machine.allocator.free(frame, order: order, on: process.processor)
        }
        let problems = machine.freeListProblems
        #expect(problems == [], "seed \(seed) step \(step)")
        let total = machine.freeFrames + held.reduce(0) { $0 + 1 << $1.1 }
        #expect(total == before, "seed \(seed) step \(step)")
        if !problems.isEmpty || total != before { return }
      }
    }
  }

  @Test("more than half of what is free must be CMA before movable allocations prefer it: 2x > free, not =")
  func balance() throws {
    // 128 frames, one of them the zero page; CMA takes `cma`, kernel allocations of order 0 take `ordinary`.
    for (ordinary, expectCMA) in [(60, false), (62, false), (63, false), (64, true), (65, true)] {
      var configuration = MachineConfiguration.small(frames: 192)
      configuration.cmaAreas = [CMAConfiguration(name: "c", frames: 64)]
      let machine = try Machine(configuration)
      let process = try machine.bareProcess()
      let zone = machine.buddy.zone(ZoneID(node: 0, kind: .normal))
      for _ in 0..<ordinary { _ = try machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process) }
      machine.drainAllPerCPULists()
      let (free, cma) = (zone.free.load(), zone.freeCMA.load())
      #expect(free == UInt64(191 - ordinary) && cma == 64)
      #expect((cma > free / 2) == expectCMA)
      let frame = try machine.allocator.allocateFolio(order: 0, gfp: .highUserMovable, for: process)
      #expect((machine.buddy.pageblockType(of: frame) == .cma) == expectCMA, "\(cma) of \(free)")
    }
  }

  @Test("stealing: who takes from whom, and when the pageblock follows (rule 2.10)")
  func stealing() throws {
    // A machine of one largest chunk; frame 0 is the zero page, so free are orders 0, 1, 2 and 3 from 1 on.
    struct Case {
      var gfp: GFPFlags
      var order: Int
      /// Frame expected, and the types of the four pageblocks afterwards.
      var frame: Int
      var types: [MigrateType]
    }
    let u = MigrateType.unmovable
    let m = MigrateType.movable
    let r = MigrateType.reclaimable
    let cases = [
      // The largest chunk goes, whole pageblocks with it.
      Case(gfp: .kernel, order: 0, frame: 8, types: [m, m, u, u]),
      Case(gfp: [.kernel, .reclaimable], order: 2, frame: 8, types: [m, m, r, r]),
      Case(gfp: .highUserMovable, order: 0, frame: 1, types: [m, m, m, m]),
      Case(gfp: .highUserMovable, order: 2, frame: 4, types: [m, m, m, m]),
    ]
    for (index, test) in cases.enumerated() {
      let machine = try Machine(.small(frames: 16))
      let process = try machine.bareProcess()
      let frame = try machine.allocator.allocateFolio(order: test.order, gfp: test.gfp, for: process)
      #expect(frame == FrameNumber(test.frame), "case \(index)")
      let types = (0..<4).map { machine.buddy.pageblockType(of: FrameNumber($0 * 4)) }
      #expect(types == test.types, "case \(index)")
      #expect(machine.freeListProblems == [])
    }
    // The split-off rest of a stolen block belongs to the thief: both orders of fallback.
    let machine = try Machine(.small(frames: 32))
    let process = try machine.bareProcess()
    let kernel = try machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process)
    #expect(kernel == FrameNumber(16))
    // UNMOVABLE steals from RECLAIMABLE first, although MOVABLE has as large a block.
    let cache = try machine.allocator.allocateFolio(order: 0, gfp: [.kernel, .reclaimable], for: process)
    #expect(
      machine.buddy.pageblockType(of: cache) == .reclaimable
        && machine.buddy.pageblockType(of: kernel) == .unmovable)
  }

  @Test("a movable request breaks up the smallest block of another type; others take half pageblocks over")
  func smallestForMovable() throws {
    // Pageblocks of 16 frames, so that blocks below order 2 cannot be stolen whole by movable requests.
    var configuration = MachineConfiguration.small(frames: 32)
    configuration.geometry.pageblockOrder = 4
    let machine = try Machine(configuration)
    let process = try machine.bareProcess()
    var held: [FrameNumber] = []
    while let frame = try? machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process) {
      held.append(frame)
    }
    for start in [0, 16] { #expect(machine.buddy.pageblockType(of: FrameNumber(start)) == .unmovable) }
    func give(_ frame: Int) {
      machine.memmap.page(FrameNumber(frame)).refcount.store(0)
      machine.allocator.free(FrameNumber(frame), order: 0, on: 0)
      machine.drainAllPerCPULists()
    }
    // An order-1 chunk at 20 and single frames at 8.
    for frame in [20, 21, 8] { give(frame) }
    let moved = try machine.allocator.allocateFolio(order: 0, gfp: .highUserMovable, for: process)
    #expect(moved == FrameNumber(8), "the smallest, although a block of order 1 is free")
    #expect(machine.buddy.pageblockType(of: moved) == .unmovable, "a single frame takes no pageblock over")
    // With order 2 free, the movable request takes what is free of the pageblock, but not its type: 4 of 16.
    for frame in [24, 25, 26, 27] { give(frame) }
    let next = try machine.allocator.allocateFolio(order: 2, gfp: .highUserMovable, for: process)
    #expect(next == FrameNumber(24) && machine.buddy.pageblockType(of: next) == .unmovable)
    #expect(
      machine.memmap.page(FrameNumber(20)).listType == .movable,
      "the rest of the pageblock's free memory follows")
    #expect(machine.freeListProblems == [])
  }

  @Test("rather than mix types in a pageblock of ZONE_NORMAL, ZONE_DMA32 serves while it can (rule 2.6)")
  func avoidsFragmenting() throws {
    var configuration = MachineConfiguration.small(frames: 128)
    configuration.explicitZones = [extent(.dma32, 0, 64), extent(.normal, 64, 128)]
    let machine = try Machine(configuration)
    let process = try machine.bareProcess()
    for _ in 0..<64 { _ = try machine.allocator.allocateFolio(order: 0, gfp: .highUserMovable, for: process) }
    for frame in stride(from: 64, to: 128, by: 2) {
      machine.memmap.page(FrameNumber(frame)).refcount.store(0)
      machine.allocator.free(FrameNumber(frame), order: 0, on: 0)
    }
    machine.drainAllPerCPULists()
    var kinds: [ZoneKind] = []
    while let frame = try? machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process) {
      kinds.append(machine.memmap.page(frame).zone.kind)
    }
    // The three frames beside the zero page are part of a pageblock: breaking it up is no better.
    let expected: [ZoneKind] =
      Array(repeating: .dma32, count: 60) + Array(repeating: .normal, count: 32) + [.dma32, .dma32, .dma32]
    #expect(kinds == expected)
  }

  @Test("CMA and ISOLATE pageblocks are never stolen from, ISOLATE ones do not count as free")
  func neverStolen() throws {
    var configuration = MachineConfiguration.small(frames: 64)
    configuration.cmaAreas = [CMAConfiguration(name: "c", frames: 16, base: FrameNumber(48))]
    let machine = try Machine(configuration)
    let process = try machine.bareProcess()
    let id = ZoneID(node: 0, kind: .normal)
    let zone = machine.buddy.zone(id)
    let before = zone.free.load()
    zone.lock.withLock {
      machine.buddy.setPageblockType(of: FrameNumber(32), .isolate)
      machine.buddy.add(1, to: zone.isolatedPageblocks)
      #expect(machine.buddy.moveFreePages(inPageblockOf: FrameNumber(32), from: .movable, to: .isolate) == 4)
    }
    #expect(zone.free.load() == before - 4)
    #expect(machine.freeListProblems == [])
    var taken = 0
    while let frame = try? machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process) {
      #expect(frame.index < 48 && !(32..<36).contains(frame.index))
      taken += 1
    }
    #expect(taken == 64 - 16 - 4 - 1)
    zone.lock.withLock {
      machine.buddy.setPageblockType(of: FrameNumber(32), .movable)
      machine.buddy.add(-1, to: zone.isolatedPageblocks)
      machine.buddy.moveFreePages(inPageblockOf: FrameNumber(32), from: .isolate, to: .movable)
    }
    #expect(zone.free.load() == 16 + 4)
    #expect(machine.freeListProblems == [])
  }

  @Test("frames of ISOLATE pageblocks bypass the per-CPU lists, disabled lists stay empty (rule 2.11)")
  func disabledLists() throws {
    let machine = try Machine(.small(frames: 64))
    let process = try machine.bareProcess()
    let id = ZoneID(node: 0, kind: .normal)
    func held() -> Int { atRest { (0..<2).reduce(0) { $0 + machine.allocator.perCPULists($1, id).count } } }
    func give(_ frame: FrameNumber, on processor: Int) {
      machine.memmap.page(frame).refcount.store(0)
      machine.allocator.free(frame, order: 0, on: processor)
    }
    let frames = try (0..<8).map { _ in
      try machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process)
    }
    give(frames[0], on: 0)
    give(frames[1], on: 1)
    #expect(held() >= 2)
    machine.allocator.disablePerCPULists(id)
    machine.allocator.disablePerCPULists(id)
    #expect(held() == 0)
    give(frames[2], on: 0)
    machine.allocator.enablePerCPULists(id)
    give(frames[3], on: 1)
    #expect(held() == 0, "disabling nests")
    let again = try machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process)
    #expect(held() == 0)
    machine.allocator.enablePerCPULists(id)
    give(frames[4], on: 0)
    #expect(held() == 1)
    machine.allocator.drainPerCPULists(id)
    let zone = machine.buddy.zone(id)
    zone.lock.withLock {
      machine.buddy.setPageblockType(of: frames[5], .isolate)
      machine.buddy.add(1, to: zone.isolatedPageblocks)
      machine.buddy.moveFreePages(inPageblockOf: frames[5], from: .unmovable, to: .isolate)
    }
    give(frames[5], on: 0)
    #expect(held() == 0 && machine.memmap.page(frames[5]).type != .perCPU)
    #expect(machine.freeListProblems == [])
    give(again, on: 0)
  }

  @Test("processors that allocate, free and drain at the same time lose nothing, deferred memory included")
  func concurrent() throws {
    var configuration = MachineConfiguration(frames: 1 << 16, processors: 3)
    configuration.dma32Limit = configuration.dmaLimit
    configuration.geometry.sectionOrder = 10
    configuration.geometry.blockOrder = 10
    let machine = try Machine(configuration)
    let before = machine.freeFrames
    let processes = try (0..<3).map { try machine.bareProcess(on: $0) }
    try together(3, rounds: 4000) { number, rounds in
      var random = Seeded(UInt64(number))
      let process = processes[number]
      var held: [(FrameNumber, Int)] = []
      for step in rounds {
        if step % 1000 == 999 { machine.allocator.drainPerCPULists(ZoneID(node: 0, kind: .normal)) }
        let order = [0, 0, 0, 1, 3, 9][Int.random(in: 0..<6, using: &random)]
        let gfp: GFPFlags = Bool.random(using: &random) ? .highUserMovable : .kernel
        if held.count < 40,
          let frame = try? machine.allocator.allocateFolio(order: order, gfp: gfp, for: process)
        {
          held.append((frame, order))
        } else if !held.isEmpty {
          let (frame, order) = held.remove(at: Int.random(in: 0..<held.count, using: &random))
          machine.memmap.page(frame).refcount.store(0)
          machine.allocator.free(frame, order: order, on: number)
        }
      }
      for (frame, order) in held {
        machine.memmap.page(frame).refcount.store(0)
        machine.allocator.free(frame, order: order, on: number)
      }
    }
    #expect(machine.freeListProblems == [])
    #expect(machine.freeFrames == before)
    #expect(machine.total(.pgfree) == machine.total(.pgallocNormal) + machine.total(.pgallocDMA))
  }
}
