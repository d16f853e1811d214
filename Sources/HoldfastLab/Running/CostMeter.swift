import Holdfast
import HoldfastScenario
import Interleaving

/// The counts of an actor's processor, from which the costs of a step are computed later.
struct CostMeter {
  private let machine: Machine
  private let processor: Int
  private let before: StepCosts

  init(_ machine: Machine, actor: Process?) {
    self.machine = machine
    processor = actor?.processor ?? 0
    before = Self.read(machine, processor)
  }

  private static func read(_ machine: Machine, _ processor: Int) -> StepCosts {
    let cpu = machine.processor(processor)
    func read(_ counter: EventCounter) -> Int64 { Int64(clamping: cpu.event(counter).count) }
    return StepCosts(
      migrated: read(.pgmigrateSuccess), failures: read(.pgmigrateFail), drains: read(.lruDrainAll),
      retries: read(.longtermRetries))
  }

  /// The costs since then.
  var spent: StepCosts {
    let now = Self.read(machine, processor)
    return StepCosts(
      migrated: now.migrated - before.migrated, failures: now.failures - before.failures,
      drains: (now.drains ?? 0) - (before.drains ?? 0), retries: (now.retries ?? 0) - (before.retries ?? 0))
  }
}
