import HoldfastScenario
import Interleaving

/// A step that is done before all executions, and what its last operation was.
struct PrologueStep {
  /// The number of the step.
  let step: Int
  /// Schedule points that it has passed.
  var count = 0
  var kind = PointKind.begin
  var address: UInt = 0
}

/// The steps that every order of a scenario's steps begins with: they are done once.
///
/// A step is one of these if all other actors wait, by `after` or `during`, for something that has not happened yet,
/// so that nothing can come before it or at the same time. The prologue ends where two actors could act, or where one
/// can act and another waits for it to try again.
extension ExploredRun {
  /// Performs these steps under an explorer, so that a step that traps or never ends is found here too.
  ///
  /// In that case, and if nothing would be left to explore, executions begin at the start of the scenario.
  func doPrologue() {
    var steps: [PrologueStep] = []
    var isComplete = false
    let program = ExploredProgram(
      identity: "prologue",
      actors: [
        ExploredProgram.Actor(name: "prologue") { [unowned self] in
          while let place = onlyReadyStep() {
            steps.append(PrologueStep(step: place.number))
            if perform(place) { passed(place.actor) } else { end(place.actor) }
          }
          isComplete = true
        }
      ],
      restore: { [unowned self] in
        steps = []
        restore()
      })
    var settings = ExplorationSettings()
    settings.executions = 1
    let report = try? Exploration.run(program, strategy: .preemptionBounded(0), settings: settings) {
      [unowned self] moment in
      if moment.isEnd { return nil }
      guard let last = steps.indices.last else { return nil }
      steps[last].count += 1
      steps[last].kind = moment.kind
      steps[last].address = moment.address
      return violation(of: moment, by: plan[steps[last].step].actor)
    }
    let isLeft = next.indices.contains { next[$0] < firstStep[$0 + 1] }
    guard let report, report.findings.isEmpty, report.counts.completed == 1, isComplete, isLeft,
      !steps.isEmpty
    else { return restore() }
    prologue = steps
    beginHere()
  }

  /// The step that can be done now, if there is only one and no other can begin before it has ended.
  private func onlyReadyStep() -> PlannedStep? {
    var found: PlannedStep?
    let waiting = next.indices.filter { next[$0] < firstStep[$0 + 1] }.map { plan[next[$0]] }
    for place in waiting where (place.after + place.during).allSatisfy(isSettled) {
      if found != nil { return nil }
      found = place
    }
    guard let found, !waiting.contains(where: { $0.during.contains(found.label) }) else { return nil }
    return found
  }
}
