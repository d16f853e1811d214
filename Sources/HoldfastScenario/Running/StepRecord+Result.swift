/// What a step spent, as far as its ground counts it.
package struct StepCosts: Sendable, Equatable {
  /// Pages moved to other frames.
  package var migrated: Int64
  /// Attempts at moving a page that failed.
  package var failures: Int64
  /// Drains of the LRU batches on all CPUs.
  package var drains: Int64?
  /// Times that it began again.
  package var retries: Int64?

  /// These costs.
  package init(migrated: Int64, failures: Int64, drains: Int64? = nil, retries: Int64? = nil) {
    self.migrated = migrated
    self.failures = failures
    self.drains = drains
    self.retries = retries
  }
}

extension StepRecord {
  /// Most causes of a shortfall that a record tells.
  private static let mostCauses = 4

  /// Notes how a step ended, and what it cost.
  package mutating func fill(_ step: Step, _ result: StepResult, _ costs: StepCosts?) {
    switch result.ending {
    case .ok: status = .ok
    case .failed(let failure):
      status = .failed
      error = failure
    case .skipped(let why):
      status = .skipped
      skipped = why
    }
    requested = result.requested
    pages = result.pages
    blocks = result.blocks
    frames = result.frames
    text = result.text
    for cause in result.shortfall.prefix(Self.mostCauses) {
      text = (text.map { $0 + "\n" } ?? "") + cause
    }
    if step.repeats > 1, result.rounds > 0 { repeats = result.rounds }
    guard let costs, step.verb.word.hasCosts, status != .skipped else { return }
    migrated = costs.migrated
    failures = costs.failures
    bytes = costs.migrated << 12
    drains = costs.drains
    retries = costs.retries
    passes = result.passes ?? costs.retries.map { $0 + 1 }
  }
}

extension RunCosts {
  /// What these steps, and what counters of /proc/vmstat grew by meanwhile, tell.
  package init(_ records: [StepRecord], grown: [String: Int64]) {
    self.init()
    migrated = grown["pgmigrate_success"] ?? 0
    migrationFailures = grown["pgmigrate_fail"] ?? 0
    bytesCopied = migrated << 12
    for record in records where record.status != .skipped {
      switch record.verb {
      case .offline: blocksOfflined += record.blocks ?? 0
      case .remove: blocksRemoved += record.blocks ?? 0
      default: break
      }
    }
  }
}

extension Verdict {
  /// The verdict on a step with `must: ok` that did not succeed; nil for every other step.
  package init?(mandatory step: Step, _ record: StepRecord) {
    guard step.mustSucceed, record.status != .ok else { return nil }
    self.init(
      mandatory: step, failedWith: record.error?.errno.rawValue ?? record.skipped ?? "failed")
  }
}

extension [String: Int64] {
  /// What counters grew by; those that did not change are left out.
  package init(growthFrom before: [String: UInt64], to after: [String: UInt64]) {
    self.init()
    for (name, value) in after where value != before[name] {
      self[name] = Int64(clamping: value) &- Int64(clamping: before[name] ?? 0)
    }
  }
}
