/// Which steps wait for which, with numbers for labels.
package struct StepSchedule: Sendable {
  /// What one step waits for, and who waits for it.
  package struct Place: Sendable {
    /// The number of its label.
    package let label: Int?
    /// The labels that must be done before it begins, those of its actor among them.
    package let after: [Int]
    /// The labels whose steps must have ended, or have begun and wait.
    package let during: [Int]
    /// Whether a step waits for the end of this one.
    package let isAwaited: Bool
    /// Whether a step waits for the end of this one, or for its coming to where it can only try again.
    package let isJoined: Bool
  }

  /// The number of each label.
  package let labels: [String: Int]
  /// By actor, its steps in file order.
  package let places: [[Place]]

  /// The schedule of these actors, who are known by their places among them.
  package init(_ actors: [Scenario.Actor]) {
    var labels: [String: Int] = [:]
    for label in actors.flatMap(\.steps).compactMap(\.label) { labels[label] = labels.count }
    let awaited = Set(actors.flatMap { $0.after + $0.steps.flatMap(\.after) })
    let joined = Set(actors.flatMap { $0.steps.flatMap(\.during) })
    places = actors.map { actor in
      actor.steps.enumerated().map { index, step in
        Place(
          label: step.label.flatMap { labels[$0] },
          after: (step.after + (index == 0 ? actor.after : [])).compactMap { labels[$0] },
          during: step.during.compactMap { labels[$0] },
          isAwaited: step.label.map(awaited.contains) ?? false,
          isJoined: step.label.map(joined.contains) ?? false)
      }
    }
    self.labels = labels
  }
}

/// Who may begin, where steps begin one at a time.
package struct StepTurns: Sendable {
  private let schedule: StepSchedule
  /// By label.
  private var isDone: [Bool]
  /// By label: the actor that has begun its step.
  private var begunBy: [Int?]

  /// No actor has begun.
  package init(_ schedule: StepSchedule) {
    self.schedule = schedule
    isDone = Array(repeating: false, count: schedule.labels.count)
    begunBy = Array(repeating: nil, count: schedule.labels.count)
  }

  /// Whether an actor's step may begin; `isWaiting` tells of an actor whether it waits inside a step.
  package func mayBegin(_ step: Int, of actor: Int, isWaiting: (Int) -> Bool) -> Bool {
    guard step < schedule.places[actor].count else { return true }
    let place = schedule.places[actor][step]
    return place.after.allSatisfy { isDone[$0] }
      && place.during.allSatisfy { isDone[$0] || begunBy[$0].map(isWaiting) ?? false }
  }

  /// An actor's step begins.
  package mutating func begin(_ step: Int, of actor: Int) {
    if let label = schedule.places[actor][step].label { begunBy[label] = actor }
  }

  /// An actor's step has ended, or is left out as if it had.
  package mutating func end(_ step: Int, of actor: Int) {
    if let label = schedule.places[actor][step].label { isDone[label] = true }
  }
}
