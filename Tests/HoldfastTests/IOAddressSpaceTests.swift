import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// IO address spaces of iommufd: mapping, copying, unmapping, charges, memory files (rule 9.4).
@Suite struct IOAddressSpaceTests {
  private struct Rig {
    let rig: PinRig
    let ioas: IOAddressSpace
    var machine: Machine { rig.machine }
    var process: Process { rig.process }

    init(
      _ ground: Ground = .normal, _ accounting: IOAccounting = .user, attached: Bool = true,
      policy: PlacementPolicy = .linux6_1
    ) throws {
      rig = try PinRig(ground, policy: policy)
      ioas = try rig.machine.openIOAddressSpace(accounting)
      if attached { try attach("nic") }
    }

    @discardableResult
    func attach(_ name: String, iommu: UInt32 = 0, to other: IOAddressSpace? = nil) throws -> DeviceGroup {
      try machine.attach(DeviceRig.device(name, iommu: iommu), to: other ?? ioas, by: process)
    }

    func reached(_ page: Int, _ pages: Int, in other: IOAddressSpace? = nil) -> [FrameNumber?] {
      machine.reachedFrames(of: (other ?? ioas).container, iova: UInt64(page) << 12, pages: pages)
    }

    /// VmLck, VmPin, and what the user is charged.
    var charged: [Int] {
      let usage = machine.usage(of: process)
      return [usage.locked, usage.pinned, Int(machine.global.userLockedPages.load())]
    }

    var state: [String] {
      rig.state().filter { !$0.hasPrefix("pfn:") }
        + machine.mappings(of: ioas.container).map { "\($0)" }
        + [reached(0, 256).map { $0.map { "\($0)" } ?? "-" }.joined()]
    }
  }

  private static func at(_ page: Int, _ pages: Int, _ flags: UInt32 = IOMap.readable | IOMap.writeable)
    -> IOMap
  {
    IOMap(at: UInt64(page) << 12, length: UInt64(pages) << 12, flags: flags)
  }

  @Test("each check of a map refuses what it is for, and changes nothing")
  func checks() throws {
    let rig = try Rig()
    let start = try rig.rig.map(8)
    try rig.machine.fill(rig.process, start, pages: 8, pattern: 1)
    try rig.machine.map(rig.ioas, start, Self.at(16, 4), by: rig.process)
    let before = rig.state
    let cases: [(what: String, errno: Errno, adjust: (inout IOMap, inout VirtualAddress) -> Void)] = [
      ("a short structure", .invalidArgument, { map, _ in map.size = 39 }),
      ("unknown flags", .notSupported, { map, _ in map.flags |= 8 }),
      ("the largest iova", .overflow, { map, _ in map.iova = .max }),
      ("the largest length", .overflow, { map, _ in map.length = .max }),
      (
        "half the addresses, anywhere", .overflow,
        { map, start in
          (map.flags, map.length) = (IOMap.readable, 1 << 63)
          start = VirtualAddress(rawValue: 0)
        }
      ),
      ("no access", .invalidArgument, { map, _ in map.flags = 1 }),
      ("no length", .invalidArgument, { map, _ in map.length = 0 }),
      ("an address that wraps", .overflow, { _, start in start = VirtualAddress(rawValue: .max - 4095) }),
      ("a length that is no page", .invalidArgument, { map, _ in map.length = 4097 }),
      ("an iova that is no page", .invalidArgument, { map, _ in map.iova += 8 }),
      ("an iova that wraps", .overflow, { map, _ in map.iova = .max - 4095 }),
      ("a reserved window", .invalidArgument, { map, _ in map.iova = 0x8_0000 }),
      ("an overlap", .fileExists, { _, _ in }),
      (
        "an address that is no page", .invalidArgument,
        { map, start in
          map.iova = 0x2_0000
          start = start + UInt64(8)
        }
      ),
    ]
    for refusal in cases {
      var map = Self.at(18, 2)
      var address = start
      refusal.adjust(&map, &address)
      let error = deviceError { try rig.machine.map(rig.ioas, address, map, by: rig.process) }
      #expect(error?.errno == refusal.errno, "\(refusal.what): \(error?.description ?? "no error")")
    }
    let copied = deviceError {
      try rig.machine.copy(from: rig.ioas, at: .max, to: rig.ioas, Self.at(18, 2, 0), by: rig.process)
    }
    #expect(copied?.errno == .overflow, "before the access is looked at")
    func unmap(_ iova: UInt64, _ length: UInt64) -> Errno? {
      deviceError { try rig.machine.unmap(rig.ioas, at: iova, length: length, by: rig.process) }?.errno
    }
    #expect(unmap(.max, 4096) == .overflow && unmap(0x1_0000, .max) == .overflow)
    #expect(unmap(.max - 4095, 8192) == .overflow)
    #expect(unmap(0x1_0000, 4096) == .noSuchFileOrDirectory, "a mapping would be cut")
    #expect(unmap(0x1_1000, 0x4000) == .noSuchFileOrDirectory, "a mapping would be cut")
    #expect(unmap(0x3_0000, 4096) == .noSuchFileOrDirectory, "nothing is there")
    let ends = deviceError {
      try rig.machine.copy(
        from: rig.ioas, at: 0x1_2000, to: rig.ioas, Self.at(32, 4), by: rig.process)
    }
    #expect(ends?.errno == .noSuchFileOrDirectory, "the source ends before")
    #expect(rig.state == before)
    #expect(try rig.machine.unmap(rig.ioas, at: 0, length: .max, by: rig.process) == 4 << 12)
    #expect(try rig.machine.unmap(rig.ioas, at: 0, length: .max, by: rig.process) == 0, "all of nothing")
    rig.rig.check("refused")
  }

  @Test("nothing is pinned until a device comes, everything while one is there, and for each domain once")
  func devices() throws {
    let rig = try Rig(attached: false)
    let machine = rig.machine
    let start = try rig.rig.map(8)
    try machine.map(rig.ioas, start, Self.at(16, 4), by: rig.process)
    try machine.map(rig.ioas, start + 4 * 4096, Self.at(32, 4), by: rig.process)
    #expect(machine.pinHolders.isEmpty && rig.charged == [0, 0, 0])
    try machine.unmap(rig.process, AddressRange(start: start + 6 * 4096, pages: 1))
    #expect(deviceError { try rig.attach("nic") }?.errno == .badAddress)
    #expect(rig.charged == [0, 0, 0] && machine.groups(of: rig.ioas.container).isEmpty)
    rig.rig.check("refused")
    try machine.unmap(rig.ioas, at: 32 << 12, length: 4 << 12, by: rig.process)
    let nic = try rig.attach("nic")
    let gpu = try rig.attach("gpu", iommu: 1)
    #expect(rig.charged == [0, 4, 4])
    let frames = (0..<4).map { rig.rig.frame(start + $0 * 4096) }
    for device in [nic, gpu] {
      for page in 0..<4 {
        #expect(try machine.reach(device, iova: UInt64(16 + page) << 12, write: true) == frames[page])
      }
    }
    rig.rig.check("two domains")
    machine.detach(nic)
    #expect(rig.charged == [0, 4, 4] && rig.reached(16, 4) == frames)
    rig.rig.check("one domain")
    machine.detach(gpu)
    #expect(rig.charged == [0, 0, 0], "the last device takes the pins along")
    #expect(machine.mappings(of: rig.ioas.container).count == 1, "and leaves the mapping")
    rig.rig.check("none")
    try rig.attach("back")
    #expect(rig.charged == [0, 4, 4] && rig.reached(16, 4) == frames, "which a device that comes back finds")
    machine.closeIOAddressSpace(rig.ioas)
    #expect(rig.charged == [0, 0, 0])
    rig.rig.check("closed")
  }

  @Test("an address is chosen where there is room: aligned as the memory is, never 0, not in a window")
  func addresses() throws {
    let rig = try Rig()
    let start = try rig.rig.map(16)
    let first = try rig.machine.map(rig.ioas, start, IOMap(length: 4096), by: rig.process)
    #expect(first == 0x1000)
    let aligned = VirtualAddress(rawValue: (start.rawValue + 0x3fff) & ~0x3fff)
    let second = try rig.machine.map(rig.ioas, aligned, IOMap(length: 0x4000), by: rig.process)
    #expect(second == 0x4000)
    let none = deviceError {
      try rig.machine.map(rig.ioas, start, IOMap(length: 0x10_0000), by: rig.process)
    }
    #expect(none?.errno == .noSpace)
    rig.rig.check("chosen")
  }

  @Test(
    "copies share pins and charges: a page is pinned once while any domain has it, and given back with the last"
  )
  func copies() throws {
    for second in [false, true] {
      let rig = try Rig()
      let machine = rig.machine
      let start = try rig.rig.map(8)
      try machine.map(rig.ioas, start, Self.at(16, 8), by: rig.process)
      var other = rig.ioas
      if second {
        other = try machine.openIOAddressSpace()
        try rig.attach("gpu", to: other)
      }
      let frames = rig.reached(16, 8)
      let acquired = rig.rig.acquired
      // Two parts, which meet in page 4.
      try machine.copy(from: rig.ioas, at: 18 << 12, to: other, Self.at(64, 3), by: rig.process)
      try machine.copy(
        from: rig.ioas, at: 20 << 12, to: other, Self.at(96, 2, IOMap.readable), by: rig.process)
      #expect(rig.rig.acquired == acquired && rig.charged == [0, 8, 8], "nothing is pinned again")
      #expect(rig.reached(64, 3, in: other) == Array(frames[2..<5]))
      #expect(rig.reached(96, 2, in: other) == Array(frames[4..<6]))
      rig.rig.check("copied")
      try machine.unmap(rig.ioas, at: 16 << 12, length: 8 << 12, by: rig.process)
      #expect(rig.charged == [0, 4, 4], "pages 2 to 5 are in a domain yet")
      rig.rig.check("the first is gone")
      try machine.unmap(other, at: 64 << 12, length: 3 << 12, by: rig.process)
      #expect(rig.charged == [0, 2, 2])
      rig.rig.check("the second is gone")
      try machine.unmap(other, at: 96 << 12, length: 2 << 12, by: rig.process)
      #expect(rig.charged == [0, 0, 0] && machine.pinHolders.isEmpty)
      rig.rig.check("all gone")
    }
    // Access that the memory was not mapped with is refused, and memory that is in no domain is pinned by the copy.
    let rig = try Rig(attached: false)
    let machine = rig.machine
    let start = try rig.rig.map(4)
    try machine.map(rig.ioas, start, Self.at(16, 4, IOMap.readable), by: rig.process)
    let other = try machine.openIOAddressSpace()
    try rig.attach("gpu", to: other)
    let error = deviceError {
      try machine.copy(from: rig.ioas, at: 16 << 12, to: other, Self.at(0, 4), by: rig.process)
    }
    #expect(error?.errno == .notPermitted)
    try machine.copy(from: rig.ioas, at: 17 << 12, to: other, Self.at(0, 2, IOMap.readable), by: rig.process)
    #expect(rig.charged == [0, 2, 2])
    try rig.attach("nic")
    #expect(rig.charged == [0, 4, 4], "the first one pins what is missing")
    rig.rig.check("read-only")
    // The process ends: what is pinned stays, more cannot be.
    machine.exit(rig.process)
    let heir = try machine.createProcess(name: "heir", memlockLimit: .max)
    try machine.copy(from: rig.ioas, at: 16 << 12, to: other, Self.at(8, 4, IOMap.readable), by: heir)
    machine.closeIOAddressSpace(other)
    machine.closeIOAddressSpace(rig.ioas)
    rig.rig.check("closed")
    #expect(machine.pinHolders.isEmpty)
  }

  @Test("memory of a process that has ended cannot be pinned any more")
  func ended() throws {
    let rig = try Rig(attached: false)
    let machine = rig.machine
    let start = try rig.rig.map(4)
    try machine.map(rig.ioas, start, Self.at(16, 4), by: rig.process)
    machine.exit(rig.process)
    let heir = try machine.createProcess(name: "heir", memlockLimit: .max)
    let error = deviceError {
      try machine.attach(DeviceRig.device("nic"), to: rig.ioas, by: heir)
    }
    #expect(error?.errno == .badAddress)
    machine.closeIOAddressSpace(rig.ioas)
    rig.rig.check("ended")
  }

  @Test(
    "pins are charged to the user or to locked_vm, and always to pinned_vm; not with the right to lock memory"
  )
  func charges() throws {
    for accounting in [IOAccounting.user, .process] {
      for privileged in [false, true] {
        let rig = try Rig(.normal, accounting)
        let machine = rig.machine
        let start = try rig.rig.map(8)
        rig.process.memlockLimit = 4 * 4096
        if privileged { rig.process.capabilities = .ipcLock }
        let error = deviceError { try machine.map(rig.ioas, start, Self.at(16, 5), by: rig.process) }
        #expect(error?.errno == (privileged ? nil : .noMemory), "\(accounting)")
        if privileged {
          #expect(rig.charged == [0, 5, 0], "\(accounting)")
          machine.closeIOAddressSpace(rig.ioas)
          continue
        }
        #expect(rig.charged == [0, 0, 0] && machine.pinHolders.isEmpty, "\(accounting), refused")
        #expect(machine.mappings(of: rig.ioas.container).isEmpty)
        try machine.map(rig.ioas, start, Self.at(16, 4), by: rig.process)
        #expect(rig.charged == (accounting == .user ? [0, 4, 4] : [4, 4, 0]), "\(accounting)")
        rig.rig.check("\(accounting)")
        // All processes have one user.
        let other = try machine.createProcess(name: "other", memlockLimit: 4 * 4096)
        let there = try machine.map(other, pages: 1)
        let shared = deviceError { try machine.map(rig.ioas, there, Self.at(64, 1), by: other) }
        #expect(shared?.errno == (accounting == .user ? .noMemory : nil))
        machine.closeIOAddressSpace(rig.ioas)
        #expect(rig.charged == [0, 0, 0], "\(accounting), closed")
        rig.rig.check("\(accounting), closed")
      }
    }
  }

  @Test("devices whose apertures do not meet share an IO address space, in which nothing can be mapped then")
  func disjoint() throws {
    let rig = try Rig(attached: false)
    let machine = rig.machine
    let start = try rig.rig.map(4)
    for (name, aperture) in [("low", UInt64(0)...0x3_ffff), ("high", 0x4_0000...0xf_ffff)] {
      var device = DeviceRig.device(name, iommu: name == "low" ? 0 : 1)
      device.aperture = aperture
      try machine.attach(device, to: rig.ioas, by: rig.process)
    }
    for iova in [UInt64(0x1_0000), 0x5_0000] {
      let error = deviceError {
        try machine.map(rig.ioas, start, IOMap(at: iova, length: 4096), by: rig.process)
      }
      #expect(error?.errno == .invalidArgument)
    }
    let anywhere = deviceError { try machine.map(rig.ioas, start, IOMap(length: 4096), by: rig.process) }
    #expect(anywhere?.errno == .noSpace)
    rig.rig.check("disjoint")
  }

  @Test("an attach asks for interrupts, windows and the aperture, in this order")
  func orderOfAttach() throws {
    let rig = try Rig(attached: false)
    let machine = rig.machine
    let start = try rig.rig.map(4)
    try machine.map(rig.ioas, start, Self.at(16, 4), by: rig.process)
    var device = DeviceRig.device("nic")
    device.aperture = 0...0x1_0fff
    device.remapsInterrupts = false
    #expect(deviceError { try machine.attach(device, to: rig.ioas, by: rig.process) }?.errno == .notPermitted)
    device.remapsInterrupts = true
    #expect(deviceError { try machine.attach(device, to: rig.ioas, by: rig.process) }?.errno == .addressInUse)
  }

  @Test("the mapper's limit counts as it is when pages are pinned, not as it was when they were mapped")
  func limitOfTheMoment() throws {
    for accounting in [IOAccounting.user, .process] {
      for (before, after, errno) in [(8, 3, Errno.noMemory), (3, 4, nil)] as [(UInt64, UInt64, Errno?)] {
        let rig = try Rig(.normal, accounting, attached: false)
        let machine = rig.machine
        let start = try rig.rig.map(4)
        rig.process.memlockLimit = before * 4096
        try machine.map(rig.ioas, start, Self.at(16, 4), by: rig.process)
        rig.process.memlockLimit = after * 4096
        let attacher = try machine.createProcess(name: "attacher", memlockLimit: 0)
        let error = deviceError {
          try machine.attach(DeviceRig.device("nic"), to: rig.ioas, by: attacher)
        }
        #expect(error?.errno == errno, "\(accounting), \(before) and then \(after)")
        rig.rig.check("\(accounting)")
      }
    }
  }

  @Test("a memory file is mapped without an address space, wherever its pages are, and outlives its handle")
  func files() throws {
    for ground in Ground.allCases {
      let rig = try Rig(ground)
      let machine = rig.machine
      let file = try machine.createObject(kind: .memfd, pages: 6, for: rig.process)
      let start = try rig.rig.map(3, .object(file))
      try machine.fill(rig.process, start, pages: 3, pattern: 9)
      machine.lru.drainAll(for: rig.process)
      let before = rig.rig.frame(start)
      try machine.mapFile(rig.ioas, file, from: 4096, Self.at(16, 4), by: rig.process)
      #expect(machine.cachedPages(of: file) == 5, "pages that were not there are made")
      #expect(Array(rig.reached(16, 2)) == [1, 2].map { rig.rig.frame(start + $0 * 4096) }, "\(ground)")
      #expect(rig.rig.frame(start) == before)
      for frame in rig.reached(16, 4) {
        #expect(machine.folios.isLongtermPinnable(try #require(frame)), "\(ground)")
      }
      #expect(rig.charged == [0, 4, 4])
      #expect(machine.incoherentPages(of: rig.ioas.container) == [])
      try machine.unmap(rig.process, AddressRange(start: start, pages: 3))
      #expect(machine.incoherentPages(of: rig.ioas.container) == [], "no address space is asked")
      let beyond = deviceError {
        try machine.mapFile(rig.ioas, file, from: 4096, Self.at(32, 6), by: rig.process)
      }
      #expect(beyond?.errno == .invalidArgument)
      machine.closeObject(file, for: rig.process)
      rig.rig.check("\(ground), the handle is closed")
      #expect(rig.reached(16, 4).allSatisfy { $0 != nil })
      machine.closeIOAddressSpace(rig.ioas)
      #expect(rig.charged == [0, 0, 0])
      rig.rig.check("\(ground), closed")
    }
  }

  @Test("pins of a memory file for a driver are charged nowhere (udmabuf)")
  func drivers() throws {
    let rig = try Rig(.movable)
    let machine = rig.machine
    let file = try machine.createObject(kind: .memfd, pages: 6, for: rig.process)
    rig.process.memlockLimit = 0
    let pins = try machine.pinFile(file, from: 1, pages: 4, by: rig.process)
    #expect(pins.count == 4 && rig.charged == [0, 0, 0])
    #expect(machine.pinHolders.map(\.purpose) == ["udmabuf"], "only the ledger knows")
    rig.rig.check("pinned")
    pins.unpin()
    #expect(
      pinError { _ = try machine.pinFile(file, from: 4, pages: 3, by: rig.process) }?.errno
        == .invalidArgument)
    machine.closeObject(file, for: rig.process)
    rig.rig.check("unpinned")
  }
}
