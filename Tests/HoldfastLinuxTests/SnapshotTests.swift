import Foundation
import HoldfastLinux
import HoldfastScenario
import Testing

@Suite struct SnapshotTests {
  @Test("a saved host reads, saves and reads again as the same, byte for byte", arguments: Saved.allCases)
  func roundTrip(saved: Saved) throws {
    let first = try HostSnapshot.read(from: saved.files)
    try withScratchDirectory { root in
      let copy = "\(root)/copy"
      let returned = try HostSnapshot.save(from: saved.files, to: copy)
      #expect(returned == first)
      #expect(try HostSnapshot.read(from: .directory(copy)) == first)
      let (old, new) = (try tree(saved.path), try tree(copy))
      #expect(old == new)
    }
  }

  @Test("the copy of the guest has the movable zone it was booted with: the last GiB, eight blocks")
  func movableGuest() throws {
    let host = try HostSnapshot.read(from: Saved.qemu.files)
    #expect(host.zones.map(\.name) == ["DMA", "DMA32", "Normal", "Movable", "Device"])
    #expect(host.kernelRelease == "6.1.0-50-amd64")
    #expect((host.pageSize, host.blockSize, host.pagesPerBlock) == (4096, 1 << 27, 1 << 15))
    let movable = try #require(host.zones.first { $0.name == "Movable" })
    #expect(movable.frames == 0x140000..<0x180000)
    #expect((movable.present, movable.managed, movable.free) == (262144, 237709, 193858))
    #expect((movable.min, movable.low, movable.high, movable.cma) == (3197, 3996, 4795, 0))
    #expect(movable.counters["nr_zone_inactive_anon"] == 40117)
    #expect(movable.protection == [0, 0, 0, 0, 0])
    #expect((movable.cpuCount, movable.nodeCounters.count, movable.line) == (2, 0, 168))
    #expect(host.zones[0].nodeCounters["nr_foll_pin_acquired"] == 0)
    #expect(host.zones[0].protection.count == 5)
    let blocks = host.blocks.filter { host.zone(of: $0)?.name == "Movable" }
    #expect(blocks.map(\.index) == Array(40..<48))
    #expect(host.frames(of: blocks[0]).lowerBound == movable.startFrame)
    #expect(blocks.allSatisfy { $0.state == .online && $0.node == 0 && $0.isRemovable == true })
    #expect(host.blocks[0].validZones == [] && host.zone(of: host.blocks[0]) == nil)
    let free = try #require(host.freeBlocks.first { $0.zone == "Movable" })
    #expect(free.counts == [557, 402, 235, 183, 163, 137, 133, 136, 90, 28, 117])
    let types = try #require(host.pageTypes)
    #expect((types.pageblockOrder, types.pagesPerBlock) == (9, 512))
    #expect(types.types == ["Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate"])
    #expect(types.free.first { $0.zone == "Movable" && $0.type == "Movable" }?.counts[1] == 400)
    #expect(types.blocks.first { $0.zone == "Movable" }?.counts["Unmovable"] == 48)
    #expect(host.meminfo["MemTotal"] == 5033192 && host.deferredPages == 0)
    #expect(host.vmstat["nr_foll_pin_released"] == 0)
    #expect(host.missing.isEmpty)
  }

  @Test("pages that a kernel initialises late are counted apart from reserved ones")
  func deferredPages() throws {
    let host = try HostSnapshot.read(from: Saved.firecracker.files)
    let total = try #require(host.meminfo["MemTotal"])
    let managed = host.zones.reduce(0) { $0 + $1.managed }
    #expect(host.deferredPages == Int(total) / 4 - managed && host.deferredPages > 4_000_000)
    #expect(host.blocks.count == 192)
  }

  @Test("a file that only root reads may be absent, and its absence is on record")
  func optionalFiles() throws {
    try withScratchDirectory { root in
      try HostSnapshot.save(from: Saved.qemu.files, to: root)
      try FileManager.default.removeItem(atPath: "\(root)/proc/pagetypeinfo")
      let host = try HostSnapshot.read(from: .directory(root))
      #expect(host.pageTypes == nil)
      #expect(
        host.missing.map(\.description)
          == ["\(root)/proc/pagetypeinfo: found no such file or directory, expected a readable file"])
    }
  }

  @Test("saving refuses a directory in use and a missing parent, and leaves nothing after a failure")
  func refusals() throws {
    try withScratchDirectory { root in
      try "mine".write(toFile: "\(root)/file", atomically: true, encoding: .utf8)
      let used = readError { try HostSnapshot.save(from: Saved.qemu.files, to: root) }
      #expect(
        used?.description
          == "\(root): found a directory with 1 entries, such as 'file', expected an empty one, or none")
      let orphan = readError { try HostSnapshot.save(from: Saved.qemu.files, to: "\(root)/a/b") }
      #expect(orphan?.description.contains("a/b: found no such file or directory") == true)
      let source = readError { try HostSnapshot.save(from: .directory(root), to: "\(root)/new") }
      #expect(source?.file == "\(root)/proc/zoneinfo")
      // Short enough to be made, too long for the files in it.
      var long = root
      while long.utf8.count < 3900 {
        long += "/" + String(repeating: "d", count: 150)
        try FileManager.default.createDirectory(atPath: long, withIntermediateDirectories: true)
      }
      long += "/" + String(repeating: "d", count: 4060 - long.utf8.count)
      let failed = readError { try HostSnapshot.save(from: Saved.qemu.files, to: long) }
      #expect(failed?.expected == "a writable place" || failed?.expected == "a writable file")
      #expect(!FileManager.default.fileExists(atPath: long))
      #expect(try tree(root).filter { !$0.key.hasPrefix("ddd") } == ["file": "mine"])
    }
  }

  @Test(
    "the running host reads, and its zones lie in its memory blocks",
    .enabled(
      if: FileManager.default.fileExists(atPath: "/sys/devices/system/memory/block_size_bytes"),
      "this kernel has no memory blocks"))
  func live() throws {
    let host = try HostSnapshot.read(from: .live)
    #expect(host.pageSize == Int(sysconf(Int32(_SC_PAGESIZE))))
    #expect(host.zones.contains { $0.isPopulated && $0.cpuCount > 0 })
    #expect(host.vmstat["nr_free_pages"] != nil && host.meminfo["MemTotal"] != nil)
    for block in host.blocks {
      guard let zone = host.zone(of: block) else { continue }
      #expect(host.frames(of: block).overlaps(zone.frames), "memory\(block.index) in \(zone)")
    }
    try withScratchDirectory { root in
      let saved = try HostSnapshot.save(from: .live, to: "\(root)/copy")
      let read = try HostSnapshot.read(from: .directory("\(root)/copy"))
      #expect(read.zones == saved.zones && read.blocks == saved.blocks && read.vmstat == saved.vmstat)
      #expect(read.pageSize == saved.pageSize)
    }
  }
}
