/// Actors that found nothing to do but try again.
///
/// Such an actor runs again after another actor has written something that it has read since it last tried: before
/// that, it would find the same. When no other actor can run, the waiting actors try again in turn, since the number
/// of attempts may be limited. Rounds that repeat without end are a livelock.
struct Retries {
  private let actorCount: Int
  private let freeRetries: Int
  /// For each actor the objects that it has read since it last tried again.
  private let watched: UnsafeMutablePointer<[Int32]>
  /// How often each actor has tried again.
  private let counts: UnsafeMutablePointer<Int>

  /// The actors that wait to try again.
  private(set) var waiting: ProcessSet = 0
  /// The actors that have read something which others have written since.
  private(set) var changed: ProcessSet = 0
  private(set) var rounds = RetryRounds()

  /// - Parameter freeRetries: how often an actor may try again without a change.
  init(actors: Int, freeRetries: Int) {
    actorCount = actors
    self.freeRetries = freeRetries
    watched = .allocate(capacity: actors)
    watched.initialize(repeating: [], count: actors)
    counts = .allocate(capacity: actors)
    counts.initialize(repeating: 0, count: actors)
  }

  /// No retries, in the memory of an execution that has ended.
  init(after last: Self) {
    actorCount = last.actorCount
    freeRetries = last.freeRetries
    watched = last.watched
    counts = last.counts
    for actor in 0..<actorCount {
      counts[actor] = 0
      watched[actor].removeAll(keepingCapacity: true)
    }
  }

  func deallocate() {
    watched.deinitialize(count: actorCount)
    watched.deallocate()
    counts.deallocate()
  }

  /// Keeps whether an actor waits to try again.
  @inline(__always)
  mutating func setWaiting(_ actor: Int, _ isWaiting: Bool) {
    waiting &= ~only(actor)
    if isWaiting { waiting |= only(actor) }
  }

  /// Whether an actor that waits may try again now.
  @inline(__always)
  func isReady(_ actor: Int) -> Bool { changed.has(actor) || counts[actor] < freeRetries }

  /// Keeps which actor has read what, and which actors must look again, when a process takes a step.
  @inline(__always)
  mutating func watch(
    _ process: Int, _ access: UInt8, _ next: UnsafeMutablePointer<Pending>,
    _ objects: UnsafeMutablePointer<ObjectState>
  ) {
    let object = Int(next.pointee.object)
    if object < 0 {
      if next.pointee.kind == .wait { tryAgain(process, objects) }
      return
    }
    // No other actor sees a store into the own buffer yet.
    if access == Access.none { return }
    let state = objects + object
    let actor = process < actorCount ? process : process - actorCount
    if process < actorCount, !state.pointee.watchers.has(process) {
      state.pointee.watchers |= only(process)
      watched[process].append(Int32(object))
    }
    if access > Access.read { changed |= state.pointee.watchers & ~only(actor) }
  }

  private mutating func tryAgain(_ actor: Int, _ objects: UnsafeMutablePointer<ObjectState>) {
    rounds.turn = actor
    counts[actor] += 1
    changed &= ~only(actor)
    for object in watched[actor] { objects[Int(object)].watchers &= ~only(actor) }
    watched[actor].removeAll(keepingCapacity: true)
  }

  /// A step begins or an actor ends, so that the rounds so far are no livelock.
  @inline(__always)
  mutating func progress() { rounds.progress() }

  /// A step belongs to the present round.
  @inline(__always)
  mutating func combine(_ process: Int, _ next: UnsafeMutablePointer<Pending>) {
    if rounds.isActive { rounds.combine(process, next.pointee.kind, next.pointee.address) }
  }

  /// An actor waits to try again; returns whether that ends the round, where the actors `enabled` can run.
  mutating func endsRound(_ actor: Int, enabled: ProcessSet) -> Bool {
    rounds.retried(actor, enabled: enabled)
  }

  /// Ends the round; returns how many rounds in succession were equal to one of the few rounds before them.
  mutating func endRound(state: UInt64) -> Int { rounds.end(state: state) }
}

/// Rounds in which every actor that can run has come to try again.
struct RetryRounds {
  /// How many earlier rounds a round is compared with.
  private static let lags = 4

  /// Whether an actor has tried again since the last progress.
  private(set) var isActive = false
  private var hash = Hash64()
  private var took: ProcessSet = 0
  private var latest: SIMD4<UInt64> = .zero
  private var streaks: SIMD4<Int> = .zero
  /// The actor that tried again last.
  var turn = 0

  /// A step begins, or an actor ends.
  mutating func progress() {
    if !isActive { return }
    let turn = turn
    self = RetryRounds()
    self.turn = turn
  }

  /// A step belongs to this round.
  @inline(__always)
  mutating func combine(_ process: Int, _ kind: PointKind, _ address: UInt) {
    hash.combine(UInt64(address) &* 31 &+ UInt64(kind.rawValue) &* 17 &+ UInt64(process))
  }

  /// An actor tries again; returns whether the round ends, where the actors `enabled` can run.
  mutating func retried(_ actor: Int, enabled: ProcessSet) -> Bool {
    isActive = true
    took |= only(actor)
    return enabled & ~took == 0
  }

  /// Ends the round; returns how many rounds in succession were equal to one of the few rounds before them.
  mutating func end(state: UInt64) -> Int {
    hash.combine(state)
    let round = hash.value
    for lag in 0..<Self.lags { streaks[lag] = latest[lag] == round ? streaks[lag] + 1 : 0 }
    latest = SIMD4(round, latest[0], latest[1], latest[2])
    hash = Hash64()
    took = 0
    return streaks.max()
  }
}
