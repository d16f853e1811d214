import Holdfast
public import HoldfastScenario

/// What the scenario language can say and a real kernel can do, and the engine does not model.
public enum EngineLimits {
  /// What a scenario asks for that the engine does not model, in file order, each once; empty if it can be run.
  public static func missing(in scenario: Scenario) -> [String] {
    var missing: [String] = []
    func note(_ what: String?) {
      if let what, !missing.contains(what) { missing.append(what) }
    }
    for step in scenario.actors.flatMap(\.steps) { note(Self.missing(from: step.verb)) }
    for expectation in scenario.looks {
      switch expectation.subject {
      case .pages(_, let filter), .pin(_, let filter):
        if filter.swapped != nil { note("swap") }
        if filter.softDirty != nil { note("soft-dirty pages") }
      default: break
      }
    }
    return missing
  }

  private static func missing(from verb: Verb) -> String? {
    switch verb {
    case .map(let map):
      switch map.kind {
      case .private, .shared, .memfd, .memfdPrivate, .hugetlb, .hugetlbMemfd, .hugetlbMemfdPrivate: nil
      case .file, .filePrivate: "memory of kind \(map.kind.rawValue)"
      }
    case .advise(_, let advice):
      Advice.implemented.contains(advice) ? nil : "advice \(advice.rawValue)"
    case .remap, .lock, .unlock, .split, .clearRefs, .ksm: verb.word.rawValue
    case .device(let action, _):
      switch action {
      case .exclusive, .checkExclusive, .atomic: nil
      case .migrateToDevice, .migrateToSystem, .read, .write, .snapshot: "device \(action.rawValue)"
      }
    default: nil
    }
  }
}
