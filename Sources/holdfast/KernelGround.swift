import HoldfastScenario

/// A real kernel to run scenarios on.
enum KernelGround {
  /// Which kernel.
  enum Place {
    /// The guest's, in QEMU.
    case guest
    /// This host's own, for what it can do without harm.
    case host
  }

  /// What came of asking for runs.
  enum Answer {
    /// One report per run.
    case runs([RunReport], on: KernelIdentity)
    /// The kernel was lost in a run, such as by a deadline; says how.
    case lost(String)
    /// The kernel's machine cannot be such as the scenario asks for; says why.
    case refused(String, on: KernelIdentity)
  }

  /// The policy of the guest's kernel.
  static let policy = PolicyName.linux61

  /// Runs a scenario so many times.
  static func runs(
    _ scenario: Scenario, policy: PolicyName, repeats: Int, on place: Place
  ) throws(Failure) -> Answer {
    switch place {
    case .guest: throw .cannotRun("ground linux needs the guest's kernel, which is not there")
    case .host: throw .cannotRun("ground linux cannot use this host's kernel")
    }
  }
}
