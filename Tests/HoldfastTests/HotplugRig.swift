import Holdfast
import Interleaving
import Testing

/// A machine of 256 frames in blocks of 16, with a process, for tests of hotplug, CMA and compaction.
struct HotplugRig {
  let machine: Machine
  let process: Process

  static func configuration(movable: Int, reserved: [FrameRange] = []) -> MachineConfiguration {
    var configuration = MachineConfiguration.small(frames: 256, movable: movable, processors: 2)
    configuration.limits = TableLimits()
    configuration.reserved = reserved
    return configuration
  }

  init(_ configuration: MachineConfiguration, trace: TraceSink? = nil) throws {
    machine = try Machine(configuration, trace: trace)
    process = try machine.createProcess(name: "vmm", processor: 0, memlockLimit: .max)
  }

  init(movable: Int) throws { try self.init(Self.configuration(movable: movable)) }

  func map(pages: Int, _ kind: MappingKind = .privateAnonymous) throws -> VirtualAddress {
    try machine.map(process, pages: pages, kind: kind, protection: .readWrite)
  }

  /// Touches a page of a mapping and returns the frame behind it.
  func frame(_ start: VirtualAddress, page: Int = 0) throws -> FrameNumber {
    try machine.touch(process, start + UInt64(page * pageSize), write: true)
  }

  /// Whether nothing in a frame's block but its own folio is in use by anyone but user space.
  func isAlone(_ frame: FrameNumber) -> Bool {
    let own = machine.memmap.head(of: frame)
    return machine.frames(of: machine.block(of: frame)).frames.allSatisfy {
      let head = machine.memmap.head(of: $0)
      let page = machine.memmap.page(head)
      return head == own || page.type == .buddy || page.type == .perCPU || page.refcount.load() == 0
        || page.mapping != .none
    }
  }

  /// A frame of user space in a block that holds nothing unmovable, by touching page after page; the address too.
  ///
  /// Pages touched before it are unmapped, so that the block holds nothing else; huge pages of a pool are not, since
  /// the pool keeps them where they are.
  func lonelyPage(_ kind: MappingKind, step: Int = 1, huge: Bool = false) throws
    -> (frame: FrameNumber, address: VirtualAddress)
  {
    // The pool keeps huge pages where they are, even when they are unmapped.
    let isPooled = step > 1 && !huge
    let count = isPooled ? 48 : 160
    let start = try map(pages: count, kind)
    if huge {
      try machine.advise(process, AddressRange(start: start, pages: count), .hugePage)
    }
    if isPooled {
      for page in stride(from: 0, to: count, by: step) { _ = try frame(start, page: page) }
    }
    for page in stride(from: 0, to: count, by: step) {
      let frame = try frame(start, page: page)
      if isAlone(frame) {
        let address = start + UInt64(page * pageSize)
        let before = AddressRange(start: start, pages: page)
        if page > 0, !isPooled { try machine.unmap(process, before) }
        return (frame, address)
      }
    }
    Issue.record("no page landed in a block of its own")
    return (.none, start)
  }

  /// An allocation of the kernel's in a block that holds nothing else unmovable.
  func lonelyKernelPage(_ gfp: GFPFlags, slab: Bool = false) throws -> FrameNumber {
    var others: [FrameNumber] = []
    defer { for frame in others { try? machine.free(frame, by: process) } }
    for _ in 0..<160 {
      let frame = try machine.allocate(gfp: gfp, slab: slab, by: process)
      if isAlone(frame) { return frame }
      others.append(frame)
    }
    Issue.record("no page landed in a block of its own")
    return .none
  }

  /// Everything that an operation which fails must leave as it was.
  struct Snapshot: Equatable {
    var zones: [[Int]] = []
    var pageblocks: [MigrateType] = []
    var states: [BlockState] = []
    var isolated: Int64 = 0
  }

  func snapshot() -> Snapshot { atRest { snapshotAtRest() } }

  private func snapshotAtRest() -> Snapshot {
    var snapshot = Snapshot()
    for kind in ZoneKind.allCases {
      let zone = machine.buddy.zone(ZoneID(node: 0, kind: kind))
      var row = [zone.start.index, zone.spanned]
      row += [zone.present, zone.managed, zone.free, zone.freeCMA, zone.isolatedPageblocks, zone.cma].map {
        Int($0.load())
      }
      row += (0..<3).map { Int(zone.watermark($0).load()) }
      for order in 0...machine.geometry.maxOrder {
        row += MigrateType.allCases.map { zone.freeList(order: order, $0).count }
      }
      snapshot.zones.append(row)
    }
    snapshot.pageblocks = stride(from: 0, to: machine.frameCount, by: machine.geometry.pageblockFrames)
      .map { machine.buddy.pageblockType(of: FrameNumber($0)) }
    snapshot.states = (0..<machine.blockCount).map { machine.state(of: BlockID(rawValue: $0)) }
    snapshot.isolated =
      machine.total(.isolatedAnon, node: nil) + machine.total(.isolatedFile, node: nil)
    return snapshot
  }
}

/// Fails the test unless the body throws an error of type `Failure`; returns the error.
func failure<Failure: Error>(
  _ type: Failure.Type, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) -> Failure? {
  do {
    try body()
    Issue.record("no error was thrown", sourceLocation: sourceLocation)
  } catch let error as Failure {
    return error
  } catch {
    Issue.record("\(error)", sourceLocation: sourceLocation)
  }
  return nil
}
