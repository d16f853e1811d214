import CLinux
import Glibc
import Holdfast
import Interleaving
import Synchronization
import SystemPackage
import TestThreads
import Testing

/// Online, hot-add and hot-remove of memory blocks.
@Suite struct HotplugOnlineTests {
  private let block = BlockID(rawValue: 12)

  @Test("offline, then online_movable of an untouched block restores every count (rules 12.41, 12.44)")
  func roundTrip() throws {
    let rig = try HotplugRig(movable: 128)
    rig.machine.buddy.materialise(FrameRange(start: FrameNumber(0), count: 256))
    try rig.machine.offline(block, by: rig.process)
    try rig.machine.online(block, as: .movable, by: rig.process)
    let before = rig.snapshot()
    let (machine, process) = (rig.machine, rig.process)
    for _ in 0..<3 {
      try machine.offline(block, by: process)
      let away = machine.buddy.zone(ZoneID(node: 0, kind: .movable))
      #expect(away.present.load() == 112)
      #expect(away.managed.load() == 112)
      #expect(!machine.memmap.hasMetadata(machine.frames(of: block).start))
      try machine.online(block, as: .movable, by: process)
      #expect(rig.snapshot() == before)
    }
  }

  @Test("a block that was never touched leaves without its metadata being made, with the same counts")
  func untouched() throws {
    var configuration = MachineConfiguration(frames: 1 << 17)
    configuration.movable = .movablecore(frames: 1 << 16)
    let machines = try [Machine(configuration), Machine(configuration)]
    let id = BlockID(rawValue: 3)
    machines[1].buddy.materialise(machines[1].frames(of: id))
    for machine in machines {
      try machine.offline(id, by: machine.createProcess(name: "admin"))
      #expect(!machine.memmap.hasMetadata(machine.frames(of: id).start))
    }
    let zones = machines.map { $0.buddy.zone(ZoneID(node: 0, kind: .movable)) }
    for count in [\Zone.free, \.managed, \.present, \.deferred] {
      #expect(zones[0][keyPath: count].load() == 1 << 15)
      #expect(zones[1][keyPath: count].load() == 1 << 15)
    }
    #expect(atRest { zones[0].spanned == zones[1].spanned })
    // A handle does not keep its machine.
    withExtendedLifetime(machines) {}
  }

  @Test("what is written to state chooses the zone; valid_zones says so (rules 3.3, 3.4)")
  func zoneChoice() throws {
    let rig = try HotplugRig(movable: 128)
    let machine = rig.machine
    // Blocks 0 to 7 are Normal, 8 to 15 Movable; a hole in the span of one zone is where plain `online` goes.
    #expect(machine.validZones(of: block) == "Movable")
    try machine.offline(block, by: rig.process)
    #expect(machine.validZones(of: block) == "Movable Normal")
    #expect(try machine.online(block, as: .kernel, by: rig.process).kind == .normal)
    #expect(atRest { machine.buddy.zone(ZoneID(node: 0, kind: .normal)).spanned } == 208)
    try machine.offline(block, by: rig.process)
    #expect(atRest { machine.buddy.zone(ZoneID(node: 0, kind: .normal)).spanned } == 128)
    #expect(try machine.online(block, by: rig.process).kind == .movable)
    // At the end of the memory the block leaves both spans, so plain `online` falls back to the kernel's zone.
    let last = BlockID(rawValue: 15)
    try machine.offline(last, by: rig.process)
    #expect(machine.validZones(of: last) == "Normal Movable")
    #expect(atRest { machine.buddy.zone(ZoneID(node: 0, kind: .movable)).spanned } == 112)
    // 301 % of 128 early pages leave room for 385 movable ones; 80 % for 102.
    for (ratio, kind) in [(301, ZoneKind.movable), (80, .normal)] {
      let zone = try machine.online(
        last, policy: .autoMovable(ratio: ratio), by: rig.process)
      #expect(zone.kind == kind)
      try machine.offline(last, by: rig.process)
    }
    let twice = failure(OnlineError.self) { try machine.online(block, by: rig.process) }
    #expect(twice?.errno == .invalidArgument)
  }

  @Test(
    "hot-add makes offline blocks, hot-remove takes offline ones; wrong states are refused (rules 3.1, 3.8)")
  func addAndRemove() throws {
    var configuration = HotplugRig.configuration(movable: 128)
    configuration.hotplugFrames = 32
    let rig = try HotplugRig(configuration)
    let machine = rig.machine
    let added = FrameRange(start: FrameNumber(256), count: 32)
    let refusals: [(FrameRange, Int, Errno)] = [
      (FrameRange(start: FrameNumber(256), count: 8), 0, .invalidArgument),
      (FrameRange(start: FrameNumber(264), count: 16), 0, .invalidArgument),
      (FrameRange(start: FrameNumber(256), count: 0), 0, .invalidArgument),
      (FrameRange(start: FrameNumber(256), count: 1 << 20), 0, .invalidArgument),
      (FrameRange(start: FrameNumber(256), count: 16), 3, .invalidArgument),
      (FrameRange(start: FrameNumber(240), count: 32), 0, .fileExists),
    ]
    for (range, node, errno) in refusals {
      let error = failure(OnlineError.self) { try machine.addMemory(range, node: node) }
      #expect(error?.errno == errno, "\(range)")
    }
    try machine.addMemory(added, node: 0)
    let id = machine.block(of: added.start)
    #expect(machine.state(of: id) == .offline)
    let before = rig.snapshot()
    try machine.online(id, as: .movable, by: rig.process)
    #expect(machine.buddy.zone(ZoneID(node: 0, kind: .movable)).managed.load() == 144)
    #expect(failure(RemoveError.self) { try machine.removeMemory(id) }?.errno == .resourceBusy)
    try machine.offline(id, by: rig.process)
    #expect(rig.snapshot() == before)
    try machine.removeMemory(id)
    #expect(machine.state(of: id) == .absent)
    #expect(failure(RemoveError.self) { try machine.removeMemory(id) }?.errno == .invalidArgument)
  }

  @Test("blocks go all or none: those before the failure come back as they were (rule 3.8)")
  func rollBack() throws {
    let rig = try HotplugRig(movable: 128)
    let machine = rig.machine
    let (frame, address) = try rig.lonelyPage(.privateAnonymous)
    let blocks = (0..<3).map { BlockID(rawValue: machine.block(of: frame).rawValue - 1 + $0) }
      .filter { $0.rawValue >= 8 }
    let pins = try machine.pin(rig.process, at: address, pages: 1, purpose: PinLabel("rdma"))
    let limits = OfflineLimits(passes: 2)
    _ = failure(RemoveError.self) { try machine.offlineAndRemove(blocks, by: rig.process, limits: limits) }
    let before = rig.snapshot()
    let error = failure(RemoveError.self) {
      try machine.offlineAndRemove(blocks, by: rig.process, limits: limits)
    }
    #expect(rig.snapshot() == before)
    #expect(error?.block == machine.block(of: frame))
    #expect(error?.rolledBack == blocks.filter { $0 < machine.block(of: frame) })
    #expect(error?.errno == .resourceBusy)
    #expect(error?.description.contains("rdma") == true)
    pins.unpin()
    let reports = try machine.offlineAndRemove(blocks, by: rig.process, limits: limits)
    #expect(reports.map(\.block) == blocks)
    #expect(blocks.allSatisfy { machine.state(of: $0) == .absent })
  }

  @Test("bytes: contents survive the move, and the host's memory goes with the block")
  func bytes() throws {
    var configuration = HotplugRig.configuration(movable: 128)
    configuration.backing = .memfd
    let rig = try HotplugRig(configuration)
    let machine = rig.machine
    let (frame, address) = try rig.lonelyPage(.privateAnonymous)
    machine.folios.fill(frame, pattern: 0xfeed)
    let id = machine.block(of: frame)
    try machine.offlineAndRemove([id], by: rig.process)
    let moved = try rig.frame(address)
    #expect(machine.block(of: moved) != id)
    #expect(machine.folios.contents(moved, match: 0xfeed))
    try machine.addMemory(machine.frames(of: id), node: 0)
    try machine.online(id, as: .movable, by: rig.process)
    #expect(machine.describe(id)?.validZones == "Movable")
  }

  private static func name(of descriptor: Int) -> String {
    var target = [CChar](repeating: 0, count: 256)
    let length = max(0, readlink("/proc/self/fd/\(descriptor)", &target, target.count))
    return String(decoding: target.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  @Test("the host refuses to take bytes that are still mapped or pinned elsewhere: the block stays offline")
  func hostPin() throws {
    var configuration = HotplugRig.configuration(movable: 128)
    configuration.backing = .memfd
    let rig = try HotplugRig(configuration)
    let machine = rig.machine
    let (frame, _) = try rig.lonelyPage(.privateAnonymous)
    let id = machine.block(of: frame)
    // A second window into the block's memfd stands for a device that still writes there. Other tests have blocks of
    // the same name at the same time: ours is the one that changes with the page.
    let bytes = UInt64(machine.geometry.blockFrames * pageSize)
    var device: UnsafeMutableRawPointer?
    #expect(hf_reserve(&device, bytes, true) == 0)
    let place = try #require(device)
    defer { _ = hf_release_range(place, bytes) }
    let word = place + (frame.index - machine.frames(of: id).start.index) * pageSize
    let isMapped = (3..<1024).contains { descriptor in
      guard Self.name(of: descriptor) == "/memfd:holdfast-\(id) (deleted)",
        hf_map_shared(place, bytes, Int32(descriptor), 0) == 0
      else { return false }
      let seen = ([1, 2, 1] as [UInt64]).map { pattern in
        machine.folios.fill(frame, pattern: pattern)
        return word.load(as: UInt64.self)
      }
      if seen[0] == seen[2], seen[0] != seen[1] { return true }
      _ = hf_unmap_to_reserved(place, bytes)
      return false
    }
    #expect(isMapped)
    let error = failure(RemoveError.self) { try machine.offlineAndRemove([id], by: rig.process) }
    #expect(error?.cause == .hostPin)
    #expect(error?.errno == .resourceBusy)
    #expect(machine.state(of: id) == .offline)
    #expect(hf_unmap_to_reserved(place, bytes) == 0)
    try machine.removeMemory(id)
    #expect(machine.state(of: id) == .absent)
  }

  @Test("blocks go and come while another thread pins and unpins: contents and counts stay right")
  func concurrent() throws {
    let rig = try HotplugRig(movable: 128)
    let machine = rig.machine
    let pages = 24
    let start = try rig.map(pages: pages)
    try machine.fill(rig.process, start, pages: pages, pattern: 7)
    let other = try machine.createProcess(name: "hotplug", processor: 1)
    let offlined = Atomic(0)
    try together(2, rounds: 200) { thread, rounds in
      for round in rounds {
        if thread == 0 {
          let page = round % pages
          let at = start + UInt64(page * pageSize)
          if let pins = try? machine.pin(rig.process, at: at, pages: min(3, pages - page)) { pins.unpin() }
        } else {
          let id = BlockID(rawValue: 8 + round % 3)
          do {
            try machine.offline(id, by: other, limits: OfflineLimits(passes: 40))
            offlined.add(1, ordering: .relaxed)
            try machine.online(id, as: .movable, by: other)
          } catch let error as OfflineError {
            #expect(error.cause == .passesUsedUp)
          }
        }
      }
    }
    #expect(offlined.load(ordering: .relaxed) > 0)
    for page in 0..<pages {
      let frame = try rig.frame(start, page: page)
      #expect(machine.folios.contents(frame, match: 7 + UInt64(page)))
      #expect(machine.state(of: machine.block(of: frame)) == .online)
    }
    let zone = machine.buddy.zone(ZoneID(node: 0, kind: .movable))
    #expect(zone.isolatedPageblocks.load() == 0)
    #expect(zone.managed.load() == 128)
    machine.lru.drainAll(for: rig.process)
    machine.allocator.drainPerCPULists(ZoneID(node: 0, kind: .movable))
    #expect(zone.free.load() == 128 - UInt64(pages))
    #expect(machine.total(.follPinAcquired, node: nil) == machine.total(.follPinReleased, node: nil))
  }

  @Test("obstacles tell before an offline is tried what would stop it, and who holds it")
  func obstacles() throws {
    let rig = try HotplugRig(movable: 128)
    let (frame, address) = try rig.lonelyPage(.privateAnonymous)
    let block = rig.machine.block(of: frame)
    #expect(rig.machine.obstacles(to: block).total == 0)
    let pins = try rig.machine.pin(rig.process, at: address, pages: 1, purpose: PinLabel("nvme"))
    let found = rig.machine.obstacles(to: block)
    #expect(found.frames.map(\.reason) == [.pinned(pins: 1)])
    #expect(found.holders.map(\.purpose) == ["nvme"])
    pins.unpin()
  }
}
