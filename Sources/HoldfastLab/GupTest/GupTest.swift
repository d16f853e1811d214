import Dispatch
public import Holdfast
import Synchronization

import class Foundation.Thread

/// The kernel's gup_test tool, on a machine of the engine that is made for it (rules 11.1, 11.2).
public struct GupTest {
  private let machine: Machine
  private let process: Process
  private let address: VirtualAddress
  private let request: GupTestRequest

  /// Makes a machine that has room for the request, maps the memory, and touches it if the request says so.
  ///
  /// The machine has ZONE_MOVABLE of the size of the request and as much other memory, so that all user memory
  /// begins in ZONE_MOVABLE, and a processor for every thread.
  ///
  /// - Throws: `GupTestFailure`.
  public init(_ request: GupTestRequest, policy: PlacementPolicy = .linux6_1) throws(GupTestFailure) {
    self.request = request
    do { machine = try Machine(MachineConfiguration(request, policy: policy)) } catch {
      throw .machine(error)
    }
    do {
      process = try machine.createProcess(
        name: "gup_test", memlockLimit: .max, capabilities: .ipcLock)
      address = try Self.map(machine, process, request)
    } catch {
      throw .call(error)
    }
  }

  /// Runs the request's command in all its threads.
  ///
  /// - Parameter report: told every result as it comes, by one thread at a time.
  /// - Throws: `GupTestFailure` if the threads cannot be made.
  public func run(_ report: @escaping @Sendable (GupTestResult) -> Void) throws(GupTestFailure) {
    var tasks: [Process] = []
    do {
      for index in 0..<request.threads {
        tasks.append(try machine.createThread(of: process, processor: index))
      }
    } catch {
      for task in tasks { machine.exit(task) }
      throw .call(error)
    }
    let group = DispatchGroup()
    let turn = Mutex(())
    let repeats = request.command.isBenchmark ? request.repeats : 1
    withExtendedLifetime(machine) {
      for task in tasks {
        let call = GupTestCall(machine: machine, task: task, request: request, address: address)
        group.enter()
        let thread = Thread {
          for _ in 0..<max(0, repeats) {
            let result = call.run()
            turn.withLock { _ in report(result) }
          }
          group.leave()
        }
        thread.stackSize = 4 << 20
        thread.start()
      }
      group.wait()
    }
    for task in tasks { machine.exit(task) }
  }

  // MARK: - The memory

  /// Where mappings of a program without address-space randomisation end on x86-64.
  ///
  /// It is not a multiple of a huge page, so that the first and the last pages of a mapping stay small, as they
  /// do under Linux 6.1.
  private static let mappingsEnd: UInt64 = 0x7fff_f7ff_7000

  private static func map(
    _ machine: Machine, _ process: Process, _ request: GupTestRequest
  ) throws(AddressSpaceError) -> VirtualAddress {
    // A size that is no multiple of a page is possible only as no pages at all.
    let pages = Int(request.size >> 12)
    let unit = 1 << machine.geometry.hugeOrder
    let hugePages = (pages + unit - 1) / unit
    if request.isHugetlb { try machine.reserveHugePages(node: 0, count: hugePages, for: process) }
    let kind: MappingKind
    switch (request.isHugetlb, request.isShared) {
    case (true, true):
      kind = .object(try machine.createObject(kind: .hugetlb, pages: hugePages * unit, for: process))
    case (true, false): kind = .hugetlb
    case (false, true): kind = .sharedAnonymous
    case (false, false): kind = .privateAnonymous
    }
    let start = VirtualAddress(rawValue: mappingsEnd &- request.size)
    let address = try machine.map(
      process, pages: request.isHugetlb ? hugePages * unit : pages, kind: kind, at: .near(start))
    if let advice = request.advice {
      // The tool does not look at what madvise returns.
      try? machine.advise(process, AddressRange(start: address, pages: pages), advice)
    }
    if request.touchesFirst {
      for page in 0..<UInt64(pages) {
        try machine.touch(process, VirtualAddress(rawValue: address.rawValue + page << 12), write: true)
      }
    }
    return address
  }
}

extension MachineConfiguration {
  /// A machine on which a request has room: twice, in ZONE_MOVABLE and outside.
  init(_ request: GupTestRequest, policy: PlacementPolicy) {
    let block = Geometry().blockFrames
    let pages = Int(clamping: request.size >> 12)
    // Page tables, per-processor lists and watermarks need some, too.
    let half = (pages + pages / 8 + 16384 + block) / block * block
    self.init(frames: 2 * half, processors: max(1, request.threads))
    self.policy = policy
    movable = .movablecore(frames: half)
    let calls = pages * max(1, request.threads) + 1024
    limits.pinRecords = max(limits.pinRecords, calls)
    limits.pinSlots = max(4 * frameLimit, calls * 2)
  }

  private var frameLimit: Int { nodes.reduce(0) { $0 + $1.memory.reduce(0) { $0 + $1.count } } }
}
