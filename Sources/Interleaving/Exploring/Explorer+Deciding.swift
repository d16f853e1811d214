/// Which process runs next: one of those that can, as the strategy has it.
extension Explorer {
  /// The next actor, after the flushes that come before its step; negative if the execution ends here.
  func decide() -> Int {
    if execution.phase == .draining { return decideDraining() }
    while true {
      if execution.ending != .running { return -1 }
      if execution.flaw != nil { return end(.found) }
      var enabled = execution.enabledProcesses()
      if enabled == 0 {
        if execution.alive == 0 { return end(.completed) }
        let retry = nextRetry()
        if retry < 0 { return end(.deadlock) }
        enabled = only(retry)
      }
      let depth = execution.depth
      if depth >= settings.stepLimit { return end(.endless) }
      let chosen: Int
      if depth < search.prefix {
        chosen = Int(search.branches[depth].chosen)
        guard search.branches[depth].values == 0, enabled.has(chosen) else { return diverge(-1) }
      } else {
        chosen = choose(among: enabled)
        if chosen < 0 { return -1 }
      }
      guard record(chosen) else { return -1 }
      if chosen >= actorCount {
        execution.flush(chosen)
        stepEnded()
        continue
      }
      execution.current = chosen
      execution.previous = chosen
      return chosen
    }
  }

  /// Ends the execution.
  @inline(__always)
  private func end(_ ending: Execution.Ending) -> Int {
    execution.ending = ending
    return -1
  }

  /// Ends the execution, since it cannot be repeated or follow the schedule; returns `result`.
  @inline(never)
  func diverge(_ result: Int) -> Int {
    execution.ending = .diverged
    return result
  }

  /// The process that the strategy takes; negative if the execution is given up.
  private func choose(among enabled: ProcessSet) -> Int {
    let continuing = execution.continuing(enabled)
    let interrupts = continuing != Execution.nobody
    let chosen: Int
    var wanted = enabled
    switch decider {
    case .depthFirst(let bound):
      chosen = interrupts ? continuing : execution.ordinary(enabled)
      if interrupts, execution.preemptions >= bound {
        wanted = only(continuing)
        if wanted != enabled { search.isCut = true }
      }
      if settings.mergesEqualStates && !isNewState() || settings.mergesEqualTraces && !isNewTrace() {
        return end(.redundant)
      }
    case .reduced:
      let awake = enabled & ~execution.childSleep
      if awake == 0 { return end(.redundant) }
      let first = interrupts ? continuing : execution.ordinary(enabled)
      chosen = awake.has(first) ? first : execution.ordinary(awake)
      wanted = only(chosen)
    case .random: chosen = Self.nth(execution.random.next(below: enabled.nonzeroBitCount), of: enabled)
    case .priorities(let priorities, _): chosen = priorities.highest(of: enabled, step: execution.depth)
    case .guided(let guide):
      chosen = guide.process(
        enabled, actors: actorCount, otherwise: interrupts ? continuing : execution.ordinary(enabled))
      if chosen < 0 { return diverge(-1) }
    }
    search.branches[execution.depth] = Branch(
      enabled: enabled, sleep: execution.childSleep, done: 0, wanted: wanted,
      chosen: UInt8(truncatingIfNeeded: chosen), values: 0, previous: UInt8(truncatingIfNeeded: continuing),
      interrupts: interrupts, preemptions: UInt16(truncatingIfNeeded: execution.preemptions))
    return chosen
  }

  /// The actor whose turn it is to try again although nothing has changed; negative if no actor waits for that.
  private func nextRetry() -> Int {
    for offset in 1...actorCount {
      let actor = (execution.retries.rounds.turn + offset) % actorCount
      if execution.alive.has(actor), execution.pending[actor].kind == .wait {
        return actor
      }
    }
    return -1
  }

  private static func nth(_ place: Int, of set: ProcessSet) -> Int {
    var rest = set
    for _ in 0..<place { rest &= rest &- 1 }
    return rest.first
  }

  /// Brings actors to their ends, and keeps nothing of it.
  private func decideDraining() -> Int {
    while true {
      let enabled = execution.enabledProcesses()
      execution.drained += 1
      if execution.alive == 0 && enabled == 0 || execution.drained > 100_000 { return -1 }
      var chosen = enabled == 0 ? nextRetry() : enabled.first
      // In turn, so that actors that retry do not keep the others from running.
      let later = enabled & ~(only(execution.drained % ExploredProgram.maximumActors) &- 1)
      if later != 0 { chosen = later.first }
      if chosen < 0 { return -1 }
      if chosen >= actorCount {
        execution.flush(chosen)
        continue
      }
      execution.current = chosen
      return chosen
    }
  }

  // MARK: Merging

  /// Whether the state was not met before with as many interruptions left.
  ///
  /// A state is what the program's hash covers, the used part of every actor's stack, and what each actor waits for.
  /// All fibers are parked while it is taken, so that their registers are on their stacks.
  private func isNewState() -> Bool {
    guard let stateHash = program.stateHash else { return true }
    var hash = Hash64()
    hash.combine(muted { stateHash() })
    for actor in 0..<actorCount where execution.alive.has(actor) {
      guard let stack = fibers.liveStack(of: actor) else { continue }
      hash.combine(UInt64(actor))
      hash.combine(memory: stack)
      hash.combine(execution.retries.changed.has(actor) ? 1 : 0)
    }
    execution.buffers.combine(into: &hash)
    if decider.isBounded { hash.combine(UInt64(execution.previous)) }
    return isOpen(search.seen.keepState(hash.value, preemptions: execution.preemptions))
  }

  /// Whether the steps so far were not met before with as many interruptions left, in this order or in one that
  /// differs only in the order of independent steps.
  ///
  /// The same dependent steps in the same order leave the same state. Only which actors may
  /// try again, and which ran last, come from the order of the others.
  private func isNewTrace() -> Bool {
    var hash = Hash64()
    hash.combine(
      search.seen.traceHash(execution.events, execution.depth, limit: settings.stepLimit))
    if decider.isBounded { hash.combine(UInt64(execution.previous)) }
    if execution.retries.waiting != 0 {
      hash.combine(UInt64(execution.retries.changed))
      hash.combine(UInt64(execution.retries.rounds.turn))
    }
    return isOpen(search.seen.keepTrace(hash.value, preemptions: execution.preemptions))
  }

  private func isOpen(_ seen: (isOpen: Bool, isNew: Bool)) -> Bool {
    if seen.isNew { search.counts.states += 1 }
    return seen.isOpen
  }
}
