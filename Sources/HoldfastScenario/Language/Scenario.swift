/// A machine, actors with their steps, and what is expected of them.
public struct Scenario: Sendable, Equatable {
  /// One program, or one thread of it, and the steps that it takes in order.
  public struct Actor: Sendable, Equatable {
    /// Unique among the actors.
    public var name: String
    /// Where the actor is defined.
    public var location: SourceLocation
    /// The CPU it runs on, below the machine's number of CPUs.
    public var cpu: Int
    /// The actor whose address space this one runs in; nil for a process of its own.
    public var sharing: String?
    /// The actor whose process forks this one's; nil for a process of its own making.
    public var forkOf: String?
    /// RLIMIT_MEMLOCK at the start.
    public var memlock: MemlockLimit
    /// Whether the actor holds CAP_IPC_LOCK, for which RLIMIT_MEMLOCK is no limit.
    public var mayLockMemory: Bool
    /// Labels that must be done before its first step.
    public var after: [String]
    /// At least one.
    public var steps: [Step]

    /// The name of the process: of the actor itself, or of the one that it shares with.
    public var process: String { sharing ?? name }
  }

  /// The identifier, which reports repeat.
  public var name: String
  /// The file it was read from, as the user named it.
  public var file: String
  /// The mail that the scenario answers, `000` to `004`.
  public var seed: String?
  /// One sentence.
  public var summary: String
  /// Rules that the scenario shows, by their numbers in `Documentation/Rules.md`, such as `6.8 S2`.
  public var rules: [String]
  /// The policy unless the command line gives another.
  public var policy: PolicyName
  /// The machine unless the command line gives another.
  public var machine: MachineSpec
  /// In file order, which is the order of precedence of a deterministic run.
  public var actors: [Actor]
  /// In file order.
  public var expectations: [Expectation]
  /// In file order.
  public var conditions: [Condition]
  /// What is looked at: the expectations, then the atoms of the conditions.
  public var looks: [Expectation]
  /// SHA-256 of the file's text, in hexadecimal: what `sha256sum` prints.
  public var textHash: String

  /// The actor of that name.
  public func actor(named name: String) -> Actor? {
    actors.first { $0.name == name }
  }

  /// The step of that label, and the actor that takes it.
  public func step(labelled label: String) -> (actor: Actor, step: Step)? {
    for actor in actors {
      if let step = actor.steps.first(where: { $0.label == label }) { return (actor, step) }
    }
    return nil
  }
}

/// A limit on locked memory.
public enum MemlockLimit: Sendable, Hashable {
  /// RLIM_INFINITY.
  case unlimited
  /// At most this much.
  case limited(MemorySize)

  /// The limit in bytes; nil where there is none.
  public var bytes: UInt64? {
    if case .limited(let size) = self { size.bytes } else { nil }
  }

  /// What Linux gives to a process since 5.16.
  public static let standard = MemlockLimit.limited(MemorySize(pages: 2048) ?? .zero)
}

/// One thing that an actor does.
public struct Step: Sendable, Equatable {
  /// Its place in the file.
  public var location: SourceLocation
  /// The name by which others wait for it and expectations look at it.
  public var label: String?
  /// Labels that must be done before it starts.
  public var after: [String]
  /// Labels of steps that must have ended, or have begun and wait: in the retry loop of an offline or of a
  /// long-term pin, or for a lock.
  public var during: [String]
  /// How often it is done; it stops at the first failure.
  public var repeats: Int
  /// Whether a failure of this step ends the run and counts as a failed expectation.
  public var mustSucceed: Bool
  /// What is done.
  public var verb: Verb
}
