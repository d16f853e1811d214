/// The order that program order and labels force upon the steps of a scenario.
///
/// A step has two moments, its beginning and its end: "after" waits for the end of another step, "during" for
/// its beginning.
struct StepOrder {
  /// What a step waits for.
  struct Wait {
    let label: String
    let value: Value
    let place: NameTable.Place
    /// Whether it is enough that the labelled step has begun.
    let during: Bool
  }

  private let first: [Int]
  /// Per moment, the moments that come before it directly; steps take two places each.
  private var before: [[Int]]

  init(
    _ actors: [Scenario.Actor], labels: [String: NameTable.Place], waits: [Wait]
  ) throws(ScenarioError) {
    var first: [Int] = []
    var count = 0
    for actor in actors {
      first.append(count)
      count += actor.steps.count
    }
    self.first = first
    before = Array(repeating: [], count: 2 * count)
    for (index, actor) in actors.enumerated() {
      for step in actor.steps.indices {
        let place = NameTable.Place(actor: index, step: step)
        before[end(place)].append(begin(place))
        if step > 0 { before[begin(place)].append(end(NameTable.Place(actor: index, step: step - 1))) }
      }
    }
    for wait in waits {
      guard let target = labels[wait.label] else { continue }
      let from = wait.during ? begin(target) : end(target)
      let to = begin(wait.place)
      if reaches(to, from) {
        throw wait.value.error(
          "waiting for \(wait.label) is circular: it can only \(wait.during ? "begin" : "be done") after this step"
        )
      }
      before[to].append(from)
    }
  }

  /// Whether one step is always done before the other begins.
  func precedes(_ early: NameTable.Place, _ late: NameTable.Place) -> Bool {
    early != late && reaches(end(early), begin(late))
  }

  private func begin(_ place: NameTable.Place) -> Int { 2 * (first[place.actor] + place.step) }

  private func end(_ place: NameTable.Place) -> Int { begin(place) + 1 }

  /// Whether a chain of waits leads back from `late` to `early`.
  private func reaches(_ early: Int, _ late: Int) -> Bool {
    var seen = [Bool](repeating: false, count: before.count)
    var open = [late]
    while let moment = open.popLast() {
      if moment == early { return true }
      if seen[moment] { continue }
      seen[moment] = true
      open.append(contentsOf: before[moment])
    }
    return false
  }
}
