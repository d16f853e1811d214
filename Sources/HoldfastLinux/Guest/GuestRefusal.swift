import HoldfastScenario

/// Why a scenario's machine cannot be built as a PC.
public struct GuestRefusal: Error, Sendable, Hashable, CustomStringConvertible {
  /// What the machine has that a PC cannot have.
  public let reason: String

  init(_ reason: String) {
    self.reason = reason
  }

  /// A sentence.
  public var description: String { "skipped: this machine is a model: \(reason)" }
}

extension Scenario {
  /// Whether a step or an expectation is about memory blocks, so that their size matters.
  var usesBlocks: Bool {
    let verbs = actors.contains { actor in
      actor.steps.contains { step in
        switch step.verb {
        case .offline, .online, .add, .remove: true
        default: false
        }
      }
    }
    return verbs
      || expectations.contains { expectation in
        switch expectation.subject {
        case .blocks, .holders: true
        default: false
        }
      }
  }
}
