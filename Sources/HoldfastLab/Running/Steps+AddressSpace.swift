import Holdfast
import HoldfastScenario

/// The verbs of address spaces.
extension Stage {
  func map(_ map: Verb.Map, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
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
      case .memfd:
        let handle = try failing { () throws(AddressSpaceError) in
          try machine.createObject(kind: .memfd, pages: pages, for: process)
        }
        object = handle
        kind = .object(handle)
      case .memfdPrivate, .file, .filePrivate, .hugetlbMemfd, .hugetlbMemfdPrivate:
        throw StepFailure(lacking: "map memory of kind \(map.kind.rawValue)")
      }
      let address = try mapping(process, pages, kind, protection, populate: map.populate && map.advice == nil)
      region = Region(process: name, address: address, pages: pages, object: object)
    case .backing(let other, let offset, let size):
      let backing = try self.region(other)
      guard let object = backing.object else {
        throw StepFailure(.EINVAL, .argument, "\(other) is not backed by a memfd")
      }
      let pages = size.map { Int(clamping: $0.pages) } ?? (backing.pages - Int(clamping: offset.pages))
      let address = try mapping(
        process, pages, .object(object, offset: offset.bytes), protection, populate: map.populate)
      region = Region(process: name, address: address, pages: pages, object: object)
    case .like(let id):
      region = try mapLike(id, by: process, name: name)
    }
    regions[map.region] = region
    if let advice = map.advice {
      try failing { () throws(AddressSpaceError) in
        try machine.advise(process, range(region.address, region.pages), advice)
      }
      if map.populate {
        try failing { () throws(AddressSpaceError) in
          try machine.advise(process, range(region.address, region.pages), .populateWrite)
        }
      }
    }
    return StepDone(requested: Int64(region.pages), pages: Int64(region.pages))
  }

  func mapping(
    _ process: Process, _ pages: Int, _ kind: MappingKind, _ protection: Protection, populate: Bool
  ) throws(StepFailure) -> VirtualAddress {
    try failing { () throws(AddressSpaceError) in
      try machine.map(process, pages: pages, kind: kind, protection: protection, populate: populate)
    }
  }

  /// Enlarges the pool of the process's node by what an area needs.
  private func reserveHugePages(pages: Int, for process: Process) throws(StepFailure) {
    let each = 1 << machine.geometry.hugeOrder
    let node = machine.processor(process.processor).node
    let pool = machine.hugetlbCounts(node: node)
    _ = try failing { () throws(AddressSpaceError) in
      try machine.reserveHugePages(
        node: node, count: pool.total - pool.surplus + (pages + each - 1) / each, for: process)
    }
  }

  func unmap(_ part: Verb.RegionRange, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    let (_, address, pages) = try span(part)
    try failing { () throws(AddressSpaceError) in try machine.unmap(process, range(address, pages)) }
    return StepDone(requested: Int64(pages), pages: Int64(pages))
  }

  func protect(
    _ part: Verb.RegionRange, _ word: ProtectionWord, by actor: Scenario.Actor
  ) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    let (_, address, pages) = try span(part)
    try failing { () throws(AddressSpaceError) in
      try machine.protect(process, range(address, pages), word.protection)
    }
    return StepDone(requested: Int64(pages), pages: Int64(pages))
  }

  func advise(
    _ part: Verb.RegionRange, _ advice: Advice, by actor: Scenario.Actor
  ) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    let (_, address, pages) = try span(part)
    try failing { () throws(AddressSpaceError) in
      try machine.advise(process, range(address, pages), advice)
    }
    return StepDone(requested: Int64(pages), pages: Int64(pages))
  }

  func touch(
    _ part: Verb.RegionRange, _ access: AccessWord, by actor: Scenario.Actor
  ) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    let (_, address, pages) = try span(part)
    var done = StepDone(requested: Int64(pages), pages: 0)
    for index in 0..<pages {
      do {
        _ = try machine.touch(process, address + UInt64(index * pageSize), write: access == .write)
      } catch {
        throw StepFailure(error).after(done)
      }
      done.pages = Int64(index + 1)
    }
    return done
  }

  func write(
    _ target: Verb.ContentTarget, _ pattern: Pattern, by actor: Scenario.Actor
  ) throws(StepFailure) -> StepDone {
    try visit(target, write: true, by: actor) { (frame, index) throws(StepFailure) in
      store(pattern, page: index, in: frame)
    }
  }

  func check(
    _ target: Verb.ContentTarget, _ pattern: Pattern, by actor: Scenario.Actor
  ) throws(StepFailure) -> StepDone {
    try visit(target, write: false, by: actor) { (frame, index) throws(StepFailure) in
      guard holds(pattern, page: index, in: frame) else {
        throw StepFailure(
          .EIO, .address, "page \(index) (\(frame)) does not hold what was expected", page: frame)
      }
    }
  }

  /// Visits the frames that the CPU or a device sees, with the page's index in the region or pin.
  private func visit(
    _ target: Verb.ContentTarget, write: Bool, by actor: Scenario.Actor,
    _ body: (FrameNumber, Int) throws(StepFailure) -> Void
  ) throws(StepFailure) -> StepDone {
    var done = StepDone(requested: 0, pages: 0)
    switch target {
    case .pin(let held), .references(let held):
      let frames = holds[held.name]?.pins.flatMap(\.frames) ?? []
      let first = Int(clamping: held.offset.pages)
      let pages = held.size.map { Int(clamping: $0.pages) } ?? max(0, frames.count - first)
      done.requested = Int64(pages)
      guard pages <= frames.count - first || frames.isEmpty else {
        throw StepFailure(.EINVAL, .argument, "\(held.name) has \(frames.count) pages").after(done)
      }
      for (count, index) in (first..<first + min(pages, frames.count)).enumerated() {
        do { try body(frames[index], index) } catch { throw error.after(done) }
        done.pages = Int64(count + 1)
      }
    case .region(let part):
      let process = try process(of: actor)
      let (region, address, pages) = try span(part)
      let first = Int((address.rawValue - region.address.rawValue) / UInt64(pageSize))
      done.requested = Int64(pages)
      for index in 0..<pages {
        do {
          let frame = try failing { () throws(AddressSpaceError) in
            try machine.touch(process, address + UInt64(index * pageSize), write: write)
          }
          try body(frame, first + index)
        } catch {
          throw error.after(done)
        }
        done.pages = Int64(index + 1)
      }
    }
    return done
  }

  func exit(_ actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    for (name, hold) in holds.sorted(by: { $0.key < $1.key }) where hold.process == actor.process {
      release(hold)
      holds[name] = nil
    }
    for hold in unnamed where hold.process == actor.process { release(hold) }
    unnamed.removeAll { $0.process == actor.process }
    machine.exit(process)
    processes[actor.process] = nil
    return StepDone()
  }

  func range(_ address: VirtualAddress, _ pages: Int) -> AddressRange {
    AddressRange(start: address, bytes: UInt64(pages) * UInt64(pageSize))
  }

  /// Runs a call of the engine, giving its error the words of a report.
  func failing<Result>(_ body: () throws(AddressSpaceError) -> Result) throws(StepFailure) -> Result {
    do { return try body() } catch { throw StepFailure(error) }
  }
}

extension StepFailure {
  /// The failure of a step that had done something before.
  func after(_ done: StepDone) -> StepFailure {
    var failure = self
    failure.done = done
    return failure
  }
}
