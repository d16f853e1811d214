/// Who goes on: those who can, and the one that the strategy takes.
extension Explorer {
  /// The next actor, after the flushes that come before it; negative if the execution ends here.
  func decide() -> Int {
    if isDraining { return decideDraining() }
    while true {
      if ending != .running { return -1 }
      if violation != nil {
        ending = .found
        return -1
      }
      var enabled = enabledProcesses()
      if enabled == 0 {
        if alive == 0 {
          ending = .completed
          return -1
        }
        let retry = nextRetry()
        if retry < 0 {
          ending = .deadlock
          return -1
        }
        enabled = only(retry)
      }
      if depth >= stepLimit {
        ending = .endless
        return -1
      }
      let chosen: Int
      if depth < prefix {
        chosen = Int(nodes[depth].chosen)
        guard nodes[depth].values == 0, enabled.has(chosen) else { return diverge() }
      } else {
        chosen = choose(among: enabled)
        if chosen < 0 { return -1 }
      }
      guard record(chosen) else { return -1 }
      if chosen >= actorCount {
        flush(chosen - actorCount)
        stepEnded()
        continue
      }
      current = chosen
      previous = chosen
      return chosen
    }
  }

  @inline(never)
  func diverge() -> Int {
    ending = .diverged
    return -1
  }

  /// Who can go on now.
  @inline(__always)
  func enabledProcesses() -> ProcessSet {
    var enabled = (alive & ~conditional) | flushable
    var rest = alive & conditional
    while rest != 0 {
      let actor = rest.first
      rest &= rest &- 1
      if isReady(actor) { enabled |= only(actor) }
    }
    return enabled
  }

  private func isReady(_ actor: Int) -> Bool {
    let next = pending + actor
    switch next.pointee.kind {
    case .wait: return isDraining || changed.has(actor) || retried[actor] < settings.freeRetries
    case .acquire, .acquireShared, .awaitClear:
      if buffers, next.pointee.kind != .awaitClear, flushable.has(actor + actorCount) { return false }
      return isClear(next.pointee.address, next.pointee.word)
    default: return !flushable.has(actor + actorCount)
    }
  }

  /// Whether the bits of `mask` are clear in a word of as many bytes as the mask needs.
  func isClear(_ address: UInt, _ mask: UInt64) -> Bool {
    guard let word = UnsafeRawPointer(bitPattern: address) else { return true }
    let value =
      mask >> 32 == 0 ? UInt64(word.load(as: UInt32.self)) : word.load(as: UInt64.self)
    return value & mask == 0
  }

  /// The process that the strategy takes; negative if the execution is given up.
  private func choose(among enabled: ProcessSet) -> Int {
    let node = nodes + depth
    let continuing = continuing(enabled)
    let interrupts = continuing != Self.nobody
    let first =
      mode == .random || mode == .priorities ? -1 : interrupts ? continuing : ordinary(enabled)
    var chosen = first
    var wanted = enabled
    switch mode {
    case .depthFirst:
      if interrupts, preemptions >= bound {
        wanted = only(continuing)
        if wanted != enabled { isCut = true }
      }
      if settings.mergesEqualStates && !isNewState() || settings.mergesEqualTraces && !isNewTrace() {
        ending = .redundant
        return -1
      }
    case .reduced:
      let awake = enabled & ~childSleep
      if awake == 0 {
        ending = .redundant
        return -1
      }
      if !awake.has(first) { chosen = ordinary(awake) }
      wanted = only(chosen)
    case .random: chosen = nth(random.next(below: enabled.nonzeroBitCount), of: enabled)
    case .priorities: chosen = highest(of: enabled)
    case .guided:
      chosen = guided(enabled, otherwise: first)
      if chosen < 0 { return diverge() }
    }
    node.pointee = Node(
      enabled: enabled, sleep: childSleep, done: 0, wanted: wanted,
      chosen: UInt8(truncatingIfNeeded: chosen), values: 0, previous: UInt8(truncatingIfNeeded: continuing),
      interrupts: interrupts, preemptions: UInt16(truncatingIfNeeded: preemptions))
    return chosen
  }

  /// The one that ran last if it can go on by itself, or its buffer if that is what it waits for; or nobody.
  @inline(__always)
  private func continuing(_ enabled: ProcessSet) -> Int {
    if previous == Self.nobody || pending[previous].kind == .wait { return Self.nobody }
    if enabled.has(previous) { return previous }
    let buffer = previous + actorCount
    return buffers && alive.has(previous) && flushable.has(buffer) ? buffer : Self.nobody
  }

  /// Who goes on where nothing speaks for another: anyone before those that try again.
  private func ordinary(_ set: ProcessSet) -> Int {
    let others = set & ~retrying
    if others != 0 { return others.first }
    let later = set & ~(only(retries.turn) &* 2 &- 1)
    return later != 0 ? later.first : set.first
  }

  private func nth(_ place: Int, of set: ProcessSet) -> Int {
    var rest = set
    for _ in 0..<place { rest &= rest &- 1 }
    return rest.first
  }

  /// The process of the highest rank, after one has lost its rank if this is a step for it.
  private func highest(of enabled: ProcessSet) -> Int {
    func best() -> Int {
      var best = enabled.first
      var rest = enabled
      while rest != 0 {
        if ranks[rest.first] > ranks[best] { best = rest.first }
        rest &= rest &- 1
      }
      return best
    }
    let chosen = best()
    guard let place = changePoints.firstIndex(of: depth) else { return chosen }
    ranks[chosen] = -1 - place
    return best()
  }

  /// What the recorded schedule says; negative if it cannot be followed.
  private func guided(_ enabled: ProcessSet, otherwise: Int) -> Int {
    while guidePosition < guide.count {
      let chosen =
        switch guide[guidePosition] {
        case .actor(let actor): actor
        case .flush(let actor): actor + actorCount
        case .choice: -1
        }
      guidePosition += 1
      if chosen >= 0, chosen < ExploredProgram.maximumActors, enabled.has(chosen) { return chosen }
      if !isLenient { return -1 }
    }
    return otherwise
  }

  /// Brings actors to their ends, without keeping anything of it.
  private func decideDraining() -> Int {
    while true {
      let enabled = enabledProcesses()
      drained += 1
      if alive == 0 && enabled == 0 || drained > 100_000 { return -1 }
      var chosen = enabled == 0 ? nextRetry() : enabled.first
      // In turn, so that actors that retry do not keep the others from going on.
      let later = enabled & ~(only(drained % ExploredProgram.maximumActors) &- 1)
      if later != 0 { chosen = later.first }
      if chosen < 0 { return -1 }
      if chosen >= actorCount {
        flush(chosen - actorCount)
        continue
      }
      current = chosen
      return chosen
    }
  }
}
