/// What is known of an address in the current execution.
struct ObjectState {
  var address: UInt = 0
  /// The execution that the other properties belong to.
  var epoch: UInt64 = 0
  /// The last event on the object.
  var head: Int32 = -1
  /// The bits that say that the lock here is held; 0 if the object is not a lock.
  var lockMask: UInt64 = 0
  var isSharedLock = false
  /// The actors that have read the object since they last tried again.
  var watchers: ProcessSet = 0
  /// What a process that reads the value knows to have happened.
  var released = Clock()
  /// Plain accesses: the last write, and the last read of each actor.
  var writeStamp: UInt16 = 0
  var writer: UInt8 = 0
  var writeName: UInt16 = 0
  var reads = Clock()
  var readNames = Clock()
}

/// The objects of the schedule points by address: a hash table with open addressing.
///
/// Objects and their numbers stay from one execution to the next. Their states are renewed when they are found for
/// the first time in an execution.
struct ObjectTable {
  private(set) var states: UnsafeMutablePointer<ObjectState>
  private var slots: UnsafeMutablePointer<Int32>
  private var mask: Int
  private var count = 0
  /// The number of the current execution.
  private var epoch: UInt64 = 0

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

  /// Begins the next execution: what is known of the objects is out of date.
  mutating func begin() { epoch &+= 1 }

  /// The number of the object at an address, with its state of the current execution.
  @inline(__always)
  mutating func find(_ address: UInt) -> Int32 {
    var slot = Self.slot(address) & mask
    while true {
      let index = slots[slot]
      if index < 0 { return add(address, slot) }
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
  private mutating func add(_ address: UInt, _ slot: Int) -> Int32 {
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
