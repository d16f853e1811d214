/// The order that program order and labels force upon the steps of a scenario.
struct StepOrder {
  private let first: [Int]
  /// Per step, the steps that it waits for directly.
  private var before: [[Int]]

  init(
    _ actors: [Scenario.Actor], labels: [String: NameTable.Place],
    waits: [(label: String, value: Value, place: NameTable.Place)]
  ) throws(ScenarioError) {
    var first: [Int] = []
    var count = 0
    for actor in actors {
      first.append(count)
      count += actor.steps.count
    }
    self.first = first
    before = Array(repeating: [], count: count)
    for (index, actor) in actors.enumerated() {
      for step in actor.steps.indices.dropFirst() {
        before[first[index] + step].append(first[index] + step - 1)
      }
    }
    for wait in waits {
      guard let target = labels[wait.label] else { continue }
      let from = number(target)
      let to = number(wait.place)
      if from == to || reaches(to, from) {
        throw wait.value.error(
          "waiting for \(wait.label) makes a circle: it can only be done after this step")
      }
      before[to].append(from)
    }
  }

  /// Whether one step is always done before the other begins.
  func precedes(_ early: NameTable.Place, _ late: NameTable.Place) -> Bool {
    early != late && reaches(number(early), number(late))
  }

  private func number(_ place: NameTable.Place) -> Int { first[place.actor] + place.step }

  /// Whether a chain of waits leads back from `late` to `early`.
  private func reaches(_ early: Int, _ late: Int) -> Bool {
    var seen = [Bool](repeating: false, count: before.count)
    var open = [late]
    while let step = open.popLast() {
      if step == early { return true }
      if seen[step] { continue }
      seen[step] = true
      open.append(contentsOf: before[step])
    }
    return false
  }
}
