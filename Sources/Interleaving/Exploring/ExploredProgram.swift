/// What is explored: some actors, and a function that restores everything they share.
///
/// All that actors share is in memory that `restore` writes back, and is accessed through the cells and locks of
/// this module. Bodies must not read clocks or random numbers, wait for anything outside, or `await`.
public struct ExploredProgram {
  /// One actor, which runs on a fiber of its own.
  public struct Actor {
    /// The name in findings.
    public var name: String
    /// What it does, from its beginning to its end, once per execution; an error that leaves it is a finding.
    public var body: () throws -> Void

    /// An actor.
    public init(name: String, body: @escaping () throws -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Most actors that a program can have; half as many with store buffers.
  public static var maximumActors: Int { Clock.scalarCount }

  /// What identifies this program and this build of it: schedules and checkpoints of others are refused.
  public var identity: String
  /// The actors.
  public var actors: [Actor]
  /// Names of steps; `markStep` gives the place of one.
  public var stepNames: [String]
  /// Restores everything that actors share to its state at the beginning of an execution.
  public var restore: () -> Void
  /// A hash of everything that actors keep outside their stacks, without what only counts events.
  ///
  /// Used to distinguish a livelock from slow progress, and to merge equal states.
  public var stateHash: (() -> UInt64)?

  /// A program.
  public init(
    identity: String, actors: [Actor], stepNames: [String] = [], restore: @escaping () -> Void,
    stateHash: (() -> UInt64)? = nil
  ) {
    self.identity = identity
    self.actors = actors
    self.stepNames = stepNames
    self.restore = restore
    self.stateHash = stateHash
  }

  /// The hash of what must be the same for a schedule to mean the same.
  public var hash: UInt64 {
    var hash = Hash64()
    hash.combine(text: identity)
    for actor in actors { hash.combine(text: actor.name) }
    return hash.value
  }
}

/// A 64-bit hash that is the same in every process, unlike `Hasher`.
public struct Hash64: Sendable {
  /// The hash of what was added so far.
  public private(set) var value: UInt64

  /// The hash of nothing.
  @inline(__always)
  public init() { value = 0xcbf2_9ce4_8422_2325 }

  /// Adds a word.
  @inline(__always)
  public mutating func combine(_ word: UInt64) {
    let mixed = (value ^ word) &* 0x9e37_79b9_7f4a_7c15
    value = mixed ^ (mixed &>> 29)
  }

  /// Adds memory, word by word.
  public mutating func combine(memory: UnsafeRawBufferPointer) {
    let words = memory.count / 8
    for index in 0..<words { combine(memory.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)) }
    for byte in memory[(words * 8)...] { combine(UInt64(byte)) }
  }

  /// Adds a text and its length.
  public mutating func combine(text: String) {
    for byte in text.utf8 { combine(UInt64(byte)) }
    combine(UInt64(text.utf8.count) | 1 << 32)
  }
}
