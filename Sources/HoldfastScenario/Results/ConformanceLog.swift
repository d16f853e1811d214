/// The kernel that runs were seen on, as far as it can be identified.
public struct KernelIdentity: Codable, Sendable, Hashable {
  /// `uname -r`: `6.1.192`.
  public var release: String
  /// SHA-256 of its configuration's text.
  public var config: String
  /// The version of QEMU; nil for a host's own kernel.
  public var qemu: String?

  /// Identifies a kernel.
  public init(release: String, config: String, qemu: String?) {
    self.release = release
    self.config = config
    self.qemu = qemu
  }

  /// `linux-6.1.192/qemu`.
  public var source: String { "linux-\(release)/\(qemu == nil ? "host" : "qemu")" }
}

/// What a real kernel showed of a scenario: a recorded fact.
public struct ConformanceLog: Sendable, Equatable {
  /// The form of the file that this build reads and writes.
  public static let currentSchema = 1

  /// What was run, on what, when.
  public struct Header: Codable, Sendable, Equatable {
    /// Version of the form.
    public var schema = ConformanceLog.currentSchema
    /// The scenario's identifier.
    public var scenario: String
    /// Its file.
    public var file: String
    /// SHA-256 of the text that was run.
    public var hash: String
    /// The policy that has the kernel's rules.
    public var policy: PolicyName
    /// The kernel.
    public var kernel: KernelIdentity
    /// The machine that the kernel ran on; nil if it refused to be one such as the scenario asks for.
    public var machine: MachineSummary?
    /// Why it refused.
    public var refused: String?
    /// What the runs warned of, each once.
    public var warnings: [String]
    /// How many runs there were.
    public var runs: Int
    /// The day, `2026-11-21`.
    public var recorded: String
  }

  /// A state that the kernel was seen in.
  public struct Seen: Sendable, Equatable {
    /// The state.
    public var state: RunState
    /// In how many runs.
    public var count: Int
    /// The steps of the first of them.
    public var witness: [StepRecord]

    /// Steps that the kernel's ground cannot do.
    public var beyondGround: [StepRecord] { witness.filter(\.isBeyondGround) }
  }

  /// What was run, on what, when.
  public var header: Header
  /// Most frequent first.
  public var states: [Seen]

  init(header: Header, states: [Seen]) {
    self.header = header
    self.states = states
  }

  /// The log of runs of one scenario under one policy; at least one.
  public init?(_ reports: [RunReport], of scenario: Scenario, on kernel: KernelIdentity, recorded: String) {
    guard let first = reports.first else { return nil }
    header = Header(
      scenario: scenario.name, file: scenario.file, hash: scenario.textHash, policy: first.policy,
      kernel: kernel, machine: first.machine, refused: nil,
      warnings: Self.distinct(reports.flatMap(\.warnings)),
      runs: reports.count, recorded: recorded)
    let ended = reports.map { (state: RunState($0, of: scenario), steps: $0.steps) }
    states = StateHistogram(ended.map(\.state)).rows.map { row in
      Seen(
        state: row.state, count: row.count, witness: ended.first { $0.state == row.state }?.steps ?? [])
    }
  }

  /// The log of a scenario whose machine the ground of the kernel cannot provide, with the reason.
  public init(
    refused: String, scenario: Scenario, policy: PolicyName, on kernel: KernelIdentity, recorded: String
  ) {
    header = Header(
      scenario: scenario.name, file: scenario.file, hash: scenario.textHash, policy: policy, kernel: kernel,
      machine: nil, refused: refused, warnings: [], runs: 0, recorded: recorded)
    states = []
  }

  private static func distinct(_ warnings: [String]) -> [String] {
    var said: Set<String> = []
    return warnings.filter { said.insert($0).inserted }
  }
}
