import Dispatch
import Holdfast
import HoldfastScenario
import Interleaving

/// What a step spent, by the counters of its processor.
struct Costs {
  private(set) var migrated: Int64 = 0
  private(set) var failures: Int64 = 0
  private(set) var drains: Int64 = 0
  private(set) var retries: Int64 = 0
  private let processor: Int

  /// Nothing spent.
  init() { processor = 0 }

  init(_ machine: Machine, actor: Process?) {
    processor = actor?.processor ?? 0
    let cpu = machine.processor(processor)
    func read(_ counter: EventCounter) -> Int64 { Int64(clamping: cpu.event(counter).count) }
    migrated = read(.pgmigrateSuccess)
    failures = read(.pgmigrateFail)
    drains = read(.lruDrainAll)
    retries = read(.longtermRetries)
  }

  /// What was spent since.
  func spent(_ machine: Machine) -> Costs {
    var now = self
    let cpu = machine.processor(processor)
    func read(_ counter: EventCounter) -> Int64 { Int64(clamping: cpu.event(counter).count) }
    now.migrated = read(.pgmigrateSuccess) - migrated
    now.failures = read(.pgmigrateFail) - failures
    now.drains = read(.lruDrainAll) - drains
    now.retries = read(.longtermRetries) - retries
    return now
  }
}

extension StepRecord {
  /// Notes how a step ended.
  mutating func fill(_ step: Step, _ result: Result<StepDone, StepFailure>, _ spent: Costs, _ stage: Stage) {
    switch result {
    case .success(let done): fill(step, done, nil, spent)
    case .failure(let failure): fill(step, failure.done, StepError(failure, stage), spent)
    }
  }

  /// Notes how a step ended: what it did, and why it failed if it did.
  mutating func fill(_ step: Step, _ done: StepDone, _ failure: StepError?, _ spent: Costs) {
    if let failure {
      status = .failed
      error = failure
    }
    requested = done.requested
    pages = done.pages
    blocks = done.blocks
    frames = done.frames
    text = done.text
    for failure in done.shortfall.prefix(4) {
      text = (text.map { $0 + "\n" } ?? "") + failure.cause
    }
    if step.repeats > 1 { repeats = Int64(step.repeats) }
    if step.verb.word.hasCosts {
      migrated = spent.migrated
      failures = spent.failures
      bytes = spent.migrated * Int64(pageSize)
      drains = spent.drains
      retries = spent.retries
      passes = done.passes ?? (spent.retries + 1)
    }
  }
}

extension Verb.Word {
  /// Whether records say what such steps have cost.
  var hasCosts: Bool {
    switch self {
    case .pin, .offline, .migrate, .compact, .cmaAllocate: true
    default: false
    }
  }
}

extension StepError {
  init(_ failure: StepFailure, _ stage: Stage) {
    self.init(
      errno: failure.errno, stage: failure.stage, cause: failure.cause,
      page: failure.page.map(\.description),
      holders: failure.holders.map { stage.describe($0) })
  }
}

extension Stage {
  func describe(_ holder: PinHolder) -> StepError.Holder {
    let taken = machine.now &- holder.age
    let label =
      pinLabels.last { $0.owner == holder.owner && $0.tick <= taken }
      ?? pinLabels.first { $0.owner == holder.owner }
    return StepError.Holder(
      owner: actorName(of: holder), purpose: holder.purpose, pin: label?.pin,
      pages: Int64(holder.pagesInRange),
      firstPage: "\(holder.address)", longterm: holder.isLongterm, since: label?.label ?? "before")
  }

  /// Does a step as often as it says.
  func performAll(_ step: Step, by actor: Scenario.Actor) -> Result<StepDone, StepFailure> {
    var done = StepDone()
    for _ in 0..<step.repeats {
      do {
        done.add(try perform(step, by: actor))
      } catch {
        done.add(error.done)
        return .failure(error.after(done))
      }
    }
    return .success(done)
  }

  /// Does a step once.
  func perform(_ step: Step, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    switch step.verb {
    case .map(let map): try self.map(map, by: actor)
    case .unmap(let range): try unmap(range, by: actor)
    case .protect(let range, let word): try protect(range, word, by: actor)
    case .advise(let range, let word): try advise(range, word, by: actor)
    case .touch(let range, let access): try touch(range, access, by: actor)
    case .write(let target, let pattern): try write(target, pattern, by: actor)
    case .check(let target, let pattern): try check(target, pattern, by: actor)
    case .get(let grab): try self.grab(grab, purpose: nil, step: step, by: actor)
    case .put(let reference): put(reference)
    case .pin(let grab, let purpose): try self.grab(grab, purpose: purpose, step: step, by: actor)
    case .unpin(let unpin): self.unpin(unpin)
    case .scopeSave(let name): try saveScope(name, by: actor)
    case .scopeRestore(let name): try restoreScope(name, by: actor)
    case .allocate(let allocate): try self.allocate(allocate, by: actor)
    case .free(let frames, let every): try free(frames, every: every, by: actor)
    case .allocateContiguous(let allocate): try allocateContiguous(allocate, by: actor)
    case .releaseContiguous(let frames): try releaseContiguous(frames, by: actor)
    case .isolate(let name, let range): try isolate(range, name: name, by: actor)
    case .putback(let isolation): try putBack(isolation, by: actor)
    case .drain(let target): try drain(target, by: actor)
    case .compact(let node): try compact(node: node, by: actor)
    case .migrate(let range, let node): try migrate(range, to: node, by: actor)
    case .offline(let offline): try self.offline(offline, by: actor)
    case .online(let blocks, let kind): try online(blocks, kind, by: actor)
    case .add(let blocks, let node): try add(blocks: blocks, node: node)
    case .remove(let blocks): try remove(blocks)
    case .exit: try exit(actor)
    case .signal(let name, let word): try signal(name, word)
    case .fail(let fail): self.fail(fail)
    case .dump(let range): try dump(range)
    case .limit(let limit): try self.limit(limit, by: actor)
    case .fork, .remap, .lock, .unlock, .split, .clearRefs, .ksm, .device:
      throw StepFailure(lacking: step.verb.summary)
    }
  }

  private func signal(_ name: String, _ word: SignalWord) throws(StepFailure) -> StepDone {
    guard let actor = scenario.actor(named: name), let process = processes[actor.process] else {
      throw StepFailure(.ESRCH, .argument, "the process of \(name) has ended")
    }
    process.raise(fatal: word == .kill)
    return StepDone()
  }
}

/// Tells how far a run is, at most every 50 ms.
final class ProgressMeter {
  private let total: Int
  private let report: (@Sendable (RunProgress) -> Void)?
  private var done = 0
  private var current = ""
  private var last: UInt64 = 0

  init(total: Int, report: (@Sendable (RunProgress) -> Void)?) {
    self.total = total
    self.report = report
  }

  func note(_ what: String) {
    current = what
    tell()
  }

  func stepDone() {
    done += 1
    tell()
  }

  private func tell() {
    guard let report else { return }
    let now = DispatchTime.now().uptimeNanoseconds
    guard now - last > 50_000_000 || done == total else { return }
    last = now
    report(RunProgress(stepsDone: done, steps: total, current: current))
  }
}
