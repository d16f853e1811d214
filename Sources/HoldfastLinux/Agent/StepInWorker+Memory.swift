import CLinux
import Glibc
import HoldfastScenario
import Synchronization
import SystemPackage

/// The verbs of address spaces.
extension StepInWorker {
  func map(_ map: Verb.Map) throws(Stop) -> WorkerReply {
    let pages: Int
    let kind: MemoryCalls.Kind
    var object: FileDescriptor?
    switch map.source {
    case .size(let size):
      pages = Int(clamping: size.pages)
      (kind, object) = try source(of: map.kind, pages)
    case .backing(let name, let offset, let size):
      let other = try region(name)
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
    var reply = done(pages)
    reply.mapped = [map.region: placed]
    return reply
  }

  /// An address for so many pages, where a huge page could begin, with a gap behind.
  private func place(_ pages: Int) -> UInt64 {
    worker.held.withLock { held in
      let address = held.nextAddress
      let huge: UInt64 = 2 << 20
      held.nextAddress += (UInt64(pages) << 12 + huge - 1) / huge * huge + huge
      return address
    }
  }

  private func source(of kind: RegionKind, _ pages: Int) throws(Stop) -> (MemoryCalls.Kind, FileDescriptor?) {
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

  func unmap(_ range: Verb.RegionRange) throws(Stop) -> WorkerReply {
    let (region, address, pages) = try part(range)
    try calling("munmap") { () throws(Errno) in
      try MemoryCalls.unmap(address: address, byteCount: pages << 12)
    }
    var reply = done(pages)
    if pages == region.pages { reply.unmapped = range.region }
    return reply
  }

  func protect(_ range: Verb.RegionRange, _ word: ProtectionWord) throws(Stop) -> WorkerReply {
    let (_, address, pages) = try part(range)
    try calling("mprotect") { () throws(Errno) in
      try MemoryCalls.protect(address: address, byteCount: pages << 12, word.protection)
    }
    return done(pages)
  }

  func advise(_ range: Verb.RegionRange, _ advice: Advice) throws(Stop) -> WorkerReply {
    let (_, address, pages) = try part(range)
    try calling("madvise") { () throws(Errno) in
      try MemoryCalls.advise(address: address, byteCount: pages << 12, advice)
    }
    return done(pages)
  }

  func touch(_ range: Verb.RegionRange, _ access: AccessWord) throws(Stop) -> WorkerReply {
    let (_, address, pages) = try part(range)
    for page in 0..<pages {
      do throws(Errno) {
        _ = try GuardedMemory.touch(address + UInt64(page) << 12, access)
      } catch {
        throw .failed(
          error, "page \(page): \(error)", WorkerReply(requested: Int64(pages), pages: Int64(page)))
      }
    }
    return done(pages)
  }

  func write(_ target: Verb.ContentTarget, _ pattern: Pattern) throws(Stop) -> WorkerReply {
    guard case .region(let range) = target else {
      return try throughDevice(target, writes: true) { held, pages throws(Errno) in
        try held.write(pattern.bytes(pages), at: pages.lowerBound << 12)
        return nil
      }
    }
    let (region, address, pages) = try part(range)
    do throws(GuardedMemory.Fault) {
      try GuardedMemory.fill(
        address, byteCount: pages << 12, pattern, fromPage: Int((address - region.address) >> 12))
    } catch {
      throw faulted(error, of: pages)
    }
    return done(pages)
  }

  func check(_ target: Verb.ContentTarget, _ pattern: Pattern) throws(Stop) -> WorkerReply {
    guard case .region(let range) = target else {
      return try throughDevice(target) { held, pages throws(Errno) in
        let found = try held.read(pages.lowerBound << 12..<pages.upperBound << 12)
        let expected = pattern.bytes(pages)
        guard found != expected else { return nil }
        let place = zip(found, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
        return pages.lowerBound + place >> 12
      }
    }
    let (region, address, pages) = try part(range)
    let difference: Int?
    do throws(GuardedMemory.Fault) {
      difference = try GuardedMemory.firstDifference(
        address, byteCount: pages << 12, pattern, fromPage: Int((address - region.address) >> 12))
    } catch {
      throw faulted(error, of: pages)
    }
    if let difference { throw differs(difference >> 12, of: pages) }
    return done(pages)
  }

  private func faulted(_ fault: GuardedMemory.Fault, of pages: Int) -> Stop {
    .failed(
      fault.errno, "page \(fault.done >> 12): signal \(fault.signal)",
      WorkerReply(requested: Int64(pages), pages: Int64(fault.done >> 12)))
  }

  private func differs(_ page: Int, of pages: Int) -> Stop {
    .failed(
      .ioError, "page \(page) does not hold what was expected",
      WorkerReply(requested: Int64(pages), pages: Int64(page)))
  }

  /// Pages that QEMU's `edu` moves in a second or two; of a larger pin it sees as many, evenly spread.
  private static let pagesForEdu = 8
  /// Pages that go through a ring at once.
  private static let pagesAtOnce = 256

  /// Lets the device see a pin piece by piece; a piece names the first page that is not as it should be.
  private func throughDevice(
    _ target: Verb.ContentTarget, writes: Bool = false, _ body: (HeldPin, Range<Int>) throws(Errno) -> Int?
  ) throws(Stop) -> WorkerReply {
    let part: Verb.ContentTarget.Held
    switch target {
    case .pin(let pin): part = pin
    case .references(let references): part = references
    case .region: throw .skipped("no device looks at a region")
    }
    guard let held = worker.held.withLock({ $0.pins[part.name] }) else {
      throw .skipped("\(part.name) was not taken, or was given back")
    }
    let first = Int(clamping: part.offset.pages)
    let total = part.size.map { Int(clamping: $0.pages) } ?? max(0, held.pages - first)
    guard first + total <= held.pages else {
      throw .failed(.invalidArgument, "\(part.name) has \(held.pages) pages")
    }
    var pieces = stride(from: first, to: first + total, by: Self.pagesAtOnce).map {
      $0..<min($0 + Self.pagesAtOnce, first + total)
    }
    if held.isVFIO {
      let count = min(total, Self.pagesForEdu)
      guard count == total || !writes else {
        throw .skipped("QEMU's edu takes a fifth of a second for half a page, too long for \(total) pages")
      }
      pieces = (0..<count).map { first + (count > 1 ? $0 * (total - 1) / (count - 1) : 0) }.map {
        $0..<$0 + 1
      }
    }
    var seen = 0
    for piece in pieces {
      let difference = try calling("the device") { () throws(Errno) in try body(held, piece) }
      if let difference { throw differs(difference, of: total) }
      seen += piece.count
    }
    var reply = WorkerReply(requested: Int64(total), pages: Int64(seen))
    if seen < total {
      reply.text = "the device saw \(seen) pages, evenly spread: it takes a fifth of a second for half a page"
    }
    return reply
  }

  func remap(_ range: Verb.RegionRange) throws(Stop) -> WorkerReply {
    var (region, address, pages) = try part(range)
    let target = place(pages)
    let moved = try calling("mremap") { () throws(Errno) in
      try MemoryCalls.remap(
        address: address, byteCount: pages << 12, newByteCount: pages << 12, target: target)
    }
    var reply = done(pages)
    if pages == region.pages {
      region.address = moved
      reply.mapped = [range.region: region]
    }
    return reply
  }

  func lock(_ range: Verb.RegionRange, locks: Bool) throws(Stop) -> WorkerReply {
    let (_, address, pages) = try part(range)
    try calling(locks ? "mlock" : "munlock") { () throws(Errno) in
      if locks {
        try MemoryCalls.lock(address: address, byteCount: pages << 12)
      } else {
        try MemoryCalls.unlock(address: address, byteCount: pages << 12)
      }
    }
    return done(pages)
  }

  func limit(_ limit: MemlockLimit) throws(Stop) -> WorkerReply {
    try calling("setrlimit") { () throws(Errno) in
      try MemoryCalls.setLockLimit(limit.bytes)
    }
    return WorkerReply()
  }

  func fork(_ name: String) throws(Stop) -> WorkerReply {
    guard let child = worker.scenario.actor(named: name) else { throw .skipped("there is no actor \(name)") }
    let side = try calling("fork") { () throws(Errno) in try ProcessCalls.fork() }
    switch side {
    case .child: worker.serve(child: child)
    case .parent(let process): return WorkerReply(child: process)
    }
  }

  func exit() -> Never {
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
