/// Everything that one run of a scenario showed.
public struct RunReport: Codable, Sendable, Equatable {
  /// Raised when a field changes its meaning or goes away.
  public static let currentSchema = 1

  /// What ran the scenario.
  public enum Ground: String, Codable, Sendable, Hashable, CaseIterable {
    /// The engine, frames without bytes.
    case model
    /// The engine, frames of real memory.
    case memory
    /// A real kernel.
    case linux
  }

  /// Version of this form.
  public var schema = RunReport.currentSchema
  /// Which scenario.
  public var scenario: ScenarioIdentity
  /// Under which policy.
  public var policy: PolicyName
  /// On which ground.
  public var ground: Ground
  /// On which machine.
  public var machine: MachineSummary
  /// Zones when the actors started.
  public var zonesBefore: [ZoneRecord]
  /// Zones at the end.
  public var zonesAfter: [ZoneRecord]
  /// Memory blocks when the actors started, by index.
  public var blocksBefore: [BlockRecord]
  /// Memory blocks at the end, by index.
  public var blocksAfter: [BlockRecord]
  /// Steps in order of beginning.
  public var steps: [StepRecord]
  /// What the counters of /proc/vmstat grew by; those that did not change are left out.
  public var counters: [String: Int64]
  /// What the run cost.
  public var costs: RunCosts
  /// For `--trace`; nil where no trace was asked for.
  public var traceEvents: [TraceRecord]?
  /// One per expectation, in file order, then those of `must: ok`.
  public var verdicts: [Verdict] {
    didSet { outcome = RunOutcome(verdicts) }
  }
  /// How it ended, by the verdicts.
  public private(set) var outcome: RunOutcome
  /// Things a reader should know before believing the rest.
  public var warnings: [String]
  /// Real time of the whole run.
  public var wallNanoseconds: UInt64

  /// A report of a run that has not begun: zones and blocks as they are, nothing done.
  public init(
    scenario: ScenarioIdentity, policy: PolicyName, ground: Ground, machine: MachineSummary,
    zones: [ZoneRecord], blocks: [BlockRecord]
  ) {
    self.scenario = scenario
    self.policy = policy
    self.ground = ground
    self.machine = machine
    self.zonesBefore = zones
    self.zonesAfter = zones
    self.blocksBefore = blocks
    self.blocksAfter = blocks
    self.steps = []
    self.counters = [:]
    self.costs = RunCosts()
    self.traceEvents = nil
    self.verdicts = []
    self.outcome = .unchecked
    self.warnings = []
    self.wallNanoseconds = 0
  }

  private enum CodingKeys: String, CodingKey {
    case schema, scenario, policy, ground, machine
    case zonesBefore = "zones_before"
    case zonesAfter = "zones_after"
    case blocksBefore = "blocks_before"
    case blocksAfter = "blocks_after"
    case steps, counters, costs
    case traceEvents = "trace_events"
    case verdicts, outcome, warnings
    case wallNanoseconds = "wall_nanoseconds"
  }
}

/// Which text was run.
public struct ScenarioIdentity: Codable, Sendable, Equatable {
  /// The scenario's identifier.
  public var name: String
  /// Its file.
  public var file: String
  /// SHA-256 of the file's text.
  public var hash: String
  /// The mail it answers.
  public var seed: String?
  /// Its sentence.
  public var summary: String

  /// The identity of a scenario.
  public init(_ scenario: Scenario) {
    name = scenario.name
    file = scenario.file
    hash = scenario.textHash
    seed = scenario.seed
    summary = scenario.summary
  }
}

/// The machine of a run, in short.
public struct MachineSummary: Codable, Sendable, Equatable {
  /// Where the machine comes from.
  public enum Origin: String, Codable, Sendable, Hashable, CaseIterable {
    /// The scenario's `machine:`.
    case configured
    /// This host.
    case live
    /// A saved copy of a host's files.
    case snapshot
  }

  /// Where it comes from.
  public var origin: Origin
  /// The host's kernel, or the folder of the snapshot.
  public var source: String?
  /// Memory in frames.
  public var frames: UInt64
  /// Bytes of a memory block.
  public var blockBytes: UInt64
  /// Number of nodes.
  public var nodes: Int
  /// Number of CPUs.
  public var cpus: Int
  /// How it was changed before the actors started, one sentence each.
  public var changes: [String]

  /// Makes a summary.
  public init(
    origin: Origin, source: String? = nil, frames: UInt64, blockBytes: UInt64, nodes: Int, cpus: Int,
    changes: [String] = []
  ) {
    self.origin = origin
    self.source = source
    self.frames = frames
    self.blockBytes = blockBytes
    self.nodes = nodes
    self.cpus = cpus
    self.changes = changes
  }

  private enum CodingKeys: String, CodingKey {
    case origin, source, frames
    case blockBytes = "block_bytes"
    case nodes, cpus, changes
  }
}

/// What a run cost.
public struct RunCosts: Codable, Sendable, Equatable {
  /// Pages moved to other frames.
  public var migrated: Int64 = 0
  /// Attempts at moving a page that failed.
  public var migrationFailures: Int64 = 0
  /// Attempts at isolating a page that failed.
  public var isolationFailures: Int64 = 0
  /// Times that a step began again.
  public var retries: Int64 = 0
  /// Drains of the LRU batches on all CPUs.
  public var drains: Int64 = 0
  /// Memory blocks taken offline.
  public var blocksOfflined: Int64 = 0
  /// Memory blocks taken out of the machine.
  public var blocksRemoved: Int64 = 0
  /// Bytes copied from frame to frame.
  public var bytesCopied: Int64 = 0

  /// Nothing spent.
  public init() {}

  private enum CodingKeys: String, CodingKey {
    case migrated
    case migrationFailures = "migration_failures"
    case isolationFailures = "isolation_failures"
    case retries, drains
    case blocksOfflined = "blocks_offlined"
    case blocksRemoved = "blocks_removed"
    case bytesCopied = "bytes_copied"
  }
}
