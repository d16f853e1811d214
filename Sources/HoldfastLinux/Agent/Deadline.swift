import HoldfastScenario

/// How long a step may take before a signal ends it.
enum Deadline {
  private static let second: UInt64 = 1_000_000_000

  /// Nanoseconds.
  static func of(_ step: Step) -> UInt64 {
    switch step.verb {
    case .offline(let offline):
      // The kernel tries without end, so passes become a user's patience; a scenario that asks for very many
      // has another actor send the signal.
      (offline.passes > 10_000 ? 60 : 15) * second
    case .ksm, .compact: 60 * second
    default: 30 * second
    }
  }

  /// Whether a signal with a handler ends the step; nothing but SIGKILL ends the others.
  static func endsBySignal(_ step: Step) -> Bool {
    if case .offline = step.verb { return true }
    return false
  }
}
