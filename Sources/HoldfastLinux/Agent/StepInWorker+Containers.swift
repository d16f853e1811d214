import HoldfastScenario

/// Containers whose devices and addresses a scenario chooses: the agent's own containers have one device each, and it
/// chooses the addresses.
extension StepInWorker {
  private static var refusal: StepStop {
    .skipped("ground linux opens a container for each pin of purpose vfio, and none that a scenario names")
  }

  func openContainer(
    _ name: String, _ kind: ContainerWord, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult { throw Self.refusal }

  func attach(_ attach: Verb.Attach, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw Self.refusal
  }

  func detach(_ device: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw Self.refusal
  }

  func map(
    _ map: Verb.DMAMap, of part: Part, in step: Step, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult { throw Self.refusal }

  func unmap(
    _ range: Verb.DeviceRange?, of container: String, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult { throw Self.refusal }

  func write(
    _ range: Verb.DeviceRange, by device: String, _ pattern: Pattern
  ) throws(StepStop) -> StepResult { throw Self.refusal }

  func check(
    _ range: Verb.DeviceRange, by device: String, _ pattern: Pattern
  ) throws(StepStop) -> StepResult { throw Self.refusal }

  func copy(_ copy: Verb.DMACopy, in step: Step, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    throw Self.refusal
  }
}
