import CLinux
import Glibc
import HoldfastScenario
import Synchronization
import SystemPackage

/// The verbs of address spaces.
extension StepInWorker {
  func map(_ map: Verb.Map, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let pages: Int
    let kind: MemoryCalls.Kind
    var object: FileDescriptor?
    switch map.source {
    case .size(let size):
      pages = Int(clamping: size.pages)
      (kind, object) = try source(of: map.kind, pages)
    case .backing(let name, let offset, let size):
      guard let other = region(name) else {
        throw .failed(.EFAULT, .address, "the region \(name) was not mapped")
      }
      guard let path = other.object else { throw .failed(.invalidArgument, "\(name) has no descriptor") }
      let file = try calling("open \(path)") { () throws(Errno) in try FileDescriptor.opened(path, .readWrite)
      }
      pages = size.map { Int(clamping: $0.pages) } ?? other.pages - Int(clamping: offset.pages)
      kind = .file(file, shared: true, offset: offset.bytes)
      object = file
    case .like: throw .skipped("a region like that of a live process is for models")
    }
    let byteCount = pages << 12
    let address = place(pages)
    let mapping = try calling("mmap") { () throws(Errno) in
      try MemoryCalls.map(
        kind, byteCount: byteCount, protection: map.protection.protection,
        at: address,
        populate: map.populate && map.advice == nil)
    }
    let descriptor = object ?? mapping.file
    let placed = PlacedRegion(
      process: actor.process, id: getpid(), address: mapping.address, pages: pages, kind: map.kind,
      object: descriptor.map { "/proc/\(getpid())/fd/\($0.rawValue)" })
    if let advice = map.advice {
      try calling("madvise") { () throws(Errno) in
        try MemoryCalls.advise(address: placed.address, byteCount: byteCount, advice)
        if map.populate {
          try MemoryCalls.advise(address: placed.address, byteCount: byteCount, .populateWrite)
        }
      }
    }
    place(placed, as: map.region)
    return StepResult(allOf: pages)
  }

  /// An address for a number of pages, where a huge page could begin, with a gap behind.
  private func place(_ pages: Int) -> UInt64 {
    worker.held.withLock { held in
      let address = held.nextAddress
      let huge: UInt64 = 2 << 20
      held.nextAddress += (UInt64(pages) << 12 + huge - 1) / huge * huge + huge
      return address
    }
  }

  private func source(of kind: RegionKind, _ pages: Int) throws(StepStop) -> (
    MemoryCalls.Kind, FileDescriptor?
  ) {
    switch kind {
    case .private: return (.anonymous, nil)
    case .shared: return (.sharedAnonymous, nil)
    case .hugetlb: return (.hugetlb, nil)
    case .memfd: return (.memfd(shared: true), nil)
    case .memfdPrivate: return (.memfd(shared: false), nil)
    case .hugetlbMemfd: return (.hugetlbMemfd(shared: true), nil)
    case .hugetlbMemfdPrivate: return (.hugetlbMemfd(shared: false), nil)
    case .file, .filePrivate:
      try onlyInGuest("a file on a disk of ours")
      let path = "\(Worker.fileFolder)/\(actor.process)-\(getpid())-\(LinuxRun.now)"
      let file = try calling("a file on the guest's disk") { () throws(Errno) in
        let file = try FileDescriptor.opened(
          path, .readWrite, options: [.create], permissions: .ownerReadWrite)
        _ = unlink(path)
        try systemCall(hf_ftruncate(file.rawValue, UInt64(pages) << 12))
        return file
      }
      return (.file(file, shared: kind == .file), file)
    }
  }

  func unmap(_ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try calling("munmap") { () throws(Errno) in
      try MemoryCalls.unmap(address: part.address, byteCount: part.byteCount)
    }
    if part.pages == part.region.pages { forget(part.name) }
    return StepResult(allOf: part.pages)
  }

  func protect(
    _ part: Part, _ protection: Protection, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    try calling("mprotect") { () throws(Errno) in
      try MemoryCalls.protect(address: part.address, byteCount: part.byteCount, protection)
    }
    return StepResult(allOf: part.pages)
  }

  func advise(_ part: Part, _ advice: Advice, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    if advice == .noMovable { throw .skipped("no kernel has MADV_NOMOVABLE") }
    try calling("madvise") { () throws(Errno) in
      try MemoryCalls.advise(address: part.address, byteCount: part.byteCount, advice)
    }
    return StepResult(allOf: part.pages)
  }

  func touch(_ part: Part, _ access: AccessWord, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try StepResult.pageByPage(part.pages) { page throws(StepStop) in
      do throws(Errno) {
        _ = try GuardedMemory.touch(part.address + UInt64(page) << 12, access)
      } catch {
        throw .failed(error, "page \(page): \(error)")
      }
    }
  }

  func write(_ part: Part, _ pattern: Pattern, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    do throws(GuardedMemory.Fault) {
      try GuardedMemory.fill(part.address, byteCount: part.byteCount, pattern, fromPage: part.first)
    } catch {
      throw faulted(error, of: part.pages)
    }
    return StepResult(allOf: part.pages)
  }

  func check(_ part: Part, _ pattern: Pattern, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let difference: Int?
    do throws(GuardedMemory.Fault) {
      difference = try GuardedMemory.firstDifference(
        part.address, byteCount: part.byteCount, pattern, fromPage: part.first)
    } catch {
      throw faulted(error, of: part.pages)
    }
    if let difference { throw Self.differs(difference >> 12, of: part.pages) }
    return StepResult(allOf: part.pages)
  }

  func split(_ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try onlyInGuest("split_huge_pages")
    let end = part.address + UInt64(part.byteCount)
    try calling("split_huge_pages") { () throws(Errno) in
      try HostFiles.write(
        "\(getpid()),0x\(String(part.address, radix: 16)),0x\(String(end, radix: 16))",
        to: "/sys/kernel/debug/split_huge_pages")
    }
    return StepResult(allOf: part.pages)
  }

  func clearReferences(by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try calling("clear_refs") { () throws(Errno) in try MemoryCalls.clearSoftDirty() }
    return StepResult()
  }

  private func faulted(_ fault: GuardedMemory.Fault, of pages: Int) -> StepStop {
    .failed(
      fault.errno, "page \(fault.done >> 12): signal \(fault.signal)",
      StepResult(requested: Int64(pages), pages: Int64(fault.done >> 12)))
  }

  /// A page that is not as it should be.
  static func differs(_ page: Int, of pages: Int) -> StepStop {
    .failed(
      Errno.ioError, "page \(page) does not hold what was expected",
      StepResult(requested: Int64(pages), pages: Int64(page)))
  }

  func remap(_ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let target = place(part.pages)
    let moved = try calling("mremap") { () throws(Errno) in
      try MemoryCalls.remap(
        address: part.address, byteCount: part.byteCount, newByteCount: part.byteCount, target: target)
    }
    if part.pages == part.region.pages {
      var region = part.region
      region.address = moved
      place(region, as: part.name)
    }
    return StepResult(allOf: part.pages)
  }

  func lock(_ part: Part, locks: Bool, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try calling(locks ? "mlock" : "munlock") { () throws(Errno) in
      if locks {
        try MemoryCalls.lock(address: part.address, byteCount: part.byteCount)
      } else {
        try MemoryCalls.unlock(address: part.address, byteCount: part.byteCount)
      }
    }
    return StepResult(allOf: part.pages)
  }

  func limit(_ limit: MemlockLimit, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try calling("setrlimit") { () throws(Errno) in
      try MemoryCalls.setLockLimit(limit.bytes)
    }
    return StepResult()
  }

  func fork(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    guard let child = worker.scenario.actor(named: name) else { throw .skipped("there is no actor \(name)") }
    let side = try calling("fork") { () throws(Errno) in try ProcessCalls.fork() }
    switch side {
    case .child: worker.serve(child: child)
    case .parent(let process):
      note(child: process)
      return StepResult()
    }
  }

  func exit(_ actor: Scenario.Actor) -> StepResult {
    // exit_group: descriptors close with the process, and with them end its pins. Nothing is flushed, because
    // what a fork inherited in buffers is not ours.
    _exit(0)
  }
}

extension Pattern {
  /// The bytes of some pages of the pattern.
  func bytes(_ pages: Range<Int>) -> [UInt8] {
    var words = [UInt64](repeating: 0, count: pages.count << 9)
    let (step, key) = linear
    var number = UInt64(pages.lowerBound) << 9
    for index in words.indices {
      number &+= 1
      words[index] = number &* step ^ key
    }
    return words.withUnsafeBytes { Array($0) }
  }
}
