import Holdfast
import Interleaving
import SystemPackage
import Testing

/// Allocation from CMA areas.
@Suite struct CMAAllocationTests {
  /// Collects the windows that were tried.
  private final class Windows: @unchecked Sendable {
    // Sendable: one thread runs the machine that reports here.
    var tried: [(start: Int, succeeded: Bool)] = []
  }

  /// An area of 16 frames from 64 on in a machine of one zone.
  private static func rig(_ windows: Windows = Windows(), orderPerBit: Int = 0) throws -> HotplugRig {
    var configuration = MachineConfiguration.small(frames: 128, processors: 2)
    configuration.limits = TableLimits()
    configuration.cmaAreas = [
      CMAConfiguration(name: "video", frames: 16, base: FrameNumber(64), orderPerBit: orderPerBit)
    ]
    return try HotplugRig(configuration) { event in
      if case .cma(_, let start, _, let succeeded) = event { windows.tried.append((start.index, succeeded)) }
    }
  }

  /// Maps user pages until the whole area is in use by them; returns the address of each frame.
  private static func occupy(_ rig: HotplugRig) throws -> [Int: VirtualAddress] {
    let start = try rig.map(pages: 100)
    var addresses: [Int: VirtualAddress] = [:]
    var others: [VirtualAddress] = []
    // CMA memory comes last, so nearly all of the machine must be in use; then there is room again.
    for page in 0..<100 where addresses.count < 16 {
      let address = start + UInt64(page * pageSize)
      let frame = try rig.frame(start, page: page).index
      if (64..<80).contains(frame) { addresses[frame] = address } else { others.append(address) }
    }
    for address in others {
      try rig.machine.advise(rig.process, AddressRange(start: address, pages: 1), .dontNeed)
    }
    #expect(addresses.count == 16)
    return addresses
  }

  @Test("a pinned page costs the windows that it lies in; the next one is taken (rule 4.2)")
  func windows() throws {
    let windows = Windows()
    let rig = try Self.rig(windows)
    let machine = rig.machine
    let addresses = try Self.occupy(rig)
    let address = try #require(addresses[66])
    let pins = try machine.pin(rig.process, at: address, pages: 1, purpose: PinLabel("camera"))
    let range = try machine.cmaAllocate(area: 0, count: 4, by: rig.process)
    #expect(windows.tried.map(\.start) == [64, 65, 66, 67])
    #expect(windows.tried.map(\.succeeded) == [false, false, false, true])
    #expect(range == FrameRange(start: FrameNumber(67), count: 4))
    #expect(
      range.frames.allSatisfy {
        machine.memmap.page($0).refcount.load() == 1 && !machine.folios.isMaybePinned($0)
      })
    #expect(machine.cmaStatus(area: 0)?.usedPages == 4)
    #expect(machine.total(.cmaAllocSuccess) == 1)
    windows.tried = []
    let aligned = try machine.cmaAllocate(area: 0, count: 4, alignOrder: 2, by: rig.process)
    #expect(aligned.start.index == 72)
    let error = failure(CMAError.self) {
      _ = try machine.cmaAllocate(area: 0, count: 12, by: rig.process)
    }
    #expect(error?.errno == .noMemory, "drivers leave no window of 12")
    pins.unpin()
    try machine.cmaRelease(area: 0, range, by: rig.process)
    try machine.cmaRelease(area: 0, aligned, by: rig.process)
    #expect(machine.cmaStatus(area: 0)?.usedPages == 0)
    #expect(try machine.cmaAllocate(area: 0, count: 16, by: rig.process).start.index == 64)
    #expect(machine.buddy.zone(ZoneID(node: 0, kind: .normal)).isolatedPageblocks.load() == 0)
  }

  @Test("EBUSY names each window's frame and its holders; ENOMEM means that drivers hold the area (rule 4.2)")
  func errors() throws {
    let rig = try Self.rig()
    let machine = rig.machine
    let addresses = try Self.occupy(rig)
    let pins = try machine.pin(
      rig.process, at: try #require(addresses[64]), pages: 1, purpose: PinLabel("rdma"))
    _ = failure(CMAError.self) { _ = try machine.cmaAllocate(area: 0, count: 16, by: rig.process) }
    let before = rig.snapshot()
    let busy = failure(CMAError.self) {
      _ = try machine.cmaAllocate(area: 0, count: 16, by: rig.process)
    }
    #expect(rig.snapshot() == before)
    #expect(busy?.errno == .resourceBusy)
    #expect(busy?.message == "cma_alloc: video: alloc failed, req-size: 16 pages, ret: -16")
    #expect(busy?.windows.first?.frames.map(\.reason) == [.pinned(pins: 1)])
    #expect(busy?.holders.map(\.purpose) == ["rdma"])
    #expect(machine.cmaStatus(area: 0)?.usedPages == 0)
    #expect(machine.cmaStatus(area: 0)?.pagesFailed == 32)
    pins.unpin()
    _ = try machine.cmaAllocate(area: 0, count: 16, by: rig.process)
    let none = failure(CMAError.self) { _ = try machine.cmaAllocate(area: 0, count: 1, by: rig.process) }
    #expect(none?.cause == .noWindow(usedPages: 16))
    for (area, count) in [(1, 1), (0, 0), (0, -3), (0, 17)] {
      let error = failure(CMAError.self) {
        _ = try machine.cmaAllocate(area: area, count: count, by: rig.process)
      }
      #expect(error?.errno == .invalidArgument, "area \(area), \(count) pages")
    }
  }

  @Test("a released page that is still referred to looks free but is busy until let go (rule 4.3)")
  func release() throws {
    let rig = try Self.rig(orderPerBit: 1)
    let machine = rig.machine
    let range = try machine.cmaAllocate(area: 0, count: 3, by: rig.process)
    #expect(machine.cmaStatus(area: 0)?.usedPages == 4, "rounded up to the bits of the bitmap")
    let held = range.start + 1
    machine.folios.get(held)
    let report = try machine.cmaRelease(area: 0, range, by: rig.process)
    #expect(report.message == "1 pages are still in use!")
    #expect(report.frames.map(\.frame) == [held])
    #expect(machine.cmaStatus(area: 0)?.usedPages == 0)
    let busy = failure(CMAError.self) {
      _ = try machine.cmaAllocate(area: 0, count: 16, by: rig.process)
    }
    #expect(busy?.cause == .busy)
    #expect(busy?.windows.first?.frames.map(\.frame) == [held])
    machine.folios.put(held, on: 0)
    #expect(try machine.cmaAllocate(area: 0, count: 16, by: rig.process).count == 16)
    let outside = failure(CMAError.self) {
      try machine.cmaRelease(area: 0, FrameRange(start: FrameNumber(80), count: 1), by: rig.process)
    }
    #expect(outside?.errno == .invalidArgument)
  }
}
