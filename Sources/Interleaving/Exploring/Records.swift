/// How many events of each process happened before, including the process's own events.
///
/// A process is an actor, or the store buffer of an actor.
typealias Clock = SIMD16<UInt16>

extension SIMD16<UInt16> {
  /// What happened before one or the other.
  @inline(__always)
  func joined(_ other: Self) -> Self { replacing(with: other, where: other .> self) }

  /// Whether any event is later than what `other` knows of its process.
  @inline(__always)
  func exceeds(_ other: Self) -> Bool {
    let more = unsafeBitCast(other.joined(self) ^ other, to: SIMD4<UInt64>.self)
    return more[0] | more[1] | more[2] | more[3] != 0
  }
}

/// A set of processes.
typealias ProcessSet = UInt16

/// The set of one process.
@inline(__always)
func only(_ process: Int) -> ProcessSet { 1 &<< ProcessSet(truncatingIfNeeded: process) }

extension UInt16 {
  /// The process of the lowest number; the set is not empty.
  @inline(__always)
  var first: Int { trailingZeroBitCount }

  @inline(__always)
  func has(_ process: Int) -> Bool { self & only(process) != 0 }
}

/// What an operation does to its object, as far as order matters.
enum Access {
  static let none: UInt8 = 0
  /// Two reads may change places.
  static let read: UInt8 = 1
  /// Two shared holds of a lock may change places; a shared hold and anything else may not.
  static let shared: UInt8 = 2
  static let write: UInt8 = 3

  @inline(__always)
  static func conflict(_ one: UInt8, _ other: UInt8) -> Bool {
    one == write || other == write || one != other
  }

  static func of(_ kind: PointKind) -> UInt8 {
    switch kind {
    case .load, .awaitClear: read
    case .acquireShared, .releaseShared: shared
    case .wait, .lockOrder, .choice, .begin, .plainLoad, .plainStore: none
    default: write
    }
  }
}

/// What a process does when it is chosen next.
struct Pending {
  var kind = PointKind.begin
  var flags: UInt8 = 0
  var access = Access.none
  /// The number of the object; -1 if the operation has no order against the operations of others.
  var object: Int32 = -1
  var address: UInt = 0
  /// The value to be stored or expected, or the bits to wait for.
  var word: UInt64 = 0

  /// What the operation does to its object in the present state: one that would change nothing only reads it.
  var currentAccess: UInt8 {
    @inline(__always) get {
      switch kind {
      case .tryAcquire: return Self.isClear(address, word) ? Access.write : Access.read
      case .compareExchange:
        guard let memory = UnsafeRawPointer(bitPattern: address) else { return Access.write }
        if flags & PointFlags.eightBytes != 0 {
          return memory.load(as: UInt64.self) == word ? Access.write : Access.read
        }
        return memory.load(as: UInt32.self) == UInt32(truncatingIfNeeded: word) ? Access.write : Access.read
      case .addIfPositive:
        guard let memory = UnsafeRawPointer(bitPattern: address) else { return Access.write }
        return memory.load(as: Int32.self) > 0 ? Access.write : Access.read
      default: return access
      }
    }
  }

  /// Whether the bits of `mask` are clear in the word at `address`, which has 8 bytes if the mask needs them.
  static func isClear(_ address: UInt, _ mask: UInt64) -> Bool {
    guard let word = UnsafeRawPointer(bitPattern: address) else { return true }
    let value =
      mask >> 32 == 0 ? UInt64(word.load(as: UInt32.self)) : word.load(as: UInt64.self)
    return value & mask == 0
  }
}

/// One step of an execution.
struct Event {
  var clock = Clock()
  var address: UInt = 0
  var object: Int32 = -1
  /// The event before this one on the same object.
  var previous: Int32 = -1
  var process: UInt8 = 0
  var kind = PointKind.begin
  var access = Access.none
  /// Whether the object was a lock that was held.
  var wasHeld = false
  var name: UInt16 = 0

  /// The part of this step in the hash of a trace.
  var traceHash: UInt64 {
    var hash = Hash64()
    hash.combine(UInt64(process))
    for process in 0..<Clock.scalarCount { hash.combine(UInt64(clock[process])) }
    // The address of a choice is its value.
    if kind == .choice { hash.combine(UInt64(address)) }
    return hash.value
  }
}

/// One decision on the current path of a depth-first search.
struct Branch: Codable {
  /// The processes that could run.
  var enabled: ProcessSet = 0
  /// The processes whose next step leads to executions that are covered already.
  var sleep: ProcessSet = 0
  /// The processes that were chosen earlier.
  var done: ProcessSet = 0
  /// The processes that must be chosen at some time.
  var wanted: ProcessSet = 0
  /// What is chosen now: a process, or the value of a choice.
  var chosen: UInt8 = 0
  /// The number of values of a choice; 0 for a step.
  var values: UInt8 = 0
  /// The process that would continue, or 255.
  var previous: UInt8 = 255
  /// Whether choosing another process than `previous` interrupts it.
  var interrupts = false
  /// The number of interruptions before this decision.
  var preemptions: UInt16 = 0

  /// The processes that were chosen, including the present one; for a choice, the number of values that were.
  var claimed: Int { values > 0 ? Int(chosen) + 1 : Int(done | only(Int(chosen))) }
}

/// A flaw that an execution has shown.
struct Flaw {
  let kind: Finding.Kind
  let name: String
  let text: String
}
