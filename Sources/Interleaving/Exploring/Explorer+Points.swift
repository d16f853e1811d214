import CLinux

/// Schedule points: what an actor is about to do, and who goes on.
extension Explorer {
  /// The search that runs on this thread, and its actor.
  static func withCurrent<Result>(_ body: (Explorer) -> Result) -> Result? {
    guard let context = hf_point_context() else { return nil }
    return Unmanaged<Explorer>.fromOpaque(context)._withUnsafeGuaranteedRef(body)
  }

  /// Makes this search that of the thread.
  func install() { hf_set_point_context(Unmanaged.passUnretained(self).toOpaque()) }

  /// A plain access of the current actor.
  @inline(__always)
  func plainPoint(_ address: UInt, isWrite: Bool) {
    if !isMuted && findsRaces && !isDraining { plainAccess(address, isWrite: isWrite) }
  }

  /// The current actor is about to do something; returns true if it has been done here.
  func point(_ byte: UInt8, _ address: UInt, _ word: UnsafeMutablePointer<UInt64>?) -> Bool {
    if isMuted { return false }
    // Nobody but this module announces, and it does so by kinds.
    let kind = unsafeBitCast(byte & PointFlags.kind, to: PointKind.self)
    if kind == .lockOrder {
      noteOrder(word?.pointee ?? 0)
      return true
    }
    let actor = current
    announce(actor, kind, byte, address, word)
    if isStarting {
      goHome(from: actor)
    } else {
      goOn(from: actor)
    }
    // Chosen: what was announced happens now.
    if buffers, let word { return passBuffer(actor, kind, byte, address, word) }
    return kind == .wait
  }

  @inline(never)
  private func noteOrder(_ ranks: UInt64) {
    if isDraining { return }
    note(
      .lockOrder, "lock order \(ranks >> 8) under \(ranks & 0xff)",
      "\(program.actors[current].name) takes a lock of rank \(ranks >> 8) while it holds one of rank "
        + "\(ranks & 0xff)")
  }

  /// Notes what an actor does when it is chosen.
  @inline(__always)
  private func announce(
    _ actor: Int, _ kind: PointKind, _ byte: UInt8, _ address: UInt, _ word: UnsafeMutablePointer<UInt64>?
  ) {
    let next = pending + actor
    next.pointee.kind = kind
    next.pointee.flags = byte
    next.pointee.access = Access.of(kind)
    next.pointee.address = address
    var waits = false
    retrying &= ~only(actor)
    if kind == .wait {
      next.pointee.object = -1
      retrying |= only(actor)
      noteRetry(actor)
      waits = true
    } else {
      next.pointee.object = objects.find(address, epoch)
      switch kind {
      case .acquire, .acquireShared, .awaitClear:
        next.pointee.word = word?.pointee ?? 0
        waits = true
      case .tryAcquire, .compareExchange: next.pointee.word = word?.pointee ?? 0
      default: break
      }
    }
    if buffers {
      if byte & PointFlags.mayBeHeldBack != 0 {
        next.pointee.word = word?.pointee ?? 0
        next.pointee.access = Access.none
      } else if kind != .load && kind != .awaitClear && kind != .wait {
        // A locked operation waits until the buffer is empty.
        waits = true
      }
    }
    if waits { conditional |= only(actor) } else { conditional &= ~only(actor) }
  }

  /// Decides who goes on after the last step, and goes there.
  @inline(__always)
  private func goOn(from actor: Int) {
    if !isDraining { stepEnded() }
    if settings.mergesEqualStates { return goHome(from: actor) }
    let next = decide()
    if next == actor { return }
    if next < 0 {
      goHome(from: actor)
    } else {
      go(from: actor, to: next)
    }
  }

  /// An actor's body has ended.
  func bodyEnded(_ actor: Int) {
    alive &= ~only(actor)
    conditional &= ~only(actor)
    retrying &= ~only(actor)
    retries.progress()
    if isStarting {
      goHome(from: actor)
    } else {
      goOn(from: actor)
    }
  }

  /// Checks the state that the last step left.
  @inline(__always)
  func stepEnded() {
    // What repeats was checked before.
    if depth < prefix || depth == 0 { return }
    runCheck()
  }

  @inline(never)
  private func runCheck() {
    let event = events + (depth - 1)
    isMuted = true
    let process = Int(event.pointee.process)
    let found = check(
      Moment(
        actor: process < actorCount ? process : process - actorCount, kind: event.pointee.kind,
        address: event.pointee.address, step: depth))
    isMuted = false
    if let found { note(.violation, found.name, found.text) }
  }
}
