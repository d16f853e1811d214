import Holdfast
import HoldfastScenario

/// The verbs of address spaces.
extension Stage {
  func map(_ map: Verb.Map, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let name = actor.process
    let protection = map.protection.protection
    var region: Region
    switch map.source {
    case .size(let size):
      let pages = Int(clamping: size.pages)
      var kind: MappingKind
      var object: ObjectHandle?
      switch map.kind {
      case .private: kind = .privateAnonymous
      case .shared: kind = .sharedAnonymous
      case .hugetlb:
        try reserveHugePages(pages: pages, for: process)
        kind = .hugetlb
      case .memfd, .memfdPrivate, .hugetlbMemfd, .hugetlbMemfdPrivate:
        let isHugetlb = [.hugetlbMemfd, .hugetlbMemfdPrivate].contains(map.kind)
        if isHugetlb { try reserveHugePages(pages: pages, for: process) }
        let handle = try failing { () throws(AddressSpaceError) in
          try machine.createObject(kind: isHugetlb ? .hugetlb : .memfd, pages: pages, for: process)
        }
        object = handle
        kind = .object(handle, shared: [.memfd, .hugetlbMemfd].contains(map.kind))
      case .file, .filePrivate: throw .lacking("memory of kind \(map.kind.rawValue)")
      }
      let address = try mapping(process, pages, kind, protection, populate: map.populate && map.advice == nil)
      region = Region(process: name, address: address, pages: pages, object: object)
    case .backing(let other, let offset, let size):
      guard let backing = self.region(other) else {
        throw .failed(.EFAULT, .address, "the region \(other) was not mapped")
      }
      guard let object = backing.object else {
        throw StepStop.failed(.EINVAL, .argument, "\(other) is not backed by a memfd")
      }
      let pages = size.map { Int(clamping: $0.pages) } ?? (backing.pages - Int(clamping: offset.pages))
      let address = try mapping(
        process, pages, .object(object, offset: offset.bytes), protection, populate: map.populate)
      region = Region(process: name, address: address, pages: pages, object: object, offset: offset.bytes)
    case .like(let id):
      region = try mapLike(id, by: process, name: name)
    }
    regions[map.region] = region
    if let advice = map.advice {
      let range = AddressRange(start: region.address, pages: region.pages)
      try failing { () throws(AddressSpaceError) in
        try machine.advise(process, range, advice)
        if map.populate { try machine.advise(process, range, .populateWrite) }
      }
    }
    return StepResult(allOf: region.pages)
  }

  func mapping(
    _ process: Process, _ pages: Int, _ kind: MappingKind, _ protection: Protection, populate: Bool
  ) throws(StepStop) -> VirtualAddress {
    try failing { () throws(AddressSpaceError) in
      try machine.map(process, pages: pages, kind: kind, protection: protection, populate: populate)
    }
  }

  /// Enlarges the pool of the process's node by what an area needs.
  private func reserveHugePages(pages: Int, for process: Process) throws(StepStop) {
    let each = 1 << machine.geometry.hugeOrder
    let node = machine.processor(process.processor).node
    let pool = machine.hugetlbCounts(node: node)
    _ = try failing { () throws(AddressSpaceError) in
      try machine.reserveHugePages(
        node: node, count: pool.total - pool.surplus + (pages + each - 1) / each, for: process)
    }
  }

  func unmap(_ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    try failing { () throws(AddressSpaceError) in try machine.unmap(process, addresses(of: part)) }
    return StepResult(allOf: part.pages)
  }

  func protect(
    _ part: Part, _ protection: Protection, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    try failing { () throws(AddressSpaceError) in
      try machine.protect(process, addresses(of: part), protection)
    }
    return StepResult(allOf: part.pages)
  }

  func advise(_ part: Part, _ advice: Advice, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    try failing { () throws(AddressSpaceError) in
      try machine.advise(process, addresses(of: part), advice)
    }
    return StepResult(allOf: part.pages)
  }

  func touch(_ part: Part, _ access: AccessWord, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    return try StepResult.pageByPage(part.pages) { page throws(StepStop) in
      _ = try reach(part, page, of: process, write: access == .write)
    }
  }

  func write(_ part: Part, _ pattern: Pattern, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    return try StepResult.pageByPage(part.pages) { page throws(StepStop) in
      store(pattern, page: part.first + page, in: try reach(part, page, of: process, write: true))
    }
  }

  func check(_ part: Part, _ pattern: Pattern, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    return try StepResult.pageByPage(part.pages) { page throws(StepStop) in
      let frame = try reach(part, page, of: process, write: false)
      try compare(pattern, page: part.first + page, in: frame)
    }
  }

  /// Loads or stores a byte of a page.
  private func reach(
    _ part: Part, _ page: Int, of process: Process, write: Bool
  ) throws(StepStop) -> FrameNumber {
    try failing { () throws(AddressSpaceError) in
      try machine.touch(process, address(of: part) + UInt64(page * pageSize), write: write)
    }
  }

  func limit(_ limit: MemlockLimit, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try process(of: actor).memlockLimit = limit.engineBytes
    return StepResult()
  }

  func exit(_ actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    for (name, hold) in holds.sorted(by: { $0.key < $1.key }) where hold.process == actor.process {
      if hold.mapping == nil { release(hold) }
      holds[name] = nil
    }
    for hold in unnamed where hold.process == actor.process { release(hold) }
    unnamed.removeAll { $0.process == actor.process }
    let processor = process.processor
    machine.exit(process)
    processes[actor.process] = nil
    closeContainers(of: actor.process, on: processor)
    closeMirror(of: actor.process)
    return StepResult()
  }

  func remap(_ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .lacking("remap")
  }

  func lock(_ part: Part, locks: Bool, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .lacking(locks ? "lock" : "unlock")
  }

  func split(_ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .lacking("split")
  }

  func clearReferences(by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw .lacking("clear-refs")
  }

  func fork(_ child: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let new = try failing { () throws(AddressSpaceError) in
      try machine.fork(process, name: child, processor: processors[child])
    }
    processes[child] = new
    inherited[child] = Set(
      regions.compactMap { reaches(actor.process, $0.key, of: $0.value.process) ? $0.key : nil })
    for thread in scenario.actors where thread.sharing == child && hasThreads {
      threads[thread.name] = try failing { () throws(AddressSpaceError) in
        try machine.createThread(of: new, processor: processors[thread.name])
      }
    }
    return StepResult()
  }

  /// Where a part of a region begins.
  func address(of part: Part) -> VirtualAddress { part.region.address + UInt64(part.first * pageSize) }

  /// The addresses of a part of a region.
  func addresses(of part: Part) -> AddressRange {
    AddressRange(start: address(of: part), pages: part.pages)
  }

  /// Runs a call of the engine, and turns its error into the failure of a step.
  func failing<Result>(_ body: () throws(AddressSpaceError) -> Result) throws(StepStop) -> Result {
    do { return try body() } catch { throw stop(error) }
  }
}

extension MemlockLimit {
  var engineBytes: UInt64 { bytes ?? .max }
}
