import Holdfast
import HoldfastScenario

/// The verbs of memory blocks.
extension Stage {
  func offline(_ offline: Verb.Offline, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let blocks = pick(offline.blocks) { machine.state(of: $0) == .online }
    var done = StepResult(requested: 0, pages: 0, blocks: 0, passes: 0)
    var failed: StepStop?
    for block in blocks {
      done.requested = (done.requested ?? 0) + Int64(machine.geometry.blockFrames)
      do {
        let report = try machine.offline(block, by: process, limits: OfflineLimits(passes: offline.passes))
        done.add(
          StepResult(pages: Int64(machine.geometry.blockFrames), blocks: 1, passes: Int64(report.passes)))
      } catch {
        done.passes = (done.passes ?? 0) + Int64(error.passes)
        let failure = stop(error)
        if failed == nil { failed = failure } else { done.shortfall.append(failure.cause) }
        // A signal that came from outside ends the whole step, not only this block.
        if process.hasSignal { break }
      }
    }
    process.clearSignals()
    if let failed { throw failed.after(done) }
    guard !blocks.isEmpty else {
      throw StepStop.failed(.EINVAL, .argument, "the selection has no block of the machine").after(done)
    }
    return done
  }

  func online(
    _ selection: Verb.BlockSelection, _ kind: OnlineKind, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    return try each(selection, in: .offline) { block throws(StepStop) in
      do throws(OnlineError) { _ = try machine.online(block, as: kind, by: process) } catch {
        throw StepStop.failed(ErrorNumber(error.errno), .argument, error.description)
      }
    }
  }

  func add(blocks: Int, node: Int) throws(StepStop) -> StepResult {
    let absent = (0..<machine.blockCount).map(BlockID.init(rawValue:)).filter {
      machine.state(of: $0) == .absent
    }
    var done = StepResult(requested: Int64(blocks * machine.geometry.blockFrames), blocks: 0)
    guard absent.count >= blocks else {
      throw StepStop.failed(
        .ENOSPC, .argument, "the machine has room for \(absent.count) more blocks, not \(blocks)"
      ).after(done)
    }
    for block in absent.prefix(blocks) {
      do throws(OnlineError) { try machine.addMemory(machine.frames(of: block), node: node) } catch {
        throw StepStop.failed(ErrorNumber(error.errno), .argument, error.description).after(done)
      }
      done.add(StepResult(pages: Int64(machine.geometry.blockFrames), blocks: 1))
    }
    return done
  }

  func remove(_ selection: Verb.BlockSelection) throws(StepStop) -> StepResult {
    try each(selection, in: .offline) { block throws(StepStop) in
      do throws(RemoveError) { try machine.removeMemory(block) } catch {
        throw StepStop.failed(ErrorNumber(error.errno), .references, error.description)
      }
    }
  }

  private func each(
    _ selection: Verb.BlockSelection, in state: BlockState,
    _ body: (BlockID) throws(StepStop) -> Void
  ) throws(StepStop) -> StepResult {
    let blocks = pick(selection) { machine.state(of: $0) == state }
    let frames = Int64(machine.geometry.blockFrames)
    var done = StepResult(requested: Int64(blocks.count) * frames, pages: 0, blocks: 0)
    var failed: StepStop?
    for block in blocks {
      do {
        try body(block)
        done.add(StepResult(pages: frames, blocks: 1))
      } catch {
        if failed == nil { failed = error } else { done.shortfall.append(error.cause) }
      }
    }
    if let failed { throw failed.after(done) }
    guard !blocks.isEmpty else {
      throw StepStop.failed(.EINVAL, .argument, "the selection has no block of the machine").after(done)
    }
    return done
  }

  /// The blocks that a selection means, ascending.
  private func pick(_ selection: Verb.BlockSelection, _ fits: (BlockID) -> Bool) -> [BlockID] {
    if case .indices(let indices) = selection.pick { return indices.sorted().map(BlockID.init(rawValue:)) }
    let candidates = (0..<machine.blockCount).map(BlockID.init(rawValue:)).filter { block in
      guard fits(block) else { return false }
      if let node = selection.node, machine.describe(block)?.node != node { return false }
      guard let wanted = selection.zone else { return true }
      guard machine.state(of: block) == .online else { return true }
      if let zone = machine.describe(block)?.zone { return zone.kind == wanted }
      return selection.pick == .all && machine.zonesTouched(by: block).contains(wanted)
    }
    switch selection.pick {
    case .all: return candidates
    case .whole: return candidates.filter { machine.isWhole($0) }
    case .count(let count):
      let best = candidates.map { (block: $0, free: machine.freeFrames(in: $0)) }
        .sorted { $0.free != $1.free ? $0.free > $1.free : $0.block > $1.block }
      return best.prefix(count).map(\.block).sorted()
    case .indices: return []
    }
  }
}
