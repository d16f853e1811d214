import CLinux
import Glibc
import HoldfastScenario
import SystemPackage

/// A log that an optional can hold.
final class KernelLogBox {
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

  /// Frames that a process holds.
  struct Hold {
    let process: String
    var frames: [UInt64?]
  }

  private static let patience: UInt64 = 2_000_000_000

  let scenario: Scenario
  let policy: PolicyName
  let reach: LinuxRunner.Reach
  let monitor: LinuxRunner.Monitor?
  let onStep: (StepRecord) -> Void
  var players: [Player] = []
  var regions = RegionTable()
  /// What is held under names, as it was when it was taken.
  var holds: [String: Hold] = [:]
  var kernel: KernelMap
  var report: RunReport
  var records: [StepRecord] = []
  var turns: StepTurns
  var mandatory: [Verdict] = []
  var ended = false
  var observations: Observations<LinuxRun>
  let log: KernelLogBox?
  let countersBefore: [String: UInt64]
  let started = LinuxRun.now

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
    turns = StepTurns(StepSchedule(scenario.actors))
    observations = Observations(scenario, policy: policy, blocksBefore: kernel.blockRecords)
  }

  func run() throws(LinuxRunFailure) -> RunReport {
    try KernelSettings.prepare(scenario, reach: reach)
    defer { KernelSettings.restore(reach: reach) }
    try startWorkers()
    defer { endWorkers() }
    observations.begin(on: self)
    while step() {}
    finish()
    return report
  }

  // MARK: Proceeding

  /// Lets an actor proceed, or waits for one; false when none is left.
  private func step() -> Bool {
    for index in players.indices where players[index].state == .idle {
      let player = players[index]
      guard player.next < player.actor.steps.count else {
        players[index].state = .done
        return true
      }
      guard ended || (player.exists && mayBegin(index)) else { continue }
      begin(index)
      return true
    }
    let inside = players.indices.filter { if case .inside = players[$0].state { true } else { false } }
    if inside.isEmpty {
      // The actors that are left wait for a step that is never done.
      guard let index = players.indices.first(where: { players[$0].state == .idle }) else { return false }
      skip(index, StepRecord.neverReady)
      return true
    }
    listen(inside)
    return true
  }

  private func mayBegin(_ index: Int) -> Bool {
    turns.mayBegin(players[index].next, of: index) { other in
      if case .inside(_, _, let waiting) = players[other].state { waiting } else { false }
    }
  }

  private func begin(_ index: Int) {
    let player = players[index]
    let step = player.actor.steps[player.next]
    if ended { return skip(index, StepRecord.runEnded) }
    turns.begin(player.next, of: index)
    let record = records.count
    players[index].record = record
    records.append(
      StepRecord(sequence: record + 1, actor: player.actor.name, step: step, begin: Self.now - started))
    players[index].before = sight(of: step, by: player.actor)
    if let result = performHere(step) { return end(index, record, result) }
    guard player.process != nil else {
      let why = player.killed ? "its process was killed" : "its process has ended"
      return end(index, record, StepResult(.skipped(why)))
    }
    let request = WorkerRequest(
      task: .step(player.next), regions: regions.seen(by: player.actor, names: step.verb.regions))
    do throws(Errno) {
      try player.channel.send(request)
    } catch {
      return end(index, record, StepResult(.skipped("its process has ended")))
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
        let why = "its worker answered with something that cannot be read: \(error)"
        return end(index, player.record, StepResult(.skipped(why)))
      }
      players[index].state = .idle
      note(reply.changes, of: index)
      end(index, player.record, reply.result, frames: reply.changes.frames)
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
  func died(_ index: Int) {
    forgetProcess(of: index)
    let inStep = players[index].record
    guard inStep >= 0 else {
      players[index].state = .done
      return
    }
    let step = players[index].actor.steps[players[index].next]
    if step.verb == .exit {
      end(index, inStep, StepResult())
    } else {
      end(
        index, inStep,
        StepResult(.failed(.interrupted, "the process was killed while it was inside the step")))
    }
  }

  func skip(_ index: Int, _ why: String) {
    let player = players[index]
    if player.record < 0 {
      players[index].record = records.count
      records.append(
        StepRecord(
          sequence: records.count + 1, actor: player.actor.name, step: player.actor.steps[player.next],
          begin: Self.now - started))
    }
    end(index, players[index].record, StepResult(.skipped(why)))
  }

  static var now: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
