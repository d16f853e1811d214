import Glibc
import HoldfastScenario
import SystemPackage

/// What is noted about each step, and about the run.
extension LinuxRun {
  /// What a step's answer changes for those that come after it.
  func note(_ changes: StepChanges, of index: Int) {
    let player = players[index]
    let process = player.actor.process
    for (name, region) in changes.mapped { regions.place(region, as: name) }
    if let name = changes.unmapped { regions.remove(name, of: process) }
    if let name = changes.released { holds[name] = nil }
    if let name = changes.hold, let frames = changes.frames {
      holds[name, default: Hold(process: process, frames: [])].frames += frames
    }
    if let child = changes.child { adopt(child, of: player.actor, by: player.actor.steps[player.next]) }
  }

  func adopt(_ child: Int32, of parent: Scenario.Actor, by step: Step) {
    guard case .fork(let name) = step.verb,
      let index = players.firstIndex(where: { $0.actor.name == name })
    else { return }
    players[index].process = child
    players[index].exists = true
    regions.fork(parent.process, into: name, id: child)
  }

  /// Notes how a step ended, and lets expectations look.
  ///
  /// - Parameter frames: those that it took, if it took any.
  func end(_ index: Int, _ record: Int, _ result: StepResult, frames: [UInt64?]? = nil) {
    let number = players[index].next
    let step = players[index].actor.steps[number]
    records[record].end = Self.now - started
    records[record].wallNanoseconds = records[record].end - records[record].begin
    if step.verb.actsOnBlocks, let now = try? KernelMap() { kernel = now }
    if case .skipped = result.ending {
      records[record].fill(step, result, nil)
    } else {
      compare(players[index].before, sight(of: step, by: players[index].actor), frames, record, step, result)
    }
    turns.end(number, of: index)
    players[index].record = -1
    players[index].next += 1
    players[index].state = .idle
    observations.stepEnded(step.label, on: self, records: records)
    if let verdict = Verdict(mandatory: step, records[record]) {
      mandatory.append(verdict)
      ended = true
    }
    onStep(records[record])
    if case .exit = step.verb { leave(index) }
  }

  /// The end of an actor's process, whose threads end with it.
  func leave(_ index: Int) {
    forgetProcess(of: index)
    players[index].state = .done
  }

  /// A process is gone, and with it what it held.
  func forgetProcess(of index: Int) {
    let process = players[index].process
    for other in players.indices where players[other].process == process { players[other].process = nil }
    let name = players[index].actor.process
    holds = holds.filter { $0.value.process != name }
    if let process { reap(process) }
  }

  private func compare(
    _ before: StepSight, _ after: StepSight, _ frames: [UInt64?]?, _ record: Int, _ step: Step,
    _ result: StepResult
  ) {
    let grown = [String: Int64](growthFrom: before.counters, to: after.counters)
    records[record].fill(
      step, result,
      StepCosts(
        migrated: grown["pgmigrate_success"] ?? 0, failures: grown["pgmigrate_fail"] ?? 0))
    let frames = frames ?? after.frames
    if let text = FrameRuns.describe(frames.lazy.compactMap(\.self)) {
      records[record].frames = text
      records[record].zonesAfter = kernel.count(frames)
    }
    if let text = FrameRuns.describe(before.frames.lazy.compactMap(\.self)) {
      records[record].framesBefore = text
      records[record].zonesBefore = kernel.count(before.frames)
    }
    if !grown.isEmpty { records[record].counters = grown }
    let warnings = kernelWarnings()
    if !warnings.isEmpty { records[record].kernelWarnings = warnings }
  }

  /// What the kernel complained of since the last look; page dumps that were asked for are no complaint.
  func kernelWarnings() -> [String] {
    var found: [String] = []
    do throws(Errno) {
      guard let records = try log?.log.newRecords() else { return [] }
      for record in records where record.level <= 4 { found.append(record.text) }
    } catch {
      return ["the kernel's log cannot be read: \(error)"]
    }
    return Array(found.prefix(40))
  }

  /// What can be seen before and after a step: the frames of its range, and counters.
  func sight(of step: Step, by actor: Scenario.Actor) -> StepSight {
    var sight = StepSight()
    sight.counters = ((try? HostCounters.live()) ?? [:]).filter { StepSight.counters.contains($0.key) }
    if let range = step.verb.range {
      sight.frames = pagemap(of: range, in: actor.process).map(\.frame)
    }
    return sight
  }

  func finish() {
    report.steps = records
    if let now = try? KernelMap() { kernel = now }
    report.zonesAfter = kernel.zoneRecords
    report.blocksAfter = kernel.blockRecords
    let grown = [String: Int64](growthFrom: countersBefore, to: (try? HostCounters.live()) ?? [:])
    report.counters = grown.filter { StepSight.counters.contains($0.key) }
    report.costs = RunCosts(records, grown: grown)
    report.verdicts = observations.verdicts(on: self, records: records) + mandatory
    report.wallNanoseconds = Self.now - started
  }
}
