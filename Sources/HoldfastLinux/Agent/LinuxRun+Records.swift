import Glibc
import HoldfastScenario
import SystemPackage

/// What is noted about each step, and about the run.
extension LinuxRun {
  /// What a step's answer changes for those that come after it.
  func note(_ reply: WorkerReply, of index: Int) {
    let player = players[index]
    for (name, region) in reply.mapped { regions.place(region, as: name) }
    if let name = reply.unmapped { regions.remove(name, of: player.actor.process) }
    if let name = reply.hold, let frames = reply.frames {
      holds[name, default: []] += frames
    }
    if let child = reply.child { adopt(child, of: player.actor, by: player.actor.steps[player.next]) }
  }

  func adopt(_ child: Int32, of parent: Scenario.Actor, by step: Step) {
    guard case .fork(let name) = step.verb,
      let index = players.firstIndex(where: { $0.actor.name == name })
    else { return }
    players[index].process = child
    players[index].exists = true
    regions.fork(parent.process, into: name, id: child)
  }

  func end(_ index: Int, _ record: Int, _ reply: WorkerReply) {
    let step = players[index].actor.steps[players[index].next]
    records[record].requested = reply.requested
    records[record].pages = reply.pages
    records[record].blocks = reply.blocks
    records[record].end = Self.now - started
    records[record].wallNanoseconds = records[record].end - records[record].begin
    records[record].text = reply.text
    if step.repeats > 1 { records[record].repeats = reply.repeats }
    switch reply.outcome {
    case .ok: records[record].status = .ok
    case .failed(let number, let cause):
      records[record].status = .failed
      records[record].error = StepError(
        errno: ErrorNumber(number: number) ?? .EIO, stage: .untold,
        cause: ErrorNumber(number: number) == nil ? "\(cause) (errno \(number))" : cause)
    case .skipped(let why):
      records[record].status = .skipped
      records[record].skipped = why
    }
    if step.verb.actsOnBlocks, let now = try? KernelMap() { kernel = now }
    if records[record].status != .skipped {
      compare(
        players[index].before, sight(of: step, by: players[index].actor), reply, record, step)
    }
    if let label = step.label { labelsDone.insert(label) }
    players[index].record = -1
    players[index].next += 1
    players[index].state = .idle
    sights.stepEnded(step.label, self, records)
    if step.mustSucceed, records[record].status != .ok {
      mandatory.append(
        Verdict(
          mandatory: step,
          failedWith: records[record].error?.errno.rawValue ?? records[record].skipped ?? "failed"))
      ended = true
    }
    onStep(records[record])
    if case .exit = step.verb { leave(index) }
  }

  /// The end of an actor's process, whose threads end with it.
  func leave(_ index: Int) {
    let process = players[index].process
    for other in players.indices where players[other].process == process { players[other].process = nil }
    if let process { reap(process) }
    players[index].state = .done
  }

  func compare(
    _ before: StepSight, _ after: StepSight, _ reply: WorkerReply, _ record: Int, _ step: Step
  ) {
    let frames = reply.frames ?? after.frames
    if frames.contains(where: { $0 != nil }) {
      records[record].frames = FrameRuns.describe(frames)
      records[record].zonesAfter = kernel.count(frames)
    }
    if before.frames.contains(where: { $0 != nil }) {
      records[record].framesBefore = FrameRuns.describe(before.frames)
      records[record].zonesBefore = kernel.count(before.frames)
    }
    var grown: [String: Int64] = [:]
    for (name, value) in after.counters where value != before.counters[name] {
      grown[name] = Int64(clamping: value) &- Int64(clamping: before.counters[name] ?? 0)
    }
    if !grown.isEmpty { records[record].counters = grown }
    switch step.verb.word {
    case .pin, .offline, .migrate, .compact, .cmaAllocate:
      records[record].migrated = grown["pgmigrate_success"] ?? 0
      records[record].failures = grown["pgmigrate_fail"] ?? 0
      records[record].bytes = (grown["pgmigrate_success"] ?? 0) << 12
    default: break
    }
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
    if let range = step.verb.shownRange {
      sight.frames = pagemap(of: range, in: actor.process).map(\.frame)
    }
    return sight
  }

  func finish() {
    report.steps = records
    if let now = try? KernelMap() { kernel = now }
    report.zonesAfter = kernel.zoneRecords
    report.blocksAfter = kernel.blockRecords
    var grown: [String: Int64] = [:]
    for (name, value) in (try? HostCounters.live()) ?? [:] where value != countersBefore[name] {
      grown[name] = Int64(clamping: value) &- Int64(clamping: countersBefore[name] ?? 0)
    }
    report.counters = grown.filter { StepSight.counters.contains($0.key) }
    report.costs = RunCosts(records, counters: grown)
    report.verdicts = sights.verdicts(self, records) + mandatory
    report.wallNanoseconds = Self.now - started
  }
}
