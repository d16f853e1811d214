import Holdfast
import HoldfastScenario
import SystemPackage

/// The verbs of the kernel's own memory, and of failures.
extension Stage {
  func allocate(_ allocate: Verb.Allocate, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    var taken = Frames(order: allocate.order, heads: [])
    let each = Int64(1) << Int64(allocate.order)
    var done = StepResult(requested: Int64(allocate.count) * each, pages: 0)
    defer { keep(taken, allocate.name) }
    for _ in 0..<allocate.count {
      do {
        taken.heads.append(
          try machine.allocate(
            order: allocate.order, gfp: GFPFlags(allocate.gfp), node: allocate.node, by: process))
        done.pages = Int64(taken.heads.count) * each
      } catch {
        throw stop(error).after(done)
      }
    }
    done.frames = FrameRuns.describe(taken.heads)
    return done
  }

  private func keep(_ taken: Frames, _ name: String?) {
    guard let name else {
      keptFrames.append(taken)
      return
    }
    frames[name, default: Frames(order: taken.order, heads: [])].heads += taken.heads
  }

  func free(_ name: String, every: Int, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    guard let taken = frames[name] else { return StepResult(requested: 0, pages: 0) }
    var kept = Frames(order: taken.order, heads: [])
    var freed: Int64 = 0
    for (index, head) in taken.heads.enumerated() {
      if index % every == 0 {
        do { try machine.free(head, order: taken.order, by: process) } catch { throw stop(error) }
        freed += 1 << Int64(taken.order)
      } else {
        kept.heads.append(head)
      }
    }
    frames[name] = kept.heads.isEmpty ? nil : kept
    return StepResult(requested: freed, pages: freed)
  }

  func allocate(
    _ allocate: Verb.AllocateContiguous, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    guard let area = areaIndex[allocate.area] else {
      throw StepStop.failed(.ENODEV, .argument, "the machine has no CMA area \(allocate.area)")
    }
    let count = Int(clamping: allocate.size.pages)
    do {
      let range = try machine.cmaAllocate(
        area: area, count: count, alignOrder: allocate.alignOrder, by: process)
      if let name = allocate.name { contiguous[name] = (area, range) }
      return StepResult(
        requested: Int64(count), pages: Int64(count), frames: FrameRuns.describe(Array(range.frames)))
    } catch {
      throw stop(error).after(StepResult(requested: Int64(count), pages: 0))
    }
  }

  func releaseContiguous(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    guard let taken = contiguous.removeValue(forKey: name) else { return StepResult(requested: 0, pages: 0) }
    let released: CMARelease
    do { released = try machine.cmaRelease(area: taken.area, taken.range, by: process) } catch {
      throw .failed(ErrorNumber(error.errno), .argument, "\(error)")
    }
    var done = StepResult(requested: Int64(taken.range.count), pages: Int64(taken.range.count))
    if released.stillInUse > 0 { done.text = "\(released.stillInUse) pages are still in use!" }
    return done
  }

  func isolate(_ part: Part, as name: String?, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let owner = try owner(of: part)
    let (address, pages) = (address(of: part), part.pages)
    var refused: StepStop?
    var taken: [FrameNumber] = []
    var done = StepResult(requested: Int64(pages), pages: 0)
    machine.lru.drainAll(for: process)
    for index in 0..<pages {
      let word = machine.pagemapWord(owner, address + UInt64(index * pageSize))
      guard word >> 63 == 1 else { continue }
      // The reference keeps the folio allocated if its owner frees it meanwhile.
      let frame = FrameNumber(rawValue: UInt32(truncatingIfNeeded: word))
      guard let head = machine.folios.tryGet(frame, processor: process.processor) else { continue }
      defer { machine.folios.put(head, on: process.processor) }
      if taken.last == head { continue }
      guard machine.migration.isolate(head, on: process.processor) else {
        let cause = "\(head) is on no LRU list"
        done.shortfall.append(cause)
        refused = refused ?? stop(.EBUSY, .isolate, cause, page: head)
        continue
      }
      taken.append(head)
      done.pages = (done.pages ?? 0) + Int64(machine.memmap.folioPages(head))
    }
    if let name { isolations[name] = taken } else { keptIsolations += taken }
    if taken.isEmpty, let refused { throw refused.after(done) }
    return done
  }

  func putBack(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let taken = isolations.removeValue(forKey: name) ?? []
    for head in taken { machine.migration.putBack(head, on: process.processor) }
    return StepResult(requested: Int64(taken.count), pages: Int64(taken.count))
  }

  func drain(_ target: DrainTarget, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    switch target {
    case .lru: machine.lru.drainAll(for: process)
    case .pcp: for zone in machine.zones { machine.allocator.drainPerCPULists(zone) }
    }
    return StepResult()
  }

  func compact(node: Int?, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    for zone in machine.zones where node == nil || zone.node == node {
      _ = machine.compact(zone: zone, order: -1, by: process)
    }
    return StepResult()
  }

  func migrate(_ part: Part, to node: Int, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let owner = try owner(of: part)
    guard machine.configuration.nodes.indices.contains(node) else {
      throw StepStop.failed(.ENODEV, .argument, "the machine has no node \(node)")
    }
    let statuses = machine.movePages(
      process, of: owner, at: address(of: part), pages: part.pages, to: node)
    var done = StepResult(requested: Int64(part.pages), pages: Int64(statuses.count { $0 == nil }))
    var refused: StepStop?
    for (index, status) in statuses.enumerated() {
      guard let status, done.shortfall.count < 4 else { continue }
      let cause = "page \(index): \(status)"
      done.shortfall.append(cause)
      refused = refused ?? .failed(ErrorNumber(status.errno), .references, cause)
    }
    if done.pages == 0, let refused { throw refused.after(done) }
    return done
  }

  func mergePages() throws(StepStop) -> StepResult { throw .lacking("ksm") }

  func fail(_ fail: Verb.Fail, by actor: Scenario.Actor) -> StepResult {
    machine.injectFailures(fail.point, count: fail.count, after: fail.skip)
    return StepResult()
  }

  func signal(_ name: String, _ word: SignalWord) throws(StepStop) -> StepResult {
    guard let actor = scenario.actor(named: name), let process = processes[actor.process] else {
      throw .failed(.ESRCH, .argument, "the process of \(name) has ended")
    }
    process.raise(fatal: word == .kill)
    return StepResult()
  }
}
