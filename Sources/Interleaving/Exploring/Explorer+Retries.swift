/// Rounds in which every actor that can go on has come to try again.
struct RetryRounds {
  /// Rounds that are compared with the ones before.
  private static let lags = 4

  /// Whether anyone has retried since the last progress.
  private(set) var isActive = false
  private var hash = Hash64()
  private var took: ProcessSet = 0
  private var latest: SIMD4<UInt64> = .zero
  private var streaks: SIMD4<Int> = .zero
  /// Who was let go on last although nothing had changed.
  var turn = 0

  /// Someone has got somewhere: a step begins, an actor ends.
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

  /// An actor tries again; returns whether the round is at its end, given who else can go on.
  mutating func retried(_ actor: Int, enabled: ProcessSet) -> Bool {
    isActive = true
    took |= only(actor)
    return enabled & ~took == 0
  }

  /// Ends the round; returns how many rounds in succession were as one of the last few before them.
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

/// Actors that have found nothing to do but try again.
///
/// They go on when another actor has written something that they have read since they last tried: trying again
/// before that would find the same. When nobody else can go on they do so in turn, since what they try may be
/// limited; rounds that repeat without end are a livelock.
extension Explorer {
  /// The actor whose turn it is to try again although nothing has changed; negative if nobody waits for that.
  func nextRetry() -> Int {
    for offset in 1...actorCount {
      let actor = (retries.turn + offset) % actorCount
      if alive.has(actor), pending[actor].kind == .wait {
        return actor
      }
    }
    return -1
  }

  /// Keeps in mind who has read what, and who has to look again.
  @inline(__always)
  func watch(_ process: Int, _ access: UInt8) {
    let object = Int(pending[process].object)
    if object < 0 {
      if pending[process].kind == .wait { tryAgain(process) }
      return
    }
    // A store into the own buffer is nothing to anyone yet.
    if access == Access.none { return }
    let state = objects.states + object
    let actor = process < actorCount ? process : process - actorCount
    if process < actorCount, !state.pointee.watchers.has(process) {
      state.pointee.watchers |= only(process)
      watched[process].append(Int32(object))
    }
    if access > Access.read { changed |= state.pointee.watchers & ~only(actor) }
  }

  private func tryAgain(_ actor: Int) {
    retries.turn = actor
    retried[actor] += 1
    changed &= ~only(actor)
    for object in watched[actor] { objects.states[Int(object)].watchers &= ~only(actor) }
    watched[actor].removeAll(keepingCapacity: true)
  }

  /// The actor announces that it tries again.
  func noteRetry(_ actor: Int) {
    if isDraining { return }
    conditional |= only(actor)
    guard retries.retried(actor, enabled: enabledProcesses() & actorSet) else { return }
    var state: UInt64 = 0
    if let stateHash = program.stateHash {
      isMuted = true
      state = stateHash()
      isMuted = false
    }
    if retries.end(state: state) >= settings.retryRounds { ending = .livelock }
  }
}
