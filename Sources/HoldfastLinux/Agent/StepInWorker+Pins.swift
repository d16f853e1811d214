import CLinux
import Glibc
import HoldfastScenario
import Synchronization
import SystemPackage

/// The verbs of references and pins.
extension StepInWorker {
  func grab(
    _ grab: Verb.Grab, of part: Part, for purpose: PinPurpose?, in step: Step, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let (address, pages) = (part.address, part.pages)
    guard let purpose else { return try get(grab, address, pages) }
    guard part.region.id == getpid() else {
      throw .skipped("no interface here pins another process's memory")
    }
    switch purpose {
    case .test: return try test(grab, address, pages)
    case .vfio: return try vfio(grab, address, pages)
    case .ioUring: return try ring(grab, address, pages)
    case .directIO: return try direct(grab, address, pages)
    case .rdma: throw .skipped("there is no RDMA adapter")
    }
  }

  private func get(_ grab: Verb.Grab, _ address: UInt64, _ pages: Int) throws(StepStop) -> StepResult {
    if grab.entry == .fast, grab.flags.isEmpty, grab.name != nil {
      let pipe = try calling("vmsplice") { () throws(Errno) in
        try PipeReferences(address: address, byteCount: pages << 12)
      }
      let taken = pipe.byteCount >> 12
      return keep(.pipe(pipe), grab.name, address, taken, of: pages)
    }
    guard grab.name == nil else {
      throw .skipped(
        "vmsplice takes references by the fast path and without flags, and gup_test gives its back at once")
    }
    return try runTest(grab, address, pages, command: grab.entry == .fast ? .getFast : .get)
  }

  private func test(_ grab: Verb.Grab, _ address: UInt64, _ pages: Int) throws(StepStop) -> StepResult {
    guard grab.name == nil else {
      throw .skipped("gup_test of Linux 6.1 gives its pins back in the same call; one that is held needs 6.2")
    }
    switch (grab.entry, grab.flags.contains(.longterm)) {
    case (.fast, _): return try runTest(grab, address, pages, command: .pinFast)
    case (.slow, true): return try runTest(grab, address, pages, command: .pinLongterm)
    case (.slow, false): return try runTest(grab, address, pages, command: .pin)
    default: throw .skipped("gup_test has no command for entry \(grab.entry.rawValue)")
    }
  }

  /// Runs a command of gup_test over the range.
  ///
  /// A long-term pin is one call, since what fails of it fails as a whole. But the driver counts a call that gets
  /// some of its pages as one that got them all (mm/gup_test.c:__gup_test_ioctl (6.1)): other commands take a page per
  /// call, and behind a long-term pin references, page by page, tell how far it can have come.
  private func runTest(
    _ grab: Verb.Grab, _ address: UInt64, _ pages: Int, command: GupTestDriver.Command
  ) throws(StepStop) -> StepResult {
    try onlyInGuest("gup_test")
    var flags = PinFlags(grab.flags)
    let longterm = flags.contains(.longterm)
    if command == .pinLongterm { flags.remove(.longterm) }
    let test = try calling("gup_test") { () throws(Errno) in try GupTestDriver() }
    let outcome = try calling("gup_test") { () throws(Errno) in
      try test.run(
        command, address: address, byteCount: UInt64(pages) << 12,
        pagesPerCall: longterm ? UInt32(pages) : 1, flags: flags)
    }
    var got = Int(outcome.byteCount >> 12)
    if longterm, got == pages,
      let reach = try? test.run(
        .get, address: address, byteCount: UInt64(pages) << 12, pagesPerCall: 1,
        flags: flags.subtracting(.longterm))
    {
      got = Int(reach.byteCount >> 12)
    }
    let reply = StepResult(requested: Int64(pages), pages: Int64(got))
    note(frames(address, pages))
    // The driver keeps the error to itself, and only says how far it came.
    guard got > 0 else {
      throw .failed(Errno(rawValue: 0), "gup_test got no page; it does not say which error it was", reply)
    }
    return reply
  }

  private func vfio(_ grab: Verb.Grab, _ address: UInt64, _ pages: Int) throws(StepStop) -> StepResult {
    try onlyInGuest("VFIO")
    let flags = Set(grab.flags)
    guard flags.subtracting([.write]) == [.longterm] else {
      throw .skipped("a VFIO mapping pins long-term, with or without write, and has no other flags")
    }
    let session: VFIOSession
    if let open = worker.held.withLock({ $0.vfio }) {
      session = open
    } else {
      session = try reading { () throws(HostReadError) in try VFIOSession() }
      worker.held.withLock { $0.vfio = session }
    }
    let iova = try calling("VFIO_IOMMU_MAP_DMA") { () throws(Errno) in
      try session.map(address: address, byteCount: pages << 12, write: flags.contains(.write))
    }
    return keep(.vfio(session, iova: iova), grab.name, address, pages, of: pages)
  }

  private func ring(_ grab: Verb.Grab, _ address: UInt64, _ pages: Int) throws(StepStop) -> StepResult {
    guard Set(grab.flags) == [.write, .longterm] else {
      throw .skipped("io_uring registers buffers writable and long-term, and in no other way")
    }
    let ring = try calling("IORING_REGISTER_BUFFERS") { () throws(Errno) in
      try RegisteredBuffers(address: address, byteCount: pages << 12)
    }
    return keep(.ring(ring), grab.name, address, pages, of: pages)
  }

  /// A read or write with O_DIRECT, whose pins end with the call.
  private func direct(_ grab: Verb.Grab, _ address: UInt64, _ pages: Int) throws(StepStop) -> StepResult {
    guard Set(grab.flags).isSubset(of: [.write]) else {
      throw .skipped("O_DIRECT pins for a short time, for reading or writing")
    }
    try onlyInGuest("a file on a disk of ours")
    let count = try calling("O_DIRECT") { () throws(Errno) in
      let file = try DirectIO(directory: Worker.fileFolder, byteCount: pages << 12)
      return grab.flags.contains(.write)
        ? try file.read(at: 0, toAddress: address, byteCount: pages << 12)
        : try file.write(at: 0, fromAddress: address, byteCount: pages << 12)
    }
    note(frames(address, pages))
    return StepResult(requested: Int64(pages), pages: Int64(count >> 12))
  }

  private func keep(
    _ holder: consuming HeldPin.Holder, _ name: String?, _ address: UInt64, _ pages: Int, of requested: Int
  ) -> StepResult {
    let pin = HeldPin(holder, pages: pages)
    worker.held.withLock { held in
      if let name { held.pins[name, default: []].append(pin) } else { held.forever.append(pin) }
    }
    note(frames(address, pages), heldAs: name)
    return StepResult(requested: Int64(requested), pages: Int64(pages))
  }

  func release(_ holding: [HeldPin], named name: String, dirty: Bool) throws(StepStop) -> StepResult {
    worker.held.withLock { $0.pins[name] = nil }
    note(released: name)
    var pages = 0
    for pin in holding {
      pages += try calling("giving back") { () throws(Errno) in try pin.release() }
    }
    return StepResult(allOf: pages)
  }

  func unpin(_ unpin: Verb.Unpin, of holding: [HeldPin]) throws(StepStop) -> StepResult {
    throw .skipped("no interface here gives back a part of a pin")
  }

  func dump(_ part: Part) throws(StepStop) -> StepResult {
    try onlyInGuest("gup_test")
    let (address, pages) = (part.address, part.pages)
    var lines: [String] = []
    for page in 0..<min(pages, 16) {
      lines += try calling("gup_test") { () throws(Errno) in try PageDumps.take(address + UInt64(page) << 12)
      }
    }
    var reply = StepResult(requested: Int64(pages), pages: Int64(min(pages, 16)))
    reply.text = lines.joined(separator: "\n")
    return reply
  }

  func device(
    _ action: DeviceAction, _ part: Part, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    if action == .atomic { throw .skipped("the test device hmm_dmirror has no atomic access") }
    try onlyInGuest("the test device hmm_dmirror")
    let (address, pages) = (part.address, part.pages)
    let session: MirrorSession
    if let open = worker.held.withLock({ $0.mirror }) {
      session = open
    } else {
      session = try calling("/dev/hmm_dmirror0") { () throws(Errno) in try MirrorSession() }
      worker.held.withLock { $0.mirror = session }
    }
    var reply = StepResult(allOf: pages)
    try calling("hmm_dmirror, \(action.rawValue)") { () throws(Errno) in
      switch action {
      case .exclusive:
        reply.pages = Int64(try session.device.makeExclusive(address: address, pages: pages).outcome.pages)
      case .checkExclusive:
        // The driver refuses while it has the pages (lib/test_hmm.c:dmirror_check_atomic (6.1)).
        if try session.device.isExclusive(address: address, pages: pages) { throw .notPermitted }
      case .atomic: break
      case .migrateToDevice:
        reply.pages = Int64(try session.device.migrateToDevice(address: address, pages: pages).outcome.pages)
      case .migrateToSystem:
        reply.pages = Int64(try session.device.migrateToSystem(address: address, pages: pages).pages)
      case .read: reply.pages = Int64(try session.device.read(address: address, pages: pages).outcome.pages)
      case .write:
        let bytes = Pattern.sequence(seed: 0).bytes(0..<pages)
        reply.pages = Int64(try session.device.write(bytes, address: address).pages)
      case .snapshot:
        let states = try session.device.snapshot(address: address, pages: pages)
        reply.text = states.map(\.description).joined(separator: ", ")
      }
    }
    return reply
  }
}
