import Holdfast
import HoldfastScenario
import Interleaving

extension Observations where Ground == Stage {
  /// A hash of the looks taken when steps ended, the same in every run of the program.
  func hash(of scenario: Scenario) -> UInt64 {
    var hash = Hash64()
    for index in scenario.looks.indices {
      switch seen[index] {
      case nil: hash.combine(0)
      case .number(let number): hash.combine(UInt64(bitPattern: number) &* 8 &+ 1)
      case .count(let count, let total):
        hash.combine(UInt64(bitPattern: count) &* 8 &+ 2)
        hash.combine(UInt64(bitPattern: total))
      case .some(let words):
        hash.combine(3)
        hash.combine(text: words.description)
      }
      guard let look = earlier[index] else { continue }
      for counter in look.counters.keys.sorted() {
        hash.combine(UInt64(bitPattern: look.counters[counter] ?? 0))
      }
      for frame in look.frames { hash.combine(frame.map { UInt64($0.rawValue) } ?? .max) }
      for digest in look.digests { hash.combine(digest ?? .max) }
    }
    return hash.value
  }
}
