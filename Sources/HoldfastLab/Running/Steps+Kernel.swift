import Holdfast
import HoldfastScenario
import SystemPackage

/// The verbs of the kernel's own memory, and of failures.
extension Stage {
  func allocate(_ allocate: Verb.Allocate, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    var taken = Frames(order: allocate.order, heads: [])
    let each = Int64(1) << Int64(allocate.order)
    var done = StepDone(requested: Int64(allocate.count) * each, pages: 0)
    defer { keep(taken, allocate.name) }
    for _ in 0..<allocate.count {
      do {
        taken.heads.append(
          try machine.allocate(
            order: allocate.order, gfp: GFPFlags(allocate.gfp), node: allocate.node, by: process))
        done.pages = Int64(taken.heads.count) * each
      } catch {
        throw StepFailure(error).after(done)
      }
    }
    done.frames = Self.describe(taken.heads)
    return done
  }

  private func keep(_ taken: Frames, _ name: String?) {
    guard let name else {
      keptFrames.append(taken)
      return
    }
    frames[name, default: Frames(order: taken.order, heads: [])].heads += taken.heads
  }

  func free(_ name: String, every: Int, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    guard let taken = frames[name] else { return StepDone(requested: 0, pages: 0) }
    var kept = Frames(order: taken.order, heads: [])
    var freed: Int64 = 0
    for (index, head) in taken.heads.enumerated() {
      if index % every == 0 {
        do { try machine.free(head, order: taken.order, by: process) } catch { throw StepFailure(error) }
        freed += 1 << Int64(taken.order)
      } else {
        kept.heads.append(head)
      }
    }
    frames[name] = kept.heads.isEmpty ? nil : kept
    return StepDone(requested: freed, pages: freed)
  }

  func allocateContiguous(
    _ allocate: Verb.AllocateContiguous, by actor: Scenario.Actor
  ) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    guard let area = areaIndex[allocate.area] else {
      throw StepFailure(.ENODEV, .argument, "the machine has no CMA area \(allocate.area)")
    }
    let count = Int(clamping: allocate.size.pages)
    do {
      let range = try machine.cmaAllocate(
        area: area, count: count, alignOrder: allocate.alignOrder, by: process)
      if let name = allocate.name { contiguous[name] = (area, range) }
      return StepDone(
        requested: Int64(count), pages: Int64(count), frames: Self.describe(Array(range.frames)))
    } catch {
      let cause = "\(error)"
      throw StepFailure(
        ErrorNumber(error.errno), error.errno == .noMemory ? .allocate : .references, cause,
        page: error.windows.last?.frames.first?.frame, holders: error.windows.flatMap(\.holders)
      ).after(StepDone(requested: Int64(count), pages: 0))
    }
  }

  func releaseContiguous(_ name: String, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    guard let taken = contiguous.removeValue(forKey: name) else { return StepDone(requested: 0, pages: 0) }
    let released: CMARelease
    do { released = try machine.cmaRelease(area: taken.area, taken.range, by: process) } catch {
      throw StepFailure(ErrorNumber(error.errno), .argument, "\(error)")
    }
    var done = StepDone(requested: Int64(taken.range.count), pages: Int64(taken.range.count))
    if released.stillInUse > 0 { done.text = "\(released.stillInUse) pages are still in use!" }
    return done
  }

  func isolate(
    _ part: Verb.RegionRange, name: String?, by actor: Scenario.Actor
  ) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    let (_, address, pages) = try span(part)
    guard let owner = processes[regions[part.region]?.process ?? ""] else {
      throw StepFailure(.ESRCH, .argument, "the process of \(part.region) has ended")
    }
    var taken: [FrameNumber] = []
    var done = StepDone(requested: Int64(pages), pages: 0)
    machine.drainLRUAll(for: process)
    for index in 0..<pages {
      let word = machine.pagemapWord(owner, address + UInt64(index * pageSize))
      guard word >> 63 == 1 else { continue }
      // The reference keeps the folio what it is, should its owner let go of it meanwhile.
      let frame = FrameNumber(rawValue: UInt32(truncatingIfNeeded: word))
      guard let head = machine.tryGetFolio(frame, processor: process.processor) else { continue }
      defer { machine.putFolio(head, on: process.processor) }
      if taken.last == head { continue }
      guard machine.isolate(head, on: process.processor) else {
        done.shortfall.append(
          StepFailure(.EBUSY, .isolate, "\(head) is on no LRU list", page: head))
        continue
      }
      taken.append(head)
      done.pages = (done.pages ?? 0) + Int64(machine.folioPages(head))
    }
    if let name { isolations[name] = taken } else { keptIsolations += taken }
    if taken.isEmpty, let failure = done.shortfall.first { throw failure.after(done) }
    return done
  }

  func putBack(_ name: String, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    let taken = isolations.removeValue(forKey: name) ?? []
    for head in taken { machine.putBack(head, on: process.processor) }
    return StepDone(requested: Int64(taken.count), pages: Int64(taken.count))
  }

  func drain(_ target: DrainTarget, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    switch target {
    case .lru: machine.drainLRUAll(for: process)
    case .pcp: for zone in machine.zones { machine.drainPerCPULists(zone) }
    }
    return StepDone()
  }

  func compact(node: Int?, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    for zone in machine.zones where node == nil || zone.node == node {
      _ = machine.compact(zone: zone, order: -1, by: process)
    }
    return StepDone()
  }

  func migrate(
    _ part: Verb.RegionRange, to node: Int, by actor: Scenario.Actor
  ) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    let (region, address, pages) = try span(part)
    guard let owner = processes[region.process] else {
      throw StepFailure(.ESRCH, .argument, "the process \(region.process) has ended")
    }
    guard machine.configuration.nodes.indices.contains(node) else {
      throw StepFailure(.ENODEV, .argument, "the machine has no node \(node)")
    }
    let statuses = machine.movePages(process, of: owner, at: address, pages: pages, to: node)
    var done = StepDone(requested: Int64(pages), pages: Int64(statuses.filter { $0 == nil }.count))
    for (index, status) in statuses.enumerated() {
      guard let status, done.shortfall.count < 4 else { continue }
      done.shortfall.append(StepFailure(ErrorNumber(status.errno), .references, "page \(index): \(status)"))
    }
    if done.pages == 0, let failure = done.shortfall.first { throw failure.after(done) }
    return done
  }

  func fail(_ fail: Verb.Fail) -> StepDone {
    machine.injectFailures(fail.point, count: fail.count, after: fail.skip)
    return StepDone()
  }

  func dump(_ part: Verb.RegionRange) throws(StepFailure) -> StepDone {
    let (region, address, pages) = try span(part)
    guard let owner = processes[region.process] else {
      throw StepFailure(.ESRCH, .argument, "the process \(region.process) has ended")
    }
    var lines: [String] = []
    for index in 0..<pages {
      let place = address + UInt64(index * pageSize)
      let word = machine.pagemapWord(owner, place)
      guard word >> 63 == 1 else { continue }
      lines.append("---- page #\(index), starting from user virt addr: \(address)")
      lines += machine.dump(
        FrameNumber(rawValue: UInt32(truncatingIfNeeded: word)), reason: "gup_test: dump_pages() test")
    }
    return StepDone(requested: Int64(pages), pages: Int64(pages), text: lines.joined(separator: "\n"))
  }

  func limit(_ limit: MemlockLimit, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    try process(of: actor).memlockLimit = limit.engineBytes
    return StepDone()
  }
}

extension MemlockLimit {
  var engineBytes: UInt64 { bytes ?? .max }
}
