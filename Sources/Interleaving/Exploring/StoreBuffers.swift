/// A store that waits in a buffer.
struct HeldStore {
  var address: UInt
  var value: UInt64
  var flags: UInt8
  var kind: PointKind
  var object: Int32
  var name: UInt16
  var clock: Clock
  /// What a reader of the stored value knows to have happened.
  var released: Clock

  /// Writes the value to memory.
  func write() {
    guard let memory = UnsafeMutableRawPointer(bitPattern: address) else { return }
    if flags & PointFlags.eightBytes != 0 {
      memory.storeBytes(of: value, as: UInt64.self)
    } else {
      memory.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
    }
  }
}

/// Store buffers, as x86 has them: stores of an actor reach memory later, in order; it sees its own stores at once.
///
/// A locked operation waits until the buffer is empty. Plain stores go to memory directly: in a program without
/// data races, no actor looks at them before a later store of the same actor has arrived. A load of what the own
/// buffer holds counts as a read of memory: it is ordered against the flush, after which it may find another value.
struct StoreBuffers {
  /// Whether stores are held back at all.
  let isOn: Bool
  private let actorCount: Int
  private let held: UnsafeMutablePointer<[HeldStore]>
  /// The processes of the buffers that are not empty.
  private(set) var flushable: ProcessSet = 0

  init(actors: Int, isOn: Bool) {
    self.isOn = isOn
    actorCount = actors
    held = .allocate(capacity: actors)
    held.initialize(repeating: [], count: actors)
  }

  /// Empty buffers, in the memory of an execution that has ended.
  init(after last: Self) {
    isOn = last.isOn
    actorCount = last.actorCount
    held = last.held
    if isOn {
      for actor in 0..<actorCount { held[actor].removeAll(keepingCapacity: true) }
    }
  }

  func deallocate() {
    held.deinitialize(count: actorCount)
    held.deallocate()
  }

  /// Whether the buffer of an actor holds a store.
  @inline(__always)
  func isHolding(_ actor: Int) -> Bool { flushable.has(actor + actorCount) }

  /// The oldest store of an actor's buffer.
  func oldest(of actor: Int) -> HeldStore? { held[actor].first }

  /// What an actor's buffer holds for an address, if anything.
  func value(_ actor: Int, _ address: UInt) -> UInt64? {
    held[actor].last { $0.address == address }?.value
  }

  /// Puts a store into an actor's buffer.
  mutating func hold(_ store: HeldStore, of actor: Int, _ pending: UnsafeMutablePointer<Pending>) {
    held[actor].append(store)
    offerFlush(actor, pending)
  }

  /// Writes the oldest store of an actor's buffer to memory, and returns it.
  mutating func flush(_ actor: Int, _ pending: UnsafeMutablePointer<Pending>) -> HeldStore {
    let store = held[actor].removeFirst()
    store.write()
    offerFlush(actor, pending)
    return store
  }

  /// Makes the flush of the oldest store of an actor's buffer the next step of the buffer.
  private mutating func offerFlush(_ actor: Int, _ pending: UnsafeMutablePointer<Pending>) {
    let process = actor + actorCount
    guard let oldest = held[actor].first else {
      flushable &= ~only(process)
      return
    }
    flushable |= only(process)
    pending[process] = Pending(
      kind: oldest.kind, flags: oldest.flags, access: Access.write, object: oldest.object,
      address: oldest.address, word: oldest.value)
  }

  /// Adds what the buffers hold to the hash of a state.
  func combine(into hash: inout Hash64) {
    for actor in 0..<actorCount {
      for store in held[actor] {
        hash.combine(UInt64(store.address))
        hash.combine(store.value)
      }
    }
  }
}
