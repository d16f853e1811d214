import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// VFIO_IOMMU_MAP_DMA and UNMAP_DMA: their checks, their charges, what devices reach (rule 9.2).
@Suite struct MapDMATests {
  /// A call that is refused, and why.
  private struct Refusal: CustomTestStringConvertible {
    let what: String
    let errno: Errno
    let words: String
    let adjust: @Sendable (inout DMAMap) -> Void
    var testDescription: String { what }
  }

  // In the order of the kernel's checks: each entry has what all entries behind it would be refused for as well.
  private static let refusals: [Refusal] = [
    Refusal(what: "argsz", errno: .invalidArgument, words: "31 bytes") { $0.size = 31 },
    Refusal(what: "unknown flags", errno: .invalidArgument, words: "flags 0x8") { $0.flags |= 8 },
    Refusal(what: "VADDR and READ", errno: .invalidArgument, words: "excludes") { $0.flags = 5 },
    Refusal(what: "no flags", errno: .invalidArgument, words: "none of") { $0.flags = 0 },
    Refusal(what: "no length", errno: .invalidArgument, words: "length is zero") { $0.length = 0 },
    Refusal(what: "unaligned iova", errno: .invalidArgument, words: "multiple of 4096") { $0.iova += 8 },
    Refusal(what: "unaligned length", errno: .invalidArgument, words: "multiple of 4096") { $0.length += 1 },
    Refusal(what: "unaligned address", errno: .invalidArgument, words: "multiple of 4096") {
      $0.address = $0.address + 8
    },
    Refusal(what: "iova wraps", errno: .invalidArgument, words: "wraps") { $0.iova = UInt64.max - 4095 },
    Refusal(what: "address wraps", errno: .invalidArgument, words: "wraps") {
      $0.address = VirtualAddress(rawValue: UInt64.max - 4095)
    },
    Refusal(what: "VADDR of nothing", errno: .noSuchFileOrDirectory, words: "nothing is mapped") {
      $0.flags = 4
      $0.iova = 0x3_0000
    },
    Refusal(what: "VADDR of what is valid", errno: .invalidArgument, words: "has its address") {
      $0.flags = 4
    },
    Refusal(what: "overlap", errno: .fileExists, words: "0x10000 to 0x13fff is mapped already") { _ in },
  ]

  @Test("each check of a map refuses what it is for, in the kernel's order, and changes nothing")
  func checks() throws {
    let rig = try DeviceRig()
    let start = try rig.rig.map(8)
    try rig.machine.fill(rig.process, start, pages: 8, pattern: 1)
    try rig.map(start, at: 16, pages: 4)
    let before = rig.state
    for (index, refusal) in Self.refusals.enumerated() {
      // What the checks behind would refuse as well; but for those that look at one field twice.
      for other in [refusal] + Self.refusals[index...] where other.what != "VADDR and READ" {
        var map = DMAMap(start, at: 0x1_0000, length: 0x2000)
        if ["no flags", "VADDR of nothing", "VADDR of what is valid"].contains(other.what),
          ["unknown flags", "VADDR and READ"].contains(refusal.what)
        {
          continue
        }
        other.adjust(&map)
        refusal.adjust(&map)
        let error = deviceError { try rig.machine.mapDMA(rig.container, map, by: rig.process) }
        #expect(error?.errno == refusal.errno, "\(refusal.what) before \(other.what)")
        if other.what == refusal.what {
          #expect(error?.description.contains(refusal.words) == true, "\(error?.description ?? "no error")")
        }
      }
    }
    #expect(rig.state == before)
    rig.check("after refusals")
  }

  @Test(
    "a map beyond the limit of mappings is ENOSPC, outside the devices' windows EINVAL, without a device EINVAL"
  )
  func room() throws {
    let rig = try DeviceRig(limit: 1)
    let start = try rig.rig.map(8)
    func errno(_ page: Int, pages: Int = 1) -> Errno? {
      deviceError { try rig.map(start, at: page, pages: pages) }?.errno
    }
    #expect(errno(0x7f, pages: 2) == .invalidArgument, "into the reserved window")
    #expect(errno(0x8f) == .invalidArgument, "inside it")
    #expect(errno(255, pages: 2) == .invalidArgument, "beyond the aperture")
    #expect(errno(0x7f) == nil, "up to the window")
    #expect(errno(0x90) == .noSpace, "no mapping is left")
    #expect(errno(0x7f) == .fileExists, "an overlap comes first")
    try rig.unmap(0x7f, pages: 1)
    #expect(errno(0x90) == nil, "there is room again")
    rig.machine.detach(rig.nic)
    let error = deviceError { try rig.map(start, at: 0, pages: 1) }
    #expect(error?.errno == .invalidArgument)
    #expect(error?.description.contains("no device is in the container") == true)
    #expect(deviceError { try rig.unmap(0, pages: 1) }?.errno == .invalidArgument)
    rig.check("without a device")
  }

  @Test("devices reach the frames that the process has mapped, by large pages where they fit")
  func frames() throws {
    for kind in PageKind.resident + [.zeroPage, .hole] {
      let rig = try DeviceRig()
      let start = try rig.rig.make(kind)
      let pages = rig.rig.unit
      let flags = kind == .zeroPage || kind == .memfdPrivate ? DMAMap.read : DMAMap.read | DMAMap.write
      try rig.map(start, at: 16, pages: pages, flags: flags)
      #expect(rig.reached(16, pages: pages) == rig.mapped(start, pages: pages), "\(kind)")
      #expect(rig.reached(15, pages: 1) == [nil] && rig.reached(16 + pages, pages: 1) == [nil], "\(kind)")
      #expect(rig.locked == (kind == .zeroPage ? 0 : pages), "\(kind)")
      #expect(rig.machine.incoherentPages(of: rig.container) == [], "\(kind)")
      let container = rig.machine.devices.container(rig.container.id)
      let domain = rig.machine.devices.domain(container.lock.withLock { container.firstDomain })
      let tables = rig.machine.devices.tables(of: domain).count
      #expect(tables == (kind.isLarge ? 3 : 4), "\(kind): a large page needs no table of the lowest level")
      rig.check("\(kind), mapped")
      #expect(
        deviceError { _ = try rig.machine.reach(rig.nic, iova: 0x1_0000, write: true) } == nil || flags == 1)
      #expect(try rig.unmap(16, pages: pages) == pages)
      #expect(rig.reached(16, pages: pages).allSatisfy { $0 == nil }, "\(kind)")
      #expect(rig.machine.devices.tables(of: domain).count == 1, "\(kind): the tables are free")
      #expect(rig.locked == 0 && rig.machine.pinHolders.isEmpty, "\(kind)")
      rig.check("\(kind), unmapped")
    }
  }

  @Test(
    "a map that fails leaves no pin, no charge, no translation and no mapping: at each page, for each reason")
  func unwinding() throws {
    for place in 0..<6 {
      for reason in ["hole", "limit", "charge", "table", "signal"] {
        let rig = try DeviceRig()
        let machine = rig.machine
        let start = try rig.rig.map(8)
        // In this order no two neighbours get consecutive frames: every page is a run.
        for page in [0, 2, 4, 1, 3, 5] { try machine.touch(rig.process, start + page * 4096, write: true) }
        machine.lru.drainAll(for: rig.process)
        var errno = Errno.noMemory
        switch reason {
        case "hole":
          try machine.unmap(rig.process, AddressRange(start: start + place * 4096, pages: 1))
          errno = .badAddress
        case "limit": rig.process.memlockLimit = UInt64(place) * 4096
        case "charge":
          machine.injectFailures(.memlock, count: 1, after: place)
        case "table":
          // Of a mapping's four tables the root is there; the first row is the mapping's own, then the ledger's.
          if place > 3 { continue }
          machine.injectFailures(.table, count: 1, after: place == 0 ? 0 : place + 2)
        default:
          if place > 0 { continue }
          rig.process.raise(fatal: true)
          errno = .interrupted
        }
        let before = rig.state
        let error = deviceError { try rig.map(start, at: 16, pages: 6) }
        machine.injectFailures(.memlock, count: 0)
        machine.injectFailures(.table, count: 0)
        #expect(error?.errno == errno, "\(reason) at \(place): \(error?.description ?? "no error")")
        #expect(rig.state == before, "\(reason) at \(place)")
        let container = machine.devices.container(rig.container.id)
        let domain = machine.devices.domain(container.lock.withLock { container.firstDomain })
        #expect(
          machine.devices.tables(of: domain).count == 1, "\(reason) at \(place): tables lead to nothing")
        rig.check("\(reason) at \(place)")
      }
    }
  }

  @Test("an unmap up to the last address of all finds nothing, as in the kernel")
  func unmapToTheEnd() throws {
    let rig = try DeviceRig()
    let start = try rig.rig.map(4)
    try rig.map(start, at: 16, pages: 4)
    let range = DMAUnmap(at: 4096, length: 0 &- 4096)
    #expect(try rig.machine.unmapDMA(rig.container, range, by: rig.process) == 0)
    #expect(try rig.unmap(1, pages: 100) == 4)
  }

  @Test("a first domain pins within the limits that mapper and attacher have then, not the one of the map")
  func limitOfTheMoment() throws {
    // The mapper's limit at the map and at the attach, the attacher's if that is another process.
    let cases: [(atMap: UInt64, atAttach: UInt64, attacher: UInt64?, errno: Errno?)] = [
      (8, 8, nil, nil), (8, 3, nil, .noMemory), (3, 4, nil, nil), (8, 8, 3, .noMemory), (8, 3, 8, .noMemory),
    ]
    for it in cases {
      let rig = try DeviceRig(emulated: true)
      let machine = rig.machine
      let start = try rig.rig.map(4)
      rig.process.memlockLimit = it.atMap * 4096
      try rig.map(start, at: 0, pages: 4)
      rig.process.memlockLimit = it.atAttach * 4096
      var attacher = rig.process
      if let limit = it.attacher {
        attacher = try machine.createProcess(name: "attacher", memlockLimit: limit * 4096)
        _ = try machine.map(attacher, pages: 4, at: .fixed(start))
      }
      let error = deviceError {
        try machine.attach(DeviceRig.device("gpu"), to: rig.container, by: attacher)
      }
      #expect(error?.errno == it.errno, "\(it)")
      rig.check("\(it)")
    }
  }

  @Test(
    "pages are charged to whoever maps, against the limit or the right to lock memory, for each mapping anew")
  func charges() throws {
    let rig = try DeviceRig()
    let machine = rig.machine
    let start = try rig.rig.map(4)
    rig.process.memlockLimit = 6 * 4096 + 4095
    try rig.map(start, at: 0, pages: 4)
    #expect(rig.locked == 4)
    let error = deviceError { try rig.map(start, at: 16, pages: 3) }
    #expect(error?.errno == .noMemory)
    #expect(error?.description.contains("4 pages locked and 3 more") == true, "\(error?.description ?? "")")
    try rig.map(start, at: 16, pages: 2)
    #expect(rig.locked == 6, "the same pages at another place")
    // A second container, as behind a vIOMMU: each device's container is charged for itself.
    let other = try machine.openContainer()
    try machine.attach(DeviceRig.device("gpu"), to: other, by: rig.process)
    let again = DMAMap(start, at: 0, length: 4 << 12)
    #expect(deviceError { try machine.mapDMA(other, again, by: rig.process) }?.errno == .noMemory)
    rig.process.capabilities = .ipcLock
    try machine.mapDMA(other, again, by: rig.process)
    #expect(rig.locked == 10, "with CAP_IPC_LOCK it is charged, and nothing is refused")
    rig.check("two containers")
    machine.closeContainer(other)
    #expect(rig.locked == 6)
    try rig.unmap(0, pages: 4)
    #expect(rig.locked == 2)
    let space = rig.process.space
    machine.exit(rig.process)
    rig.check("the process has ended, and its pages are pinned")
    #expect(machine.pinHolders.count == 1)
    machine.closeContainer(rig.container)
    #expect(machine.pinHolders.isEmpty)
    #expect(atRest { machine.spaces.space(space).live } == 0)
    rig.check("closed")
  }

  @Test("an unmap takes whole mappings, says how much that was, and cuts none: but for type 1 without v2")
  func unmapping() throws {
    for kind in [ContainerKind.type1, .type1v2] {
      let rig = try DeviceRig(kind: kind)
      let machine = rig.machine
      let start = try rig.rig.map(12)
      for page in [0, 4, 8] { try rig.map(start + page * 4096, at: 16 + page, pages: 4) }
      func refused(_ page: Int, _ pages: Int) -> Bool {
        let before = rig.state
        let error = deviceError { try rig.unmap(page, pages: pages) }
        guard let error else { return false }
        #expect(error.errno == .invalidArgument && error.description.contains("cut in two"))
        #expect(rig.state == before)
        return true
      }
      if kind == .type1v2 {
        #expect(refused(17, 3) && refused(16, 3) && refused(14, 4) && refused(16, 7) && refused(18, 20))
        #expect(try rig.unmap(0, pages: 16) == 0, "nothing there is no error")
      } else {
        #expect(try rig.unmap(17, pages: 3) == 0, "an offset into a mapping unmaps nothing")
        #expect(try rig.unmap(16, pages: 1) == 4, "the first page unmaps all of it")
        try rig.map(start, at: 16, pages: 4)
      }
      #expect(try rig.unmap(16, pages: 8) == 8)
      #expect(machine.mappings(of: rig.container).count == 1)
      for (adjust, words) in [
        ({ $0.size = 23 }, "23 bytes"), ({ $0.flags = 8 }, "flags 0x8"), ({ $0.iova = 8 }, "multiple"),
        ({ $0.length = 0 }, "zero"), ({ $0.length = 9 }, "multiple"),
        (
          {
            $0.iova = UInt64.max - 4095; $0.length = 8192
          }, "wraps"
        ), ({ $0.flags = 2 }, "ALL"),
      ] as [((inout DMAUnmap) -> Void, String)] {
        var unmap = DMAUnmap(at: 0x1_8000, length: 4096)
        adjust(&unmap)
        let error = deviceError { try machine.unmapDMA(rig.container, unmap, by: rig.process) }
        #expect(error?.errno == .invalidArgument && error?.description.contains(words) == true, "\(words)")
      }
      let all = DMAUnmap(at: 0, length: 0, flags: DMAUnmap.all)
      #expect(try machine.unmapDMA(rig.container, all, by: rig.process) == 4 << 12)
      #expect(machine.mappings(of: rig.container).isEmpty && rig.locked == 0)
      rig.check("\(kind)")
    }
  }

  @Test("a mapping can lose its address and get another one, in another space, which is charged then")
  func addresses() throws {
    let rig = try DeviceRig()
    let machine = rig.machine
    let start = try rig.rig.map(4)
    try rig.map(start, at: 0, pages: 4)
    let frames = rig.reached(0, pages: 4)
    let take = DMAUnmap(at: 0, length: 0, flags: DMAUnmap.all | DMAUnmap.takeAddress)
    #expect(try machine.unmapDMA(rig.container, take, by: rig.process) == 4 << 12)
    #expect(
      deviceError { try machine.unmapDMA(rig.container, take, by: rig.process) }?.errno == .invalidArgument)
    let late = DeviceRig.device("late")
    let error = deviceError { try machine.attach(late, to: rig.container, by: rig.process) }
    #expect(error?.errno == .resourceBusy, "no device may come meanwhile")
    let heir = try machine.createProcess(name: "heir", memlockLimit: 3 * 4096)
    let there = try machine.map(heir, pages: 4)
    func give(_ pages: UInt64) -> Errno? {
      let map = DMAMap(there, at: 0, length: pages << 12, flags: DMAMap.setAddress)
      return deviceError { try machine.mapDMA(rig.container, map, by: heir) }?.errno
    }
    #expect(give(3) == .invalidArgument, "another extent")
    #expect(give(4) == .noMemory, "beyond the limit of the heir")
    #expect(rig.locked == 4)
    heir.memlockLimit = 4 * 4096
    #expect(give(4) == nil)
    #expect(rig.locked == 0 && machine.usage(of: heir).locked == 4, "the charge has moved")
    #expect(rig.reached(0, pages: 4) == frames, "the pages have not")
    try machine.attach(late, to: rig.container, by: heir)
    rig.check("moved")
    machine.closeContainer(rig.container)
    #expect(machine.usage(of: heir).locked == 0)
    rig.check("closed")
  }
}
