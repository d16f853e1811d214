/// How many events of each process happened before, the own ones included.
///
/// A process is an actor, or the store buffer of one.
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
  /// Shared holds of a lock may change places with each other, and with nothing else.
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
  /// What it names, if it has an order against what others do to the same.
  var object: Int32 = -1
  var address: UInt = 0
  /// A value to be stored, or the bits to wait for.
  var word: UInt64 = 0
}

/// One step of the execution.
struct Event {
  var clock = Clock()
  var address: UInt = 0
  var object: Int32 = -1
  /// The last event before on the same object.
  var previous: Int32 = -1
  var process: UInt8 = 0
  var kind = PointKind.begin
  var access = Access.none
  /// Whether the object was a lock that was held.
  var wasHeld = false
  var name: UInt16 = 0
}

/// One decision of the current path of a depth-first search.
struct Node: Codable {
  /// Who could go on.
  var enabled: ProcessSet = 0
  /// Whose next step leads to executions that were covered already.
  var sleep: ProcessSet = 0
  /// Who was chosen before.
  var done: ProcessSet = 0
  /// Who is to be chosen at some time.
  var wanted: ProcessSet = 0
  /// Who was chosen: a process, or the value of a choice.
  var chosen: UInt8 = 0
  /// How many values the choice has; 0 for a step.
  var values: UInt8 = 0
  /// Who would have gone on, or 255.
  var previous: UInt8 = 255
  /// Whether taking another one than `previous` interrupts it.
  var interrupts = false
  /// Interruptions before this decision.
  var preemptions: UInt16 = 0
}

/// What is known of an address in the current execution.
struct ObjectState {
  var address: UInt = 0
  /// The execution that the rest is about.
  var epoch: UInt64 = 0
  /// The last event on it.
  var head: Int32 = -1
  /// The bits that say that the lock here is held; 0 if it is no lock.
  var lockMask: UInt64 = 0
  var isSharedLock = false
  /// Actors that have read it since they last tried again.
  var watchers: ProcessSet = 0
  /// What whoever reads the value knows to have happened.
  var released = Clock()
  /// Plain accesses: the last write, and the last read of each actor.
  var writeStamp: UInt16 = 0
  var writer: UInt8 = 0
  var writeName: UInt16 = 0
  var reads = Clock()
  var readNames = Clock()
}

/// A store that waits in a buffer.
struct HeldStore {
  var address: UInt
  var value: UInt64
  var flags: UInt8
  var kind: PointKind
  var object: Int32
  var name: UInt16
  var clock: Clock
  /// What whoever reads it knows to have happened.
  var released: Clock
}

/// Numbers that follow from a seed (SplitMix64).
struct RandomSource {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word &>> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word &>> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word &>> 31)
  }

  /// A number below `limit`, which is above zero.
  mutating func next(below limit: Int) -> Int {
    Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(limit)).high)
  }
}

/// The objects of the points by address.
struct ObjectTable {
  private(set) var states: UnsafeMutablePointer<ObjectState>
  private var slots: UnsafeMutablePointer<Int32>
  private var mask: Int
  private var count = 0

  init() {
    mask = 1023
    states = .allocate(capacity: 512)
    slots = .allocate(capacity: 1024)
    slots.initialize(repeating: -1, count: 1024)
  }

  func deallocate() {
    states.deallocate()
    slots.deallocate()
  }

  /// The number of the object at an address, ready for the execution `epoch`.
  @inline(__always)
  mutating func find(_ address: UInt, _ epoch: UInt64) -> Int32 {
    var slot = Self.slot(address) & mask
    while true {
      let index = slots[slot]
      if index < 0 { return add(address, epoch, slot) }
      let state = states + Int(index)
      if state.pointee.address == address {
        if state.pointee.epoch != epoch { Self.renew(state, epoch) }
        return index
      }
      slot = (slot &+ 1) & mask
    }
  }

  @inline(never)
  private static func renew(_ state: UnsafeMutablePointer<ObjectState>, _ epoch: UInt64) {
    state.pointee = ObjectState(
      address: state.pointee.address, epoch: epoch, lockMask: state.pointee.lockMask,
      isSharedLock: state.pointee.isSharedLock)
  }

  @inline(__always)
  private static func slot(_ address: UInt) -> Int {
    Int(truncatingIfNeeded: (UInt64(address) &* 0x9e37_79b9_7f4a_7c15) &>> 40)
  }

  @inline(never)
  private mutating func add(_ address: UInt, _ epoch: UInt64, _ slot: Int) -> Int32 {
    let index = Int32(count)
    (states + count).initialize(to: ObjectState(address: address, epoch: epoch))
    slots[slot] = index
    count += 1
    if count * 2 > mask { grow() }
    return index
  }

  private mutating func grow() {
    let capacity = (mask + 1) * 2
    let more = UnsafeMutablePointer<ObjectState>.allocate(capacity: capacity / 2)
    more.moveInitialize(from: states, count: count)
    states.deallocate()
    states = more
    slots.deallocate()
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: -1, count: capacity)
    mask = capacity - 1
    for index in 0..<count {
      var slot = Self.slot(states[index].address) & mask
      while slots[slot] >= 0 { slot = (slot + 1) & mask }
      slots[slot] = Int32(index)
    }
  }
}
