/// The search: one execution after the other, until nothing is left or a limit is reached.
extension Explorer {
  /// Runs the search.
  func run(from checkpoint: Checkpoint? = nil) throws(ExplorationError) -> ExplorationReport {
    try checkEnd()
    if let checkpoint { try resume(checkpoint) }
    search.isLeft = checkpoint?.paths.first?.branches.isEmpty ?? true || search.prefix > 0
    return try onThisThread { () throws(ExplorationError) in try runExecutions() }
  }

  /// Runs one worker's part of a search.
  func run(sharing shared: SharedSearch) throws(ExplorationError) -> ExplorationReport {
    try checkEnd()
    search.sharing = shared
    search.isLeft = !decider.isDepthFirst
    return try onThisThread { () throws(ExplorationError) in try runExecutions() }
  }

  /// Checks that a search by random executions has an end.
  private func checkEnd() throws(ExplorationError) {
    guard decider.isEndless else { return }
    guard settings.executions < Int.max || settings.time != nil || settings.cancellation != nil else {
      throw ExplorationError("random executions have no end: expected a number of them, or a time")
    }
  }

  private func runExecutions() throws(ExplorationError) -> ExplorationReport {
    let clock = ContinuousClock()
    let start = clock.now
    let sharing = search.sharing
    var end: ExplorationEnd?
    // Reading the clock takes about as long as a step.
    var nextLook = 0
    while end == nil {
      if !search.isLeft, decider.isDepthFirst, let sharing { search.isLeft = sharing.feed(&search) }
      if !search.isLeft {
        end = search.isCut ? .boundReached : .exhausted
      } else if let sharing, sharing.isStopped {
        end = .cancelled
      } else if settings.cancellation?.isCancelled == true {
        end = .cancelled
      } else if let time = settings.time, isTime(&nextLook), clock.now - start >= time {
        end = .time
      } else if !search.takeExecution(limit: settings.executions) {
        end = .executions
      } else {
        try oneExecution()
        end = endAfterExecution()
      }
    }
    if search.isLeft || end == .finding { sharing?.stop(end) }
    return ExplorationReport(
      counts: search.counts, end: end ?? .exhausted, findings: search.findings,
      occurrences: search.occurrences, elapsed: clock.now - start, stepsTaken: search.stepsTaken,
      checkpoint: search.isLeft && sharing == nil ? checkpoint() : nil,
      steps: decider.isGuided ? (0..<execution.depth).map(step) : [])
  }

  /// Whether so much was done since the last look at the clock that the next look is due.
  private func isTime(_ nextLook: inout Int) -> Bool {
    let done = search.stepsTaken + search.counts.executions
    if done < nextLook { return false }
    nextLook = done + 20_000
    return true
  }

  private func oneExecution() throws(ExplorationError) {
    if decider.needsLength, search.number > 1, search.longest == nil {
      search.longest = search.sharing?.awaitPace()
    }
    let ending = execute()
    search.count(steps: execution.depth)
    search.measure(
      execution.depth, steps: UnsafeBufferPointer(start: execution.races.stamps, count: actorCount))
    if search.longest == nil {
      search.longest = max(1, execution.depth)
      if decider.needsLength { search.sharing?.publish(max(1, execution.depth)) }
    }
    switch ending {
    case .completed:
      search.counts.completed += 1
      onTrace?(execution.trace)
    case .redundant: search.counts.redundant += 1
    case .deadlock: note(.deadlock, "deadlock", "no actor can continue: \(blockedActors())")
    case .livelock:
      note(.livelock, "livelock", "only retries, the same \(settings.retryRounds) times: \(blockedActors())")
    case .endless:
      search.isCut = true
      note(.endless, "no end", "not at its end after \(settings.stepLimit) steps: \(blockedActors())")
    case .diverged: throw divergence()
    case .found, .running: if fibers.hasTrapped { search.isCut = true }
    }
    if let flaw = execution.flaw {
      keep(flaw)
      // What comes after the flaw was not explored.
      if ending == .found { search.isCut = true }
    }
    finish()
  }

  /// Goes on to the next execution; returns why there is none.
  private func endAfterExecution() -> ExplorationEnd? {
    if decider.isGuided {
      search.isLeft = false
      return search.findings.isEmpty ? .replayed : .finding
    }
    if decider.isDepthFirst {
      search.isLeft = search.advance(from: execution.depth)
      if search.isLeft, let sharing = search.sharing, sharing.isHungry { sharing.share(&search) }
    }
    return settings.stopsAtFinding && !search.findings.isEmpty ? .finding : nil
  }
}
