import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// Other owners of pins: rings, adapters, pipes, transfers past the cache (rule 9.3).
@Suite struct PinnerTests {
  private static func charged(_ rig: PinRig) -> [Int] {
    [rig.machine.usage(of: rig.process).pinned, Int(rig.machine.global.userLockedPages.load())]
  }

  private static func bufferError(_ body: () throws -> Void) -> BufferError? {
    do {
      try body()
      return nil
    } catch {
      return error as? BufferError
    }
  }

  @Test("a buffer costs every page that it touches, wherever it begins and ends")
  func unaligned() throws {
    for (offset, length, pages) in [
      (0, 4096, 1), (1, 4096, 2), (4095, 1, 1), (4095, 2, 2), (0, 8 * 4096, 8), (1, 8 * 4096, 9),
    ] {
      let rig = try PinRig()
      let start = try rig.map(16)
      var ring = RegisteredBuffers(rig.machine, for: rig.process)
      let buffer = RegisteredBuffers.Buffer(start + offset, length: UInt64(length))
      try ring.register([buffer])
      #expect(ring.pages(of: 0) == pages && Self.charged(rig) == [pages, pages], "\(offset) \(length)")
      let request = try ring.begin(0, at: start + offset, length: UInt64(length))
      #expect(request.frames == (0..<pages).compactMap { rig.frame(start + (offset >> 12 + $0) * 4096) })
      #expect(request.offset == offset & 4095)
      ring.end(request)
      let outside = [(offset + 1, length), (offset - 1, 1), (offset, length + 1)]
      for (first, count) in outside where first >= 0 {
        let error = Self.bufferError { _ = try ring.begin(0, at: start + first, length: UInt64(count)) }
        #expect(error?.errno == .badAddress)
      }
      rig.check("\(offset) \(length)")
      try ring.unregister()
      #expect(Self.charged(rig) == [0, 0] && rig.machine.pinHolders.isEmpty)
      rig.check("unregistered")
    }
  }

  @Test("wrong buffers are refused with the kernel's errno, and nothing of the call stays")
  func refusals() throws {
    let rig = try PinRig()
    let start = try rig.map(8)
    let good = RegisteredBuffers.Buffer(start, length: 4096)
    let memfd = try rig.map(2, .object(try rig.object(.memfd)))
    let below = RegisteredBuffers.Buffer(memfd, length: 4 * 4096)
    // The areas are neighbours: the memfd's lies below.
    #expect(memfd + 2 * 4096 == start)
    let cases: [(String, Errno, [RegisteredBuffers.Buffer])] = [
      ("none", .invalidArgument, []),
      ("too many", .invalidArgument, Array(repeating: .empty, count: RegisteredBuffers.mostBuffers + 1)),
      ("no address", .badAddress, [good, .init(VirtualAddress(rawValue: 0), length: 1)]),
      ("no length", .badAddress, [good, .init(start, length: 0)]),
      ("more than 1 GiB", .badAddress, [good, .init(start, length: 1 << 30 + 1)]),
      ("a wrap-around", .overflow, [good, .init(VirtualAddress(rawValue: .max - 4096), length: 4096)]),
      ("a hole", .badAddress, [good, .init(start + 7 * 4096, length: 8192)]),
      ("two kinds", .invalidArgument, [good, below]),
    ]
    for (what, errno, buffers) in cases {
      var ring = RegisteredBuffers(rig.machine, for: rig.process)
      let error = Self.bufferError { try ring.register(buffers) }
      #expect(error?.errno == errno, "\(what): \(error?.description ?? "no error")")
      #expect(ring.count == nil && Self.charged(rig) == [0, 0] && rig.machine.pinHolders.isEmpty, "\(what)")
      #expect(Self.bufferError { try ring.unregister() }?.errno == .noSuchAddressOrDevice)
      #expect(Self.bufferError { try ring.update(0, to: good) }?.errno == .noSuchAddressOrDevice)
      rig.check(what)
    }
    rig.process.memlockLimit = 4096
    var ring = RegisteredBuffers(rig.machine, for: rig.process)
    #expect(Self.bufferError { try ring.register([good, good]) }?.errno == .noMemory, "beyond the limit")
    #expect(Self.charged(rig) == [0, 0])
    try ring.register([good, .empty])
    #expect(Self.bufferError { try ring.register([good]) }?.errno == .resourceBusy)
    #expect(
      Self.bufferError { _ = try ring.begin(1, at: start, length: 1) }?.errno == .badAddress, "an empty slot")
    #expect(Self.bufferError { try ring.update(2, to: good) }?.errno == .invalidArgument)
    #expect(Self.bufferError { try ring.update(1, to: good) }?.errno == .noMemory)
    #expect(ring.pages(of: 0) == 1 && ring.pages(of: 1) == 0)
    rig.check("refused")
  }

  @Test("a buffer that leaves its slot stays pinned until the requests are done that were begun before")
  func requests() throws {
    let rig = try PinRig()
    let start = try rig.map(8)
    func buffer(_ page: Int) -> RegisteredBuffers.Buffer { .init(start + page * 4096, length: 4096) }
    var ring = RegisteredBuffers(rig.machine, for: rig.process)
    try ring.register([buffer(0), buffer(1), .empty])
    let first = try ring.begin(0, at: start, length: 10)
    try ring.update(0, to: buffer(2))
    #expect(Self.charged(rig) == [3, 3], "the old one is in use")
    try ring.update(2, to: buffer(3))
    #expect(Self.charged(rig) == [4, 4], "an empty slot is filled")
    let second = try ring.begin(1, at: start + 4096, length: 10)
    try ring.update(1, to: .empty)
    try ring.update(0, to: buffer(4))
    #expect(Self.charged(rig) == [5, 5], "pages 0 to 4: three of them have left their slots")
    ring.end(second)
    #expect(Self.charged(rig) == [5, 5], "the first request is older, and holds everything up")
    rig.check("two requests")
    ring.end(first)
    #expect(Self.charged(rig) == [2, 2])
    let third = try ring.begin(2, at: start + 3 * 4096, length: 10)
    try ring.unregister()
    #expect(ring.count == nil && Self.charged(rig) == [2, 2])
    try ring.register([buffer(5)])
    #expect(Self.charged(rig) == [3, 3])
    ring.end(third)
    #expect(Self.charged(rig) == [1, 1])
    rig.check("registered again")
    _ = consume ring
    #expect(Self.charged(rig) == [0, 0])
    rig.check("the ring is gone")
  }

  @Test(
    "a ring is charged a large folio once, whole, with the first buffer that has a page of it; two rings twice"
  )
  func folios() throws {
    let rig = try PinRig()
    let start = try rig.make(.hugePMD)
    let unit = rig.unit
    func buffer(_ page: Int) -> RegisteredBuffers.Buffer { .init(start + page * 4096, length: 4096) }
    var ring = RegisteredBuffers(rig.machine, for: rig.process)
    try ring.register([buffer(0), buffer(2), .empty])
    #expect(Self.charged(rig) == [unit, unit])
    var other = RegisteredBuffers(rig.machine, for: rig.process)
    try other.register([buffer(1)])
    #expect(Self.charged(rig) == [2 * unit, 2 * unit])
    rig.check("two rings")
    try ring.update(2, to: buffer(0))
    #expect(Self.charged(rig) == [2 * unit, 2 * unit])
    // The charge goes with the buffer that it was taken for, though another one has the folio.
    try ring.update(0, to: .empty)
    #expect(Self.charged(rig) == [unit, unit])
    rig.check("one buffer less")
  }

  @Test("memory of several kinds is refused before it is charged; its ring knows whom to charge")
  func ringCharges() throws {
    for privileged in [false, true] {
      let rig = try PinRig()
      rig.process.capabilities = privileged ? .ipcLock : []
      var ring = RegisteredBuffers(rig.machine, for: rig.process)
      rig.process.capabilities = privileged ? [] : .ipcLock
      rig.process.memlockLimit = 0
      let start = try rig.map(1)
      let file = try rig.machine.createObject(kind: .memfd, pages: 1, for: rig.process)
      let below = VirtualAddress(page: start.page - 1)
      try rig.machine.map(rig.process, pages: 1, kind: .object(file), at: .fixed(below))
      let mixed = RegisteredBuffers.Buffer(below, length: 8192)
      #expect(Self.bufferError { try ring.register([mixed]) }?.errno == .invalidArgument)
      #expect(Self.charged(rig) == [0, 0] && rig.machine.pinHolders.isEmpty)
      let one = RegisteredBuffers.Buffer(start, length: 4096)
      #expect(Self.bufferError { try ring.register([one]) }?.errno == (privileged ? nil : .noMemory))
      #expect(Self.charged(rig) == (privileged ? [1, 0] : [0, 0]))
      rig.check("privileged \(privileged)")
    }
  }

  @Test("an adapter's region is charged before it is pinned, in whole pages; without any right it is EPERM")
  func regions() throws {
    let rig = try PinRig()
    let start = try rig.map(8)
    func region(_ offset: Int, _ length: UInt64) throws(PinError) -> MemoryRegion {
      try MemoryRegion(rig.machine, of: rig.process, at: start + offset, length: length)
    }
    let nine = try region(100, 4 * 4096)
    #expect(nine.pages == 5 && Self.charged(rig) == [5, 0])
    rig.check("unaligned")
    nine.release()
    #expect(Self.charged(rig) == [0, 0])
    #expect(pinError { _ = try region(0, 0) }?.errno == .invalidArgument)
    #expect(pinError { _ = try region(0, .max) }?.errno == .invalidArgument)
    #expect(pinError { _ = try region(7 * 4096, 8192) }?.errno == .badAddress)
    let touched = try region(100, 0)
    #expect(touched.pages == 1, "nothing of a page costs the page")
    touched.release()
    rig.process.memlockLimit = 3 * 4096
    #expect(pinError { _ = try region(0, 4 * 4096) }?.errno == .noMemory)
    rig.process.memlockLimit = 0
    #expect(pinError { _ = try region(0, 4096) }?.errno == .notPermitted)
    #expect(pinError { _ = try region(0, 0) }?.errno == .notPermitted, "asked before the length")
    #expect(pinError { _ = try region(0, .max) }?.errno == .invalidArgument)
    #expect(Self.charged(rig) == [0, 0] && rig.machine.pinHolders.isEmpty)
    rig.check("refused")
  }

  @Test(
    "an adapter that only reads has the program's own page; up to 6.1 by a forced write, refused for shared memory",
    arguments: [PlacementPolicy.linux6_1, .linuxMainline])
  func readOnlyRegion(policy: PlacementPolicy) throws {
    let rig = try PinRig(policy: policy)
    let (machine, process) = (rig.machine, rig.process)
    for protection in [Protection.readWrite, .read] {
      let start = try rig.map(1, .privateAnonymous, protection)
      if policy == .linuxMainline { try machine.touch(process, start, write: false) }
      let region = try MemoryRegion(machine, of: process, at: start, length: 4096, write: false)
      let frame = try #require(rig.frame(start))
      #expect(frame != machine.global.zeroPage, "\(policy) \(protection)")
      try machine.protect(process, AddressRange(start: start, pages: 1), .readWrite)
      try machine.fill(process, start, pages: 1, pattern: 5)
      #expect(rig.frame(start) == frame, "\(policy) \(protection)")
      region.release()
    }
    let shared = try rig.map(1, .sharedAnonymous, .read)
    let error = pinError {
      let region = try MemoryRegion(machine, of: process, at: shared, length: 4096, write: false)
      region.release()
    }
    #expect(error?.errno == (policy == .linux6_1 ? .badAddress : nil), "\(policy)")
    rig.check("\(policy)")
  }

  @Test(
    "a fork during a transfer past the cache copies the buffer if it is pinned, and not where it has a reference",
    arguments: [PlacementPolicy.linux5_5, .linux6_1, .linuxMainline])
  func transferAndFork(policy: PlacementPolicy) throws {
    let rig = try PinRig(policy: policy)
    let start = try rig.make(.anonymous, pattern: 1)
    let (machine, process) = (rig.machine, rig.process)
    var isSame = false
    try machine.directTransfer(process, at: start, length: 4096, fills: true) { frames, _ in
      guard let child = try? machine.fork(process) else { return }
      _ = try? machine.touch(process, start, write: true)
      isSame = rig.frame(start) == frames[0]
      machine.exit(child)
    }
    #expect(isSame == (policy == .linuxMainline), "\(policy)")
    rig.check("\(policy)")
  }

  @Test(
    "a transfer past the cache holds pages for the call alone, and marks what it fills; a pipe holds references",
    arguments: [PlacementPolicy.linux6_1, .linuxMainline])
  func short(policy: PlacementPolicy) throws {
    let rig = try PinRig(policy: policy)
    let machine = rig.machine
    // A hole above, so that what lies beyond the memory is not beyond user space.
    let above = try rig.map(20)
    let start = try rig.map(8)
    try machine.unmap(rig.process, AddressRange(start: above, pages: 20))
    rig.process.memlockLimit = 0
    var seen: [FrameNumber] = []
    let done = try machine.directTransfer(rig.process, at: start + 512, length: 2 * 4096, fills: true) {
      frames, _ in
      seen += frames
      #expect(machine.pinHolders.map(\.isPin) == [policy == .linuxMainline])
    }
    #expect(done == 3 && seen == (0..<3).compactMap { rig.frame(start + $0 * 4096) })
    #expect(seen.allSatisfy { machine.memmap.page($0).has(.dirty) })
    #expect(machine.pinHolders.isEmpty && rig.acquired == rig.released)
    #expect(rig.acquired == (policy == .linuxMainline ? 3 : 0), "\(policy)")
    #expect(
      try machine.directTransfer(rig.process, at: start + 6 * 4096, length: 4 * 4096, fills: false) { _, _ in
      } == 2)
    let error = pinError {
      try machine.directTransfer(rig.process, at: start + 1, length: 512, fills: true) { _, _ in }
    }
    #expect(error?.errno == .invalidArgument)
    let pipe = try SplicedPages(machine, of: rig.process, at: start, length: 20 * 4096)
    #expect(pipe.pages == 8 && rig.acquired == rig.released)
    #expect(machine.pinHolders.map(\.isPin) == [false])
    rig.check("in the pipe")
    _ = consume pipe
    rig.check("dropped")
  }
}
