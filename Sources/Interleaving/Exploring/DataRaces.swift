/// Order between actors as the memory model has it: what a release passes on to an acquire, and nothing else.
struct DataRaces {
  /// Whether data races are looked for.
  let isOn: Bool
  private let actorCount: Int
  private let synchronised: UnsafeMutablePointer<Clock>
  /// The number of steps of each actor.
  ///
  /// What an actor knows of itself is kept here alone: writing one lane of a clock in memory would delay the next
  /// read of the whole clock.
  let stamps: UnsafeMutablePointer<UInt16>
  /// For each process the clock that is all ones for it, and zero for all others.
  private let ownLanes: UnsafeMutablePointer<Clock>

  init(actors: Int, isOn: Bool) {
    self.isOn = isOn
    actorCount = actors
    synchronised = .allocate(capacity: actors)
    synchronised.initialize(repeating: Clock(), count: actors)
    stamps = .allocate(capacity: actors)
    stamps.initialize(repeating: 0, count: actors)
    ownLanes = .allocate(capacity: actors)
    for actor in 0..<actors {
      var lanes = Clock()
      lanes[actor] = .max
      (ownLanes + actor).initialize(to: lanes)
    }
  }

  /// No order between the actors, in the memory of an execution that has ended.
  init(after last: Self) {
    self = last
    for actor in 0..<actorCount {
      synchronised[actor] = Clock()
      stamps[actor] = 0
    }
  }

  func deallocate() {
    synchronised.deallocate()
    stamps.deallocate()
    ownLanes.deallocate()
  }

  /// Passes on what happened before, as a step of an actor does.
  ///
  /// - Parameter isHeldBack: whether the step is a store into the actor's buffer.
  mutating func synchronise(
    _ actor: Int, _ next: UnsafeMutablePointer<Pending>, _ objects: UnsafeMutablePointer<ObjectState>,
    isHeldBack: Bool
  ) {
    stamps[actor] &+= 1
    let object = Int(next.pointee.object)
    if object < 0 || isHeldBack { return }
    let state = objects + object
    let isRelaxed = next.pointee.flags & PointFlags.relaxed != 0
    switch next.pointee.kind {
    case .load:
      if !isRelaxed { synchronised[actor] = synchronised[actor].joined(state.pointee.released) }
    case .acquire, .acquireShared, .awaitClear:
      synchronised[actor] = synchronised[actor].joined(state.pointee.released)
    case .store: state.pointee.released = isRelaxed ? Clock() : passedOn(actor)
    case .release, .releaseShared:
      state.pointee.released = state.pointee.released.joined(passedOn(actor))
    default:
      if isRelaxed { return }
      synchronised[actor] = synchronised[actor].joined(state.pointee.released)
      state.pointee.released = passedOn(actor)
    }
  }

  /// What a reader of a value that an actor releases learns: the actor's own steps, and all that it knows of.
  @inline(__always)
  func passedOn(_ actor: Int) -> Clock {
    let own = ownLanes[actor]
    return synchronised[actor] & ~own | Clock(repeating: stamps[actor]) & own
  }

  // MARK: Plain accesses

  /// Whether the last write of a word, by another actor, is not ordered before what an actor does now.
  @inline(__always)
  func isUnordered(after state: UnsafeMutablePointer<ObjectState>, _ actor: Int) -> Bool {
    let writer = Int(state.pointee.writer)
    return writer != actor && state.pointee.writeStamp > lane(synchronised + actor, writer).pointee
  }

  /// Whether a read of a word, by another actor, is not ordered before what an actor does now.
  @inline(__always)
  func isUnordered(afterReadsOf state: UnsafeMutablePointer<ObjectState>, _ actor: Int) -> Bool {
    state.pointee.reads.exceeds(synchronised[actor] | ownLanes[actor])
  }

  /// The first actor whose read of a word is not ordered before what an actor does now.
  func unorderedReader(of state: UnsafeMutablePointer<ObjectState>, _ actor: Int) -> Int? {
    (0..<actorCount).first { $0 != actor && state.pointee.reads[$0] > synchronised[actor][$0] }
  }

  /// Keeps a plain access of an actor in a step of the name `name`.
  @inline(__always)
  func keepAccess(_ state: UnsafeMutablePointer<ObjectState>, _ actor: Int, isWrite: Bool, _ name: UInt16) {
    let stamp = stamps[actor] &+ 1
    if isWrite {
      state.pointee.writeStamp = stamp
      state.pointee.writer = UInt8(truncatingIfNeeded: actor)
      state.pointee.writeName = name
    } else {
      withUnsafeMutablePointer(to: &state.pointee.reads) { lane($0, actor).pointee = stamp }
      withUnsafeMutablePointer(to: &state.pointee.readNames) { lane($0, actor).pointee = name }
    }
  }

  /// One component of a clock in memory.
  @inline(__always)
  private func lane(_ clock: UnsafeMutablePointer<Clock>, _ process: Int) -> UnsafeMutablePointer<UInt16> {
    UnsafeMutableRawPointer(clock).assumingMemoryBound(to: UInt16.self) + process
  }
}
