import Interleaving
import Testing

@testable import Holdfast

/// From a configuration to zones (rules 2.1, 2.5, 3.9, 4.1), and what is refused.
@Suite struct AllocationBootTests {
  @Test("a machine of 1 TiB starts without touching its metadata, and grows as memory is used")
  func large() throws {
    var configuration = MachineConfiguration(frames: 1 << 28, processors: 4)
    configuration.movable = .movablecore(frames: 1 << 27)
    let clock = ContinuousClock()
    var made: Machine?
    let time = try clock.measure { made = try Machine(configuration) }
    let machine = try #require(made)
    #expect(time < .seconds(1))
    let atStart = machine.madeSections
    #expect(atStart <= 2, "the section with two zones, and the zero page's")
    let process = try machine.bareProcess()
    let normal = machine.buddy.zone(ZoneID(node: 0, kind: .normal))
    #expect(normal.free.load() == UInt64((1 << 27) - (1 << 20)))
    let folio = try machine.allocator.allocateFolio(order: 9, gfp: .transhuge, for: process)
    #expect(machine.memmap.page(folio).zone.kind == .movable)
    let kernel = try machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process)
    #expect(kernel.index >= 1 << 20 && machine.memmap.page(kernel).zone.kind == .normal)
    #expect(machine.madeSections == atStart + 2)
    let last = frames((1 << 28) - 1, 1 << 28)
    #expect(!machine.memmap.hasMetadata(last.start))
    #expect(machine.buddy.materialise(last) && machine.memmap.hasMetadata(last.start))
    #expect(machine.blocks.zoneOf(FrameNumber(1 << 26)) == ZoneID(node: 0, kind: .normal))
    #expect(machine.freeListProblems == [])
    // Using up a small deferred zone makes all of it and loses nothing.
    let before = machine.buddy.zone(ZoneID(node: 0, kind: .dma32)).managed.load()
    var taken: UInt64 = 0
    while let frame = try? machine.allocator.allocateFolio(
      order: 10, gfp: [.kernel, .dma32, .thisNode], for: process)
    {
      #expect(machine.memmap.page(frame).zone.kind <= .dma32)
      taken += 1024
    }
    #expect(
      taken > before - before / 50 && machine.buddy.zone(ZoneID(node: 0, kind: .dma32)).deferred.load() == 0)
  }

  @Test("deferred CMA memory and deferred blocks to steal are found")
  func deferredCMA() throws {
    var configuration = MachineConfiguration(frames: 1 << 18)
    configuration.cmaAreas = [CMAConfiguration(name: "c", frames: 3 << 16)]
    let machine = try Machine(configuration)
    let process = try machine.bareProcess()
    let area = machine.cma.area(0)
    #expect(area.base == FrameNumber(1 << 16) && area.count == 3 << 16)
    let frame = try machine.allocator.allocateFolio(order: 0, gfp: .highUserMovable, for: process)
    #expect(machine.buddy.pageblockType(of: frame) == .cma && frame == area.base)
    let kernel = try machine.allocator.allocateFolio(order: 0, gfp: .kernel, for: process)
    #expect(kernel.index < 1 << 16)
    #expect(machine.freeListProblems == [])
    machine.buddy.materialise(frames(0, 1 << 18))
    #expect(machine.madeSections == 8 && machine.freeListProblems == [])
    let zone = machine.buddy.zone(ZoneID(node: 0, kind: .dma32))
    #expect(zone.cma.load() == 3 << 16)
  }

  @Test("memory ground: a block gets its bytes when its metadata is made")
  func memoryGround() throws {
    var configuration = MachineConfiguration(frames: 1 << 17)
    configuration.backing = .memfd
    let machine = try Machine(configuration)
    let process = try machine.bareProcess()
    let with = (0..<machine.blockCount).filter { machine.store?.hasBytes(BlockID(rawValue: $0)) == true }
    #expect(with == [0], "the section with two zones, where the zero page is too")
    var reached = Set<BlockID>()
    for _ in 0..<64 {
      let frame = try machine.allocator.allocateFolio(
        order: 10, gfp: [.highUserMovable, .zero], for: process)
      reached.insert(machine.block(of: frame))
      #expect(machine.folios.contents(frame, match: Folios.zeroPattern))
    }
    #expect(reached.allSatisfy { machine.store?.hasBytes($0) == true })
  }

  @Test("kernelcore and movablecore, on one node and more (rule 3.9)")
  func movableSizes() throws {
    // Small geometry: rounding to 16 frames; every node is NORMAL unless a limit says otherwise.
    struct Case {
      var nodes: [FrameRange]
      var sizing: MovableSizing
      var dma32 = 0
      /// First movable frame of every node, nil for none.
      var starts: [Int?]
    }
    let cases = [
      Case(nodes: [frames(0, 128)], sizing: .none, starts: [nil]),
      Case(nodes: [frames(0, 128)], sizing: .kernelcore(frames: 0), starts: [nil]),
      Case(nodes: [frames(0, 128)], sizing: .kernelcore(frames: 128), starts: [nil]),
      Case(nodes: [frames(0, 128)], sizing: .kernelcore(frames: 500), starts: [nil]),
      Case(nodes: [frames(0, 128)], sizing: .kernelcore(frames: 64), starts: [64]),
      Case(nodes: [frames(0, 128)], sizing: .kernelcore(frames: 65), starts: [80]),
      Case(nodes: [frames(0, 128)], sizing: .kernelcore(frames: 120), starts: [nil]),
      Case(nodes: [frames(0, 128)], sizing: .movablecore(frames: 30), starts: [96]),
      Case(nodes: [frames(0, 128)], sizing: .movablecore(frames: 128), starts: [nil]),
      // Two equal nodes share evenly; a small node gives what it has, the rest comes from the large one.
      Case(nodes: [frames(0, 128), frames(128, 256)], sizing: .kernelcore(frames: 128), starts: [64, 192]),
      Case(nodes: [frames(0, 32), frames(32, 256)], sizing: .kernelcore(frames: 128), starts: [nil, 128]),
      Case(nodes: [frames(0, 128), frames(128, 256)], sizing: .movableNodes([1]), starts: [nil, 128]),
      // What lies below the highest usable zone is the kernel's in any case, and counts.
      Case(nodes: [frames(0, 256)], sizing: .kernelcore(frames: 64), dma32: 96, starts: [96]),
      Case(nodes: [frames(0, 256)], sizing: .kernelcore(frames: 128), dma32: 96, starts: [128]),
      Case(
        nodes: [frames(0, 128), frames(128, 256)], sizing: .kernelcore(frames: 128), dma32: 128,
        starts: [nil, 128]),
    ]
    for (index, test) in cases.enumerated() {
      var configuration = MachineConfiguration.small()
      configuration.nodes = test.nodes.map { NodeConfiguration(memory: [$0]) }
      configuration.movable = test.sizing
      configuration.dma32Limit = FrameNumber(test.dma32)
      let machine = try Machine(configuration)
      for (node, start) in test.starts.enumerated() {
        let found = machine.extents.first { $0.zone == ZoneID(node: node, kind: .movable) }
        #expect(found?.frames.start.index == start, "case \(index), node \(node)")
        if let found { #expect(found.frames.endIndex == test.nodes[node].endIndex, "case \(index)") }
      }
      #expect(machine.freeListProblems == [])
    }
  }

  @Test("zones, blocks, reserved frames, zonelists and the zero page")
  func layout() throws {
    var configuration = MachineConfiguration.small()
    configuration.nodes = [
      NodeConfiguration(memory: [frames(0, 60), frames(64, 128)], processors: 2),
      NodeConfiguration(memory: [frames(128, 192)], processors: 1),
      NodeConfiguration(memory: [frames(192, 256)], processors: 0),
    ]
    configuration.dma32Limit = FrameNumber(32)
    configuration.reserved = [frames(0, 3), frames(80, 100)]
    configuration.hotplugFrames = 20
    let machine = try Machine(configuration)
    #expect(machine.frameCount == 256 + 32)
    #expect(
      machine.extents == [
        extent(.dma32, 0, 32), extent(.normal, 32, 60), extent(.normal, 64, 128),
        extent(.normal, 128, 192, node: 1), extent(.normal, 192, 256, node: 2),
      ])
    #expect(machine.global.zeroPage == FrameNumber(3))
    let normal = machine.buddy.zone(ZoneID(node: 0, kind: .normal))
    #expect(atRest { normal.start == FrameNumber(32) && normal.spanned == 96 } && normal.present.load() == 92)
    #expect(normal.managed.load() == 72 && normal.free.load() == 72)
    #expect(machine.buddy.zone(ZoneID(node: 0, kind: .dma32)).managed.load() == 28)
    for frame in [0, 3, 80, 99] {
      #expect(machine.memmap.page(FrameNumber(frame)).has(.reserved))
      #expect(machine.memmap.page(FrameNumber(frame)).refcount.load() == 1)
    }
    #expect(!machine.memmap.hasMetadata(FrameNumber(60)) && machine.blocks.zoneOf(FrameNumber(60)) == nil)
    #expect(machine.blocks.zoneOf(FrameNumber(40)) == ZoneID(node: 0, kind: .normal))
    let blocks = (0..<machine.blockCount).map { machine.blocks.block(BlockID(rawValue: $0)) }
    #expect(
      blocks[3].zone == nil && blocks[3].present == 12 && blocks[3].state == .online, "a block with a hole")
    #expect(blocks[0].zone == ZoneID(node: 0, kind: .dma32) && blocks[15].node == 2)
    #expect(blocks[16].state == .absent)
    #expect(
      machine.zonelists[0].map(\.node).reduced == [0, 2, 1], "a node with processors is less attractive")
    #expect(machine.zonelists[1].map(\.node).reduced == [1, 2, 0])
    #expect(machine.zonelists[0].prefix(4).map(\.kind) == [.movable, .normal, .dma32, .dma])
    #expect(machine.freeListProblems == [])
    #expect((0..<3).map { machine.processor($0).node } == [0, 0, 1])
    // A request goes to the other nodes once its own is full, and not with THISNODE.
    let process = try machine.bareProcess(on: 2)
    var nodes: [Int] = []
    while let frame = try? machine.allocator.allocateFolio(order: 2, gfp: .kernel, for: process) {
      nodes.append(machine.memmap.page(frame).zone.node)
    }
    #expect(nodes.reduced == [1, 2, 0])
    #expect((try? machine.allocator.allocateFolio(order: 0, gfp: [.kernel, .thisNode], for: process)) == nil)
  }

  @Test("every absurd configuration is refused, naming the field")
  func absurd() {
    typealias Change = (inout MachineConfiguration) -> Void
    func memory(_ ranges: FrameRange...) -> Change {
      { $0.nodes = [NodeConfiguration(memory: ranges)] }
    }
    func huge(_ start: Int, _ count: Int) -> FrameRange {
      FrameRange(start: FrameNumber(start), count: count)
    }
    func area(_ name: String, _ frames: Int, _ base: Int?) -> CMAConfiguration {
      CMAConfiguration(name: name, frames: frames, base: base.map { FrameNumber($0) })
    }
    let table: [(String, Change)] = [
      ("nodes", { $0.nodes = [] }),
      ("nodes", memory()),
      ("nodes", { $0.nodes = Array(repeating: $0.nodes[0], count: 1024) }),
      ("nodes[0].memory[0]", memory(huge(0, 0))),
      ("nodes[0].memory[0]", memory(huge(0, -1))),
      ("nodes[0].memory[0]", memory(huge(0, Int.max))),
      ("nodes[0].memory[0]", memory(huge(0, 1 << 32))),
      ("nodes[0].memory[0]", memory(huge((1 << 32) - 2, 2))),
      ("nodes.memory", memory(huge(0, (1 << 32) - 1))),
      ("nodes[0].memory[1]", memory(huge(64, 64), huge(0, 64))),
      ("nodes[0].memory[1]", memory(huge(0, 64), huge(32, 64))),
      ("nodes[1].memory", { $0.nodes += $0.nodes }),
      ("nodes[0].processors", { $0.nodes[0].processors = -1 }),
      ("processors", { $0.nodes[0].processors = 0 }),
      ("geometry.maxOrder", { $0.geometry.maxOrder = 0 }),
      ("geometry.maxOrder", { $0.geometry.maxOrder = 63 }),
      ("geometry.pageblockOrder", { $0.geometry.pageblockOrder = 5 }),
      ("geometry.pageblockOrder", { $0.geometry.pageblockOrder = 0 }),
      ("geometry.sectionOrder", { $0.geometry.sectionOrder = 3 }),
      ("geometry.blockOrder", { $0.geometry.blockOrder = 3 }),
      ("geometry.blockOrder", { $0.geometry.blockOrder = 64 }),
      ("geometry.tableBits", { $0.geometry.tableBits = 0 }),
      ("limits.processes", { $0.limits.processes = 0 }),
      ("limits.pinSlots", { $0.limits.pinSlots = -1 }),
      ("dmaLimit", { $0.dmaLimit = FrameNumber(8) }),
      ("zone limits", { $0.dma32Limit = FrameNumber(6) }),
      ("hotplugFrames", { $0.hotplugFrames = -1 }),
      ("hotplugFrames", { $0.hotplugFrames = Int.max }),
      ("hotplugFrames", { $0.hotplugFrames = (1 << 32) - 64 }),
      ("minFreeKiB", { $0.minFreeKiB = -4 }),
      ("minFreeKiB", { $0.minFreeKiB = 256 }),
      ("movable", { $0.movable = .movablecore(frames: 65) }),
      ("movable", { $0.movable = .kernelcore(frames: -1) }),
      ("movable", { $0.movable = .movableNodes([1]) }),
      ("movable", { $0.movable = .movableNodes([0]) }),
      ("explicitZones[0]", { $0.explicitZones = [extent(.normal, 0, 80)] }),
      ("explicitZones[0]", { $0.explicitZones = [extent(.normal, 0, 64, node: 1)] }),
      ("explicitZones[0]", { $0.explicitZones = [extent(.device, 0, 64)] }),
      ("explicitZones[1]", { $0.explicitZones = [extent(.normal, 0, 64), extent(.movable, 64, 64)] }),
      ("explicitZones", { $0.explicitZones = [extent(.normal, 0, 40), extent(.movable, 32, 64)] }),
      ("explicitZones", { $0.explicitZones = [extent(.normal, 0, 32)] }),
      ("explicitZones", { $0.explicitZones = [extent(.normal, 0, 30), extent(.movable, 30, 64)] }),
      ("reserved[0]", { $0.reserved = [frames(60, 70)] }),
      ("reserved[0]", { $0.reserved = [frames(8, 8)] }),
      ("reserved", { $0.reserved = [frames(8, 16), frames(12, 20)] }),
      ("reserved", { $0.reserved = [frames(0, 64)] }),
      ("zeroPage", { $0.zeroPage = FrameNumber(64) }),
      ("zeroPage", { $0.zeroPage = FrameNumber.none }),
      ("cmaAreas[0].frames", { $0.cmaAreas = [area("c", 0, nil)] }),
      ("cmaAreas[0].frames", { $0.cmaAreas = [area("c", 6, nil)] }),
      ("cmaAreas[0].frames", { $0.cmaAreas = [area("c", Int.max, nil)] }),
      ("cmaAreas[0].frames", { $0.cmaAreas = [area("c", 128, nil)] }),
      ("cmaAreas[0].base", { $0.cmaAreas = [area("c", 8, 6)] }),
      ("cmaAreas[0].base", { $0.cmaAreas = [area("c", 8, 60)] }),
      (
        "cmaAreas[0].base",
        {
          $0.cmaAreas = [area("c", 8, 8)]; $0.reserved = [frames(12, 13)]
        }
      ),
      ("cmaAreas[1].base", { $0.cmaAreas = [area("c", 8, 8), area("d", 8, 12)] }),
      (
        "cmaAreas[0].base",
        {
          $0.cmaAreas = [area("c", 16, 24)]
          $0.explicitZones = [extent(.normal, 0, 32), extent(.movable, 32, 64)]
        }
      ),
      ("cmaAreas[0].name", { $0.cmaAreas = [area("", 8, nil)] }),
      ("cmaAreas[0].name", { $0.cmaAreas = [area(String(repeating: "x", count: 64), 8, nil)] }),
      ("cmaAreas[1].name", { $0.cmaAreas = [area("c", 8, nil), area("c", 8, nil)] }),
      ("cmaAreas", { $0.cmaAreas = (0..<21).map { area("c\($0)", 4, nil) } }),
      (
        "cmaAreas[0].orderPerBit",
        {
          $0.cmaAreas = [area("c", 8, nil)]; $0.cmaAreas[0].orderPerBit = 40
        }
      ),
    ]
    for (index, (field, change)) in table.enumerated() {
      var configuration = MachineConfiguration.small(frames: 64)
      change(&configuration)
      do {
        _ = try Machine(configuration)
        Issue.record("case \(index) (\(field)) was accepted")
      } catch {
        #expect(error.field == field, "case \(index): \(error)")
        #expect(!error.found.isEmpty && !error.expected.isEmpty)
      }
    }
  }
}

extension [Int] {
  /// Without repetitions of neighbours.
  fileprivate var reduced: [Int] {
    reduce(into: []) { if $0.last != $1 { $0.append($1) } }
  }
}
