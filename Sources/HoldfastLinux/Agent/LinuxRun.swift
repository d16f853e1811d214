import CLinux
import Glibc
import HoldfastScenario
import SystemPackage

/// A log that an optional can hold.
private final class KernelLogBox {
  let log: KernelLog
  init() throws(Errno) { log = try KernelLog() }
}

/// One run of a scenario on the kernel: who may proceed, and what is noted about each step.
///
/// Owned by one thread, the coordinator's; the actors are other processes, or their threads.
final class LinuxRun {
  /// What an actor is doing.
  enum State: Equatable {
    /// Between two steps.
    case idle
    /// Inside a step since that moment; waiting once others were let by.
    case inside(since: UInt64, deadline: UInt64, waiting: Bool)
    /// No step is left, or its process has ended.
    case done
  }

  /// An actor as the coordinator sees it.
  struct Player {
    let actor: Scenario.Actor
    let channel: MessageChannel
    /// The far end, which the actor's worker takes.
    let far: FileDescriptor
    var state = State.idle
    var next = 0
    /// The process; nil before a fork has made it, and after its end.
    var process: Int32?
    /// The record of the step that it is inside.
    var record = -1
    var before = StepSight()
    /// A child that its parent has not forked yet cannot be told anything.
    var exists: Bool
    /// Why its process ended, if a signal of the scenario ended it.
    var killed = false
  }

  private static let patience: UInt64 = 2_000_000_000

  let scenario: Scenario
  let policy: PolicyName
  let reach: LinuxRunner.Reach
  let monitor: LinuxRunner.Monitor?
  private let onStep: (StepRecord) -> Void
  var players: [Player] = []
  var regions = RegionTable()
  /// Frames held under names, as they were when they were taken.
  var holds: [String: (process: String, frames: [UInt64?])] = [:]
  var kernel: KernelMap
  private var report: RunReport
  private var records: [StepRecord] = []
  private var labelsDone: Set<String> = []
  private var labelsBegun: [String: Int] = [:]
  private var mandatory: [Verdict] = []
  private var ended = false
  private var sights: Sights
  private let log: KernelLogBox?
  private let countersBefore: [String: UInt64]
  private let started = LinuxRun.now

  init(
    _ scenario: Scenario, policy: PolicyName, reach: LinuxRunner.Reach,
    onStep: @escaping (StepRecord) -> Void,
    monitor: LinuxRunner.Monitor?
  ) throws(LinuxRunFailure) {
    self.scenario = scenario
    self.policy = policy
    self.reach = reach
    self.monitor = monitor
    self.onStep = onStep
    do throws(HostReadError) {
      kernel = try KernelMap()
      countersBefore = try HostCounters.live()
    } catch {
      throw LinuxRunFailure(error.description)
    }
    // Where the log cannot be read, warnings are not told.
    log = try? KernelLogBox()
    report = RunReport(
      scenario: ScenarioIdentity(scenario), policy: policy, ground: .linux,
      machine: KernelRelease.summary(kernel), zones: kernel.zoneRecords, blocks: kernel.blockRecords)
    sights = Sights(scenario, policy: policy, blocksBefore: kernel.blockRecords)
  }

  func run() throws(LinuxRunFailure) -> RunReport {
    try KernelSettings.prepare(scenario, reach: reach)
    defer { KernelSettings.restore(reach: reach) }
    try startWorkers()
    defer { endWorkers() }
    sights.begin(self)
    while step() {}
    finish()
    return report
  }

  // MARK: Proceeding

  /// Lets somebody proceed, or waits for somebody; false when nobody is left.
  private func step() -> Bool {
    for index in players.indices where players[index].state == .idle {
      let player = players[index]
      guard player.next < player.actor.steps.count else {
        players[index].state = .done
        return true
      }
      guard ended || (player.exists && isReady(player)) else { continue }
      begin(index)
      return true
    }
    let inside = players.indices.filter { if case .inside = players[$0].state { true } else { false } }
    if inside.isEmpty {
      // Whoever is left waits for a step that is never done.
      guard let index = players.indices.first(where: { players[$0].state == .idle }) else { return false }
      skip(index, StepRecord.neverReady)
      return true
    }
    listen(inside)
    return true
  }

  private func isReady(_ player: Player) -> Bool {
    let step = player.actor.steps[player.next]
    let waits = step.after + (player.next == 0 ? player.actor.after : [])
    return waits.allSatisfy(labelsDone.contains) && step.during.allSatisfy(isUnderWay)
  }

  private func isUnderWay(_ label: String) -> Bool {
    if labelsDone.contains(label) { return true }
    guard let index = labelsBegun[label], case .inside(_, _, let waiting) = players[index].state else {
      return false
    }
    return waiting
  }

  private func begin(_ index: Int) {
    let player = players[index]
    let step = player.actor.steps[player.next]
    if ended { return skip(index, StepRecord.runEnded) }
    if let label = step.label { labelsBegun[label] = index }
    let record = records.count
    players[index].record = record
    records.append(
      StepRecord(sequence: record + 1, actor: player.actor.name, step: step, begin: Self.now - started))
    players[index].before = sight(of: step, by: player.actor)
    if let reply = performHere(step) { return end(index, record, reply) }
    guard player.process != nil else {
      let why = player.killed ? "its process was killed" : "its process has ended"
      return end(index, record, .skipped(why))
    }
    let request = WorkerRequest(
      task: .step(player.next), regions: regions.seen(by: player.actor, names: step.verb.regions))
    do throws(Errno) {
      try player.channel.send(request)
    } catch {
      return end(index, record, .skipped("its process has ended"))
    }
    let now = Self.now
    players[index].state = .inside(since: now, deadline: now + Deadline.of(step), waiting: false)
    // The others wait until it has answered, or seems to wait itself.
    while case .inside(_, _, waiting: false) = players[index].state { listen([index]) }
  }

  /// Waits for what the actors inside steps have to say, and sees to those that take too long.
  private func listen(_ inside: [Int]) {
    var polls = inside.map {
      pollfd(fd: players[$0].channel.descriptor, events: Int16(POLLIN), revents: 0)
    }
    _ = Glibc.poll(&polls, nfds_t(polls.count), 50)
    for (index, poll) in zip(inside, polls) {
      guard case .inside(let since, let deadline, let waiting) = players[index].state else { continue }
      let player = players[index]
      let step = player.actor.steps[player.next]
      if poll.revents != 0 {
        hear(index)
      } else if let process = player.process, hasEnded(process) {
        died(index)
      } else if Self.now > deadline {
        interrupt(index, step)
      } else if !waiting, Self.now > since + Self.patience {
        players[index].state = .inside(since: since, deadline: deadline, waiting: true)
      }
    }
  }

  private func hear(_ index: Int) {
    let player = players[index]
    do throws(Errno) {
      guard let line = try player.channel.line(within: .milliseconds(5)) else { return }
      let reply: WorkerReply
      do {
        reply = try .init(line: line)
      } catch {
        return end(
          index, player.record, .skipped("its worker answered in words that nobody understands: \(error)"))
      }
      players[index].state = .idle
      note(reply, of: index)
      end(index, player.record, reply)
    } catch {
      died(index)
    }
  }

  /// A step has taken so long that only a signal ends it, as a user's patience would.
  private func interrupt(_ index: Int, _ step: Step) {
    guard let process = players[index].process else { return died(index) }
    let now = Self.now
    if Deadline.endsBySignal(step) {
      _ = hf_kill(process, SIGTERM)
    } else {
      players[index].killed = true
      _ = hf_kill(process, SIGKILL)
    }
    players[index].state = .inside(since: now, deadline: now + 10_000_000_000, waiting: true)
  }

  /// A process is gone while it was inside a step.
  private func died(_ index: Int) {
    let process = players[index].process
    for other in players.indices where players[other].process == process { players[other].process = nil }
    if let process { reap(process) }
    let inStep = players[index].record
    guard inStep >= 0 else {
      players[index].state = .done
      return
    }
    let step = players[index].actor.steps[players[index].next]
    if step.verb == .exit {
      end(index, inStep, WorkerReply())
    } else {
      end(
        index, inStep,
        WorkerReply(
          outcome: .failed(errno: EINTR, cause: "the process was killed while it was inside the step")))
    }
  }

  private func skip(_ index: Int, _ why: String) {
    let player = players[index]
    if player.record < 0 {
      players[index].record = records.count
      records.append(
        StepRecord(
          sequence: records.count + 1, actor: player.actor.name, step: player.actor.steps[player.next],
          begin: Self.now - started))
    }
    end(index, players[index].record, .skipped(why))
  }

  // MARK: Noting

  /// What a step's answer changes for those that come after it.
  private func note(_ reply: WorkerReply, of index: Int) {
    let player = players[index]
    for (name, region) in reply.mapped { regions.place(region, as: name) }
    if let name = reply.unmapped { regions.remove(name, of: player.actor.process) }
    if let name = reply.hold, let frames = reply.frames {
      holds[name] = (player.actor.process, (holds[name]?.frames ?? []) + frames)
    }
    if let child = reply.child { adopt(child, of: player.actor, by: player.actor.steps[player.next]) }
  }

  private func adopt(_ child: Int32, of parent: Scenario.Actor, by step: Step) {
    guard case .fork(let name) = step.verb,
      let index = players.firstIndex(where: { $0.actor.name == name })
    else { return }
    players[index].process = child
    players[index].exists = true
    regions.fork(parent.process, into: name, id: child)
  }

  private func end(_ index: Int, _ record: Int, _ reply: WorkerReply) {
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
  private func leave(_ index: Int) {
    let process = players[index].process
    for other in players.indices where players[other].process == process { players[other].process = nil }
    if let process { reap(process) }
    players[index].state = .done
  }

  private func compare(
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
  private func kernelWarnings() -> [String] {
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
  private func sight(of step: Step, by actor: Scenario.Actor) -> StepSight {
    var sight = StepSight()
    sight.counters = ((try? HostCounters.live()) ?? [:]).filter { StepSight.counters.contains($0.key) }
    if let range = step.verb.shownRange {
      sight.frames = pagemap(of: range, in: actor.process).map(\.frame)
    }
    return sight
  }

  private func finish() {
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

  static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
