import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// Containers: devices that come and go, their domains, what they read and write (rule 9.2).
@Suite struct ContainerTests {
  @Test("a device that does not fit is refused, in the kernel's order, and the container is as before")
  func refusals() throws {
    let rig = try DeviceRig()
    let start = try rig.rig.map(8)
    try rig.map(start, at: 16, pages: 8)
    let before = rig.state
    typealias Case = (what: String, errno: Errno, adjust: (inout DeviceDescription) -> Void)
    let cases: [Case] = [
      ("the same device", .invalidArgument, { $0.name = "nic" }),
      ("an aperture below what is mapped", .invalidArgument, { $0.aperture = 0...0x1_3fff }),
      ("an aperture above it", .invalidArgument, { $0.aperture = 0x1_4000...0xf_ffff }),
      ("a window that is mapped", .invalidArgument, { $0.reserved = [0x1_7000...0x1_7fff] }),
      ("unsafe interrupts", .notPermitted, { $0.remapsInterrupts = false }),
    ]
    for (index, refusal) in cases.enumerated() {
      for other in cases[index...] {
        var device = DeviceRig.device("gpu")
        other.adjust(&device)
        refusal.adjust(&device)
        let error = deviceError { try rig.machine.attach(device, to: rig.container, by: rig.process) }
        #expect(error?.errno == refusal.errno, "\(refusal.what) before \(other.what)")
      }
    }
    let other = try rig.machine.openContainer()
    let taken = deviceError {
      try rig.machine.attach(DeviceRig.device("nic"), to: other, by: rig.process)
    }
    #expect(taken?.errno == .invalidArgument, "a group is in one container at a time")
    #expect(rig.state == before)
    rig.check("refused")
  }

  @Test("beside emulated devices alone an aperture is not compared: the IOMMU refuses the address, EFAULT")
  func apertureOfTheFirst() throws {
    for isEmulated in [true, false] {
      let rig = try DeviceRig(emulated: isEmulated)
      let start = try rig.rig.map(4)
      try rig.map(start, at: 16, pages: 4)
      let before = rig.state
      var device = DeviceRig.device("gpu", iommu: 1)
      device.aperture = 0...0x1_1fff
      let error = deviceError { try rig.machine.attach(device, to: rig.container, by: rig.process) }
      #expect(error?.errno == (isEmulated ? .badAddress : .invalidArgument))
      #expect(rig.state == before)
      device.aperture = 0...0x1_3fff
      try rig.machine.attach(device, to: rig.container, by: rig.process)
      rig.check("emulated \(isEmulated)")
    }
  }

  @Test("what the smallest page of an IOMMU does not fit is refused: scattered frames, an address space")
  func largePagesOnly() throws {
    let rig = try PinRig()
    let machine = rig.machine
    var device = DeviceRig.device("arm")
    device.pageSizes = 1 << 14
    let container = try machine.openContainer()
    try machine.attach(device, to: container, by: rig.process)
    let whole = try rig.make(.hugePMD)
    var other = try rig.map(rig.unit)
    if other.page & UInt64(rig.unit - 1) != 0 { other = try rig.map(rig.unit) }
    for page in (0..<rig.unit).reversed() {
      try machine.touch(rig.process, other + page * 4096, write: true)
    }
    func map(_ start: VirtualAddress, at iova: UInt64) -> Errno? {
      deviceError {
        try machine.mapDMA(container, DMAMap(start, at: iova, length: 1 << 14), by: rig.process)
      }?.errno
    }
    #expect(map(whole, at: 0) == nil)
    #expect(map(other, at: 1 << 14) == .invalidArgument)
    #expect(machine.usage(of: rig.process).locked == rig.unit, "what was pinned is given back")
    let ioas = try machine.openIOAddressSpace()
    device.name = "arm2"
    let error = deviceError { try machine.attach(device, to: ioas, by: rig.process) }
    #expect(error?.errno == .invalidArgument)
    rig.check("large pages only")
  }

  @Test(
    "devices of one IOMMU share a domain; another one gets its own, with all mappings, and is unmapped with them"
  )
  func domains() throws {
    for kind in [PageKind.anonymous, .hugePMD] {
      let rig = try DeviceRig()
      let machine = rig.machine
      let start = try rig.rig.make(kind)
      let pages = rig.rig.unit
      try rig.map(start, at: 16, pages: pages)
      let twin = try machine.attach(DeviceRig.device("twin"), to: rig.container, by: rig.process)
      let gpu = try machine.attach(DeviceRig.device("gpu", iommu: 1), to: rig.container, by: rig.process)
      func domain(_ group: DeviceGroup) -> RowID { machine.devices.group(group.id).domain }
      #expect(domain(twin) == domain(rig.nic) && domain(gpu) != domain(twin))
      #expect(rig.locked == pages, "pinned and charged once, whatever the number of domains")
      for device in [rig.nic, twin, gpu] {
        for (index, frame) in rig.mapped(start, pages: pages).enumerated() {
          #expect(try machine.reach(device, iova: UInt64(16 + index) << 12, write: true) == frame)
        }
      }
      rig.check("\(kind), two domains")
      machine.detach(rig.nic)
      #expect(domain(twin) != .none)
      machine.detach(twin)
      rig.check("\(kind), one domain has gone")
      #expect(rig.locked == pages && rig.reached(16, pages: pages) == rig.mapped(start, pages: pages))
      machine.detach(gpu)
      #expect(rig.locked == 0 && machine.pinHolders.isEmpty, "with the last device everything is given back")
      #expect(machine.mappings(of: rig.container).isEmpty)
      let error = deviceError { _ = try machine.reach(gpu, iova: 16 << 12, write: false) }
      #expect(error != nil, "a device without a domain reaches nothing")
      // A device that comes back finds no mappings.
      let back = try machine.attach(DeviceRig.device("nic"), to: rig.container, by: rig.process)
      let late = deviceError { _ = try machine.reach(back, iova: 16 << 12, write: false) }
      #expect(late?.errno == .badAddress)
      try rig.map(start, at: 16, pages: pages)
      #expect(rig.locked == pages)
      rig.check("\(kind), again")
    }
  }

  @Test("mappings of emulated devices are not pinned until an IOMMU comes, and not any more when it goes")
  func emulated() throws {
    let rig = try DeviceRig(emulated: true)
    let machine = rig.machine
    let start = try rig.rig.map(8)
    try rig.map(start, at: 0, pages: 4)
    try rig.map(start + 4 * 4096, at: 16, pages: 4)
    #expect(rig.locked == 0 && machine.pinHolders.isEmpty)
    let taken = DMAUnmap(at: 0, length: 4 << 12, flags: DMAUnmap.takeAddress)
    #expect(
      deviceError { try machine.unmapDMA(rig.container, taken, by: rig.process) }?.errno == .resourceBusy)
    // The second mapping cannot be pinned: nothing stays pinned of the first.
    try machine.unmap(rig.process, AddressRange(start: start + 6 * 4096, pages: 1))
    let before = rig.state
    let refused = deviceError {
      try machine.attach(DeviceRig.device("gpu"), to: rig.container, by: rig.process)
    }
    #expect(refused?.errno == .badAddress)
    // The pages that were faulted in for it stay.
    #expect(rig.locked == 0 && machine.pinHolders.isEmpty)
    #expect(machine.groups(of: rig.container).count == 1)
    #expect(rig.reached(0, pages: 32).allSatisfy { $0 == nil })
    #expect(before.last == rig.state.last)
    rig.check("refused")
    try rig.unmap(16, pages: 4)
    let gpu = try machine.attach(DeviceRig.device("gpu"), to: rig.container, by: rig.process)
    #expect(rig.locked == 4)
    #expect(rig.reached(0, pages: 4) == rig.mapped(start, pages: 4))
    rig.check("pinned")
    machine.detach(gpu)
    #expect(rig.locked == 0 && machine.pinHolders.isEmpty)
    #expect(machine.mappings(of: rig.container).count == 1, "an emulated device keeps the mappings")
    rig.check("emulated again")
    machine.detach(rig.nic)
    #expect(machine.mappings(of: rig.container).isEmpty)
  }

  @Test("a device writes and reads the bytes that the process sees, across pages, and only as it may")
  func bytes() throws {
    let rig = try DeviceRig { $0.backing = .memfd }
    let machine = rig.machine
    let start = try rig.rig.map(4)
    try machine.fill(rig.process, start, pages: 4, pattern: 7)
    try rig.map(start, at: 16, pages: 4)
    try rig.map(start, at: 32, pages: 4, flags: DMAMap.read)
    try rig.map(start, at: 48, pages: 4, flags: DMAMap.write)
    let sent = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    try sent.withUnsafeBytes { try machine.deviceWrite(rig.nic, iova: 0x1_0ffb, from: $0) }
    func read(_ iova: UInt64, _ count: Int) throws -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: count)
      try bytes.withUnsafeMutableBytes { try machine.deviceRead(rig.nic, iova: iova, into: $0) }
      return bytes
    }
    #expect(try read(0x1_0ffb, 5000) == sent)
    #expect(try read(0x2_0ffb, 5000) == sent, "the same pages at another place")
    let frame = try #require(rig.rig.frame(start + 4096))
    #expect(machine.bytes(of: frame).map(Array.init) == Array(sent[5..<4101]), "what the process has mapped")
    func refused(_ words: String, _ body: () throws -> Void) {
      let error = deviceError(body)
      #expect(error?.errno == .badAddress && error?.description.contains(words) == true, "\(words)")
    }
    refused("may not be written") {
      try sent.withUnsafeBytes { try machine.deviceWrite(rig.nic, iova: 0x2_0000, from: $0) }
    }
    refused("may not be read") { _ = try read(0x3_0000, 1) }
    refused("no translation there") { _ = try read(0x1_3ff0, 17) }
    try rig.unmap(16, pages: 4)
    refused("no translation there") { _ = try read(0x1_0000, 1) }
    rig.check("transfers")
  }

  @Test("what is discarded, exchanged or unmapped under a mapping is incoherent, and named")
  func coherence() throws {
    let rig = try DeviceRig()
    let machine = rig.machine
    let start = try rig.rig.map(4)
    try machine.fill(rig.process, start, pages: 4, pattern: 7)
    try rig.map(start, at: 16, pages: 4)
    func incoherent() -> [UInt64] { machine.incoherentPages(of: rig.container).map { $0.iova >> 12 } }
    #expect(incoherent() == [])
    try machine.advise(rig.process, AddressRange(start: start + 4096, pages: 1), .dontNeed)
    #expect(incoherent() == [17])
    let page = try #require(machine.incoherentPages(of: rig.container).first)
    #expect(page.mapped == nil && page.description.contains("is mapped to nothing"))
    try machine.touch(rig.process, start + 4096, write: true)
    let other = try #require(machine.incoherentPages(of: rig.container).first)
    #expect(other.mapped == rig.rig.frame(start + 4096) && other.mapped != other.reached)
    try machine.unmap(rig.process, AddressRange(start: start + 2 * 4096, pages: 2))
    #expect(incoherent() == [17, 18, 19])
    rig.check("incoherent")
    machine.exit(rig.process)
    #expect(incoherent() == [16, 17, 18, 19])
    machine.closeContainer(rig.container)
    rig.check("closed")
  }

  @Test("thousands of random maps and unmaps: what is translated is what is pinned, and nothing is left")
  func random() throws {
    var random = Seeded(42)
    for emulated in [false, true] {
      let rig = try DeviceRig(emulated: emulated)
      let machine = rig.machine
      let start = try rig.rig.map(32)
      var gpu: DeviceGroup?
      rig.process.memlockLimit = 60 * 4096
      for step in 0..<1500 {
        let page = Int(random.next() % 60)
        let pages = Int(random.next() % 8) + 1
        switch random.next() % 8 {
        case 0...3:
          let from = Int(random.next() % UInt64(33 - pages))
          _ = deviceError { try rig.map(start + from * 4096, at: page, pages: pages) }
        case 4...5: _ = deviceError { try rig.unmap(page, pages: pages) }
        case 6:
          let range = AddressRange(start: start + Int(random.next() % 31) * 4096, pages: 2)
          try machine.advise(rig.process, range, .dontNeed)
        default:
          if let old = gpu {
            machine.detach(old)
            gpu = nil
          } else {
            let device = DeviceRig.device("gpu", iommu: 1)
            _ = deviceError { gpu = try machine.attach(device, to: rig.container, by: rig.process) }
          }
        }
        if step % 25 == 0 { rig.check("step \(step)") }
      }
      rig.check("the last step")
      machine.closeContainer(rig.container)
      #expect(rig.locked == 0 && machine.pinHolders.isEmpty)
      rig.check("closed")
    }
  }
}
