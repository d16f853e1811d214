import CLinux
import Glibc
import HoldfastScenario
import Synchronization
import SystemPackage

/// The verbs that ask the kernel for something about all of memory.
extension StepInWorker {
  func migrate(_ part: Part, to node: Int, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let (region, address, pages) = (part.region, part.address, part.pages)
    let process = region.id == getpid() ? 0 : region.id
    let addresses = (0..<pages).map { address + UInt64($0) << 12 }
    let moved = try calling("move_pages") { () throws(Errno) in
      try MemoryPlacement.move(addresses.map { ($0, node) }, process: process)
    }
    // A page of a huge folio that went with the first one is told to be busy, and is where it should be.
    let now = try calling("move_pages") { () throws(Errno) in
      try MemoryPlacement.nodes(of: addresses, process: process)
    }
    let there = now.count { $0 == .node(node) }
    var reply = StepResult(requested: Int64(pages), pages: Int64(there))
    guard there < pages else { return reply }
    reply.text = "\(pages - there) pages are not on node \(node)"
    // A page that the kernel tried in vain has no status of its own: the call says no more than how many.
    for (index, status) in moved.statuses.enumerated() where now[index] != .node(node) {
      guard case .failed(let errno) = status, errno != .notSupported else { continue }
      throw .failed(errno, "page \(index): \(errno)", reply)
    }
    return reply
  }

  func drain(_ target: DrainTarget, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    guard target == .lru else { throw .skipped("no interface empties the per-CPU lists alone") }
    // Moving a page to where it is drains the batches of all CPUs first (mm/migrate.c:do_pages_move (6.1)).
    _ = try calling("move_pages") { () throws(Errno) in
      let page = try MemoryCalls.map(.anonymous, byteCount: 4096)
      defer { try? MemoryCalls.unmap(address: page.address, byteCount: 4096) }
      _ = try GuardedMemory.touch(page.address, .write)
      return try MemoryPlacement.move([(page.address, 0)])
    }
    return StepResult()
  }

  func compact(node: Int?, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try onlyInGuest("compaction")
    try calling("compact_memory") { () throws(Errno) in try KernelControls.compact(node: node) }
    return StepResult()
  }

  func mergePages() throws(StepStop) -> StepResult {
    try onlyInGuest("ksmd")
    let folder = "/sys/kernel/mm/ksm"
    func number(_ name: String) throws(StepStop) -> UInt64 {
      try reading { () throws(HostReadError) in try HostFiles.number(at: "\(folder)/\(name)") }
    }
    try calling("ksm") { () throws(Errno) in
      try HostFiles.write("1000", to: "\(folder)/pages_to_scan")
      try HostFiles.write("10", to: "\(folder)/sleep_millisecs")
      try HostFiles.write("1", to: "\(folder)/run")
    }
    // The first scan notes checksums, the second merges what has not changed since; one may be half done.
    let start = try number("full_scans")
    for _ in 0..<400 where try number("full_scans") < start + 3 { hf_sleep_microseconds(50_000) }
    try calling("ksm") { () throws(Errno) in try HostFiles.write("0", to: "\(folder)/run") }
    var counts: [String] = []
    for name in ["full_scans", "pages_shared", "pages_sharing", "pages_unshared", "pages_volatile"] {
      counts.append("\(name) \(try number(name))")
    }
    return StepResult(text: counts.joined(separator: ", "))
  }

  func fail(_ fail: Verb.Fail, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try onlyInGuest("fault injection")
    guard fail.point == .allocation else {
      throw .skipped("fault injection of Linux has no point for \(fail.point.rawValue)")
    }
    guard fail.skip == 0 else {
      throw .skipped("fail_page_alloc counts bytes before it fails, not allocations")
    }
    // In force during the system calls of the actor's next step: all else would use the failures up.
    worker.held.withLock { $0.failures[actor.name] = fail.count }
    return StepResult()
  }

  func allocate(
    _ request: Verb.AllocateContiguous, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    try onlyInGuest("debugfs cma")
    guard request.alignOrder == 0 else {
      throw .skipped("debugfs cma allocates without asking for an alignment")
    }
    let pages = Int(clamping: request.size.pages)
    let area = try ContiguousAreas.find(request.area, worker.scenario.machine, reading)
    let log = try calling("/dev/kmsg") { () throws(Errno) in try KernelLog() }
    do throws(Errno) { try area.allocate(pages) } catch {
      // debugfs says ENOMEM whatever it was (mm/cma_debug.c:cma_alloc_mem (6.1)); the log of cma_alloc has the number.
      let lines = ((try? log.newRecords()) ?? []).map(\.text)
      let told = lines.compactMap { line in line.split(separator: " ").last.flatMap { Int32($0) } }.last
      throw .failed(
        told.map { Errno(rawValue: -$0) } ?? error, "cma alloc: \(lines.last ?? "\(error)")",
        StepResult(requested: Int64(pages), pages: 0))
    }
    return StepResult(
      requested: Int64(pages), pages: Int64(pages), text: request.name.map { "\($0): \(pages) pages" })
  }

  func releaseContiguous(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try onlyInGuest("debugfs cma")
    // What debugfs allocated is freed by the number of pages, the latest first.
    let request = worker.scenario.actors.flatMap(\.steps).compactMap { step -> Verb.AllocateContiguous? in
      if case .allocateContiguous(let request) = step.verb, request.name == name { request } else { nil }
    }.first
    guard let request else { throw .skipped("\(name) was not allocated") }
    let area = try ContiguousAreas.find(request.area, worker.scenario.machine, reading)
    let pages = Int(clamping: request.size.pages)
    try calling("cma free") { () throws(Errno) in try area.free(pages) }
    return StepResult(allOf: pages)
  }

  // MARK: What no interface does

  func saveScope(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .skipped("no system call enters a pin scope")
  }

  func restoreScope(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .skipped("no system call enters a pin scope")
  }

  func allocate(_ request: Verb.Allocate, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .skipped("no system call allocates frames for the kernel")
  }

  func free(_ frames: String, every: Int, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .skipped("no system call allocates frames for the kernel")
  }

  func isolate(_ part: Part, as name: String?, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .skipped("no system call takes the pages of other processes off their LRU lists")
  }

  func putBack(_ isolation: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .skipped("no system call takes the pages of other processes off their LRU lists")
  }

  // MARK: What the coordinator does, see LinuxRun.performHere

  func signal(_ actor: String, _ word: SignalWord) throws(StepStop) -> StepResult {
    throw .skipped("the coordinator does this")
  }

  func add(blocks: Int, node: Int) throws(StepStop) -> StepResult {
    throw .skipped("the coordinator does this")
  }

  func remove(_ blocks: Verb.BlockSelection) throws(StepStop) -> StepResult {
    throw .skipped("the coordinator does this")
  }

  // MARK: Memory blocks

  func offline(_ offline: Verb.Offline, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try onlyInGuest("offlining")
    let map = try reading { () throws(HostReadError) in try KernelMap() }
    return try each(map.pick(offline.blocks, in: .online), map, "offline")
  }

  func online(
    _ selection: Verb.BlockSelection, _ kind: OnlineKind, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    try onlyInGuest("onlining")
    let map = try reading { () throws(HostReadError) in try KernelMap() }
    return try each(map.pick(selection, in: .offline), map, kind.kernelName)
  }

  private func each(
    _ blocks: [Int], _ map: KernelMap, _ request: String
  ) throws(StepStop) -> StepResult {
    guard !blocks.isEmpty else {
      throw .failed(.EINVAL, .argument, "the selection has no block of the machine")
    }
    var reply = StepResult(requested: Int64(blocks.count * map.blockPages), pages: 0, blocks: 0)
    var first: (Errno, String)?
    var others: [String] = []
    for block in blocks {
      let signalsBefore = ProcessCalls.interruptions(by: SIGTERM)
      do throws(Errno) {
        try KernelControls.setBlock(block, to: request)
        reply.blocks = (reply.blocks ?? 0) + 1
        reply.pages = (reply.pages ?? 0) + Int64(map.blockPages)
      } catch {
        let cause = "memory\(block): \(error)"
        if first == nil { first = (error, cause) } else { others.append(cause) }
        // A signal ends the whole step, not only this block.
        if ProcessCalls.interruptions(by: SIGTERM) != signalsBefore { break }
      }
    }
    if !others.isEmpty { reply.text = others.joined(separator: "\n") }
    if let (errno, cause) = first { throw .failed(errno, cause, reply) }
    return reply
  }
}

/// The kernel's CMA areas by the names of a scenario.
enum ContiguousAreas {
  /// The area of a scenario's name.
  ///
  /// The command line's `cma=` makes one area, which the kernel calls `reserved`; a scenario's only area is that.
  static func find(
    _ name: String, _ machine: MachineSpec,
    _ reading: (() throws(HostReadError) -> [CMADebug]) throws(StepStop) -> [CMADebug]
  ) throws(StepStop) -> CMADebug {
    let areas = try reading { () throws(HostReadError) in try CMADebug.areas() }
    guard let area = pick(name, machine, areas) else {
      throw .failed(.noSuchFileOrDirectory, "the kernel has no CMA area for \(name)")
    }
    return area
  }

  static func pick(_ name: String, _ machine: MachineSpec, _ areas: [CMADebug]) -> CMADebug? {
    areas.first { $0.name == name } ?? (machine.contiguousAreas.count == 1 ? areas.first : nil)
  }
}
