import CLinux
import Glibc

/// The search: one execution after the other, until nothing is left or a limit is met.
extension Explorer {
  /// Runs the search.
  func run(from checkpoint: Checkpoint? = nil) throws(ExplorationError) -> ExplorationReport {
    try needLimits()
    if let checkpoint { try resume(checkpoint) }
    return try onThisThread { () throws(ExplorationError) in
      try search(canGoOn: checkpoint?.paths.first?.nodes.isEmpty ?? true || prefix > 0)
    }
  }

  private func needLimits() throws(ExplorationError) {
    guard mode == .random || mode == .priorities else { return }
    guard settings.executions < Int.max || settings.time != nil || settings.cancellation != nil else {
      throw ExplorationError("random executions have no end: expected a number of them, or a time")
    }
  }

  /// Runs one worker's part of a search.
  func run(sharing shared: SharedSearch) throws(ExplorationError) -> ExplorationReport {
    try needLimits()
    sharing = shared
    return try onThisThread { () throws(ExplorationError) in try search(canGoOn: !isDepthFirst) }
  }

  private var isDepthFirst: Bool { mode == .depthFirst || mode == .reduced }

  /// Does something while the points of this thread are this search's.
  private func onThisThread(
    _ body: () throws(ExplorationError) -> ExplorationReport
  ) throws(ExplorationError) -> ExplorationReport {
    guard hf_point_context() == nil else {
      throw ExplorationError("a search is under way on this thread, and there can be but one")
    }
    install()
    defer { hf_set_point_context(nil) }
    let caught = hf_catch_traps(
      { context, signal in
        guard let context else { return }
        Unmanaged<Explorer>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.trapped(signal) }
      }, Unmanaged.passUnretained(self).toOpaque())
    guard caught == 0 else {
      throw ExplorationError("signal stack: errno \(-caught), expected memory from the host")
    }
    defer { _ = hf_catch_traps(nil, nil) }
    return try body()
  }

  private func search(canGoOn: Bool) throws(ExplorationError) -> ExplorationReport {
    let clock = ContinuousClock()
    let start = clock.now
    var end: ExplorationEnd?
    isLeft = canGoOn
    // Looking at the clock takes about as long as a step.
    var nextLook = 0
    while end == nil {
      if !isLeft, isDepthFirst, let sharing { isLeft = sharing.feed(self) }
      if !isLeft {
        end = isCut ? .boundReached : .exhausted
      } else if let sharing, sharing.isStopped {
        end = .cancelled
      } else if settings.cancellation?.isCancelled == true {
        end = .cancelled
      } else if let time = settings.time, isTime(&nextLook), clock.now - start >= time {
        end = .time
      } else if !takeExecution() {
        end = .executions
      } else {
        try oneExecution()
        if mode == .guided {
          end = findings.isEmpty ? .replayed : .finding
          isLeft = false
        } else {
          isLeft = advance()
          if let sharing, isLeft, isDepthFirst, sharing.isHungry { sharing.share(self) }
          if settings.stopsAtFinding, !findings.isEmpty { end = .finding }
        }
      }
    }
    if isLeft || end == .finding { sharing?.stop(end) }
    return ExplorationReport(
      counts: counts, end: end ?? .exhausted, findings: findings, occurrences: occurrences,
      elapsed: clock.now - start, stepsTaken: stepsTaken,
      checkpoint: isLeft && sharing == nil ? checkpoint() : nil,
      steps: mode == .guided ? (0..<depth).map(step) : [])
  }

  /// Begins the next execution, if there may be one more.
  private func takeExecution() -> Bool {
    if let sharing {
      guard let next = sharing.takeExecution() else { return false }
      number = next
    } else {
      if counts.executions >= settings.executions { return false }
      number = counts.executions + 1
    }
    if mode == .random || mode == .priorities { drawFromHere() }
    return true
  }

  /// Begins with the random numbers of this execution, whoever runs it.
  private func drawFromHere() {
    var hash = Hash64()
    switch strategy {
    case .random(let seed), .priorities(_, let seed): hash.combine(seed)
    default: break
    }
    hash.combine(UInt64(number))
    random.state = hash.value
    if mode == .priorities, number > 1, longest == nil { longest = sharing?.awaitPace() }
  }

  /// Whether so much was done since the last look at the clock that the next one is due.
  private func isTime(_ nextLook: inout Int) -> Bool {
    let done = stepsTaken + counts.executions
    if done < nextLook { return false }
    nextLook = done + 20_000
    return true
  }

  private func oneExecution() throws(ExplorationError) {
    let result = execute()
    counts.executions += 1
    counts.steps += depth
    stepsTaken += depth
    if depth >= counts.deepest { measure() }
    if longest == nil {
      longest = max(1, depth)
      if mode == .priorities { sharing?.publish(max(1, depth)) }
    }
    switch result {
    case .completed:
      counts.completed += 1
      onTrace?(currentTrace())
    case .redundant: counts.redundant += 1
    case .deadlock: note(.deadlock, "deadlock", "nobody can go on: \(blockedActors())")
    case .livelock:
      note(.livelock, "livelock", "only retries, the same \(settings.retryRounds) times: \(blockedActors())")
    case .endless:
      isCut = true
      note(.endless, "no end", "not at its end after \(stepLimit) steps: \(blockedActors())")
    case .diverged: throw divergence()
    case .found, .running: if hasTrapped { isCut = true }
    }
    if let violation {
      keep(violation)
      // What comes after it was not looked at.
      if result == .found { isCut = true }
    }
    finish()
  }

  /// Notes a flaw: the first ends the execution, unless the search is to go on after findings.
  func note(_ kind: Finding.Kind, _ name: String, _ text: String) {
    if settings.stopsAtFinding {
      if violation == nil { violation = (kind, name, text) }
    } else if !notedHere.contains(name) {
      notedHere.append(name)
      keep((kind, name, text))
    }
  }

  /// Keeps a flaw with the execution so far.
  func keep(_ flaw: (kind: Finding.Kind, name: String, text: String)) {
    occurrences[flaw.name, default: 0] += 1
    if findings.contains(where: { $0.name == flaw.name }) { return }
    findings.append(
      Finding(
        kind: flaw.kind, name: flaw.name, text: flaw.text,
        schedule: Schedule(programHash: hash, decisions: (0..<depth).map(decision)),
        steps: (0..<depth).map(step), preemptions: preemptions,
        execution: number))
  }

  private func decision(_ index: Int) -> Schedule.Decision {
    let chosen = Int(nodes[index].chosen)
    if nodes[index].values > 0 { return .choice(chosen) }
    return chosen < actorCount ? .actor(chosen) : .flush(chosen - actorCount)
  }

  private func step(_ index: Int) -> Finding.Step {
    let process = Int(events[index].process)
    return Finding.Step(
      actor: process < actorCount ? process : process - actorCount, decision: decision(index),
      name: stepName(events[index].name), kind: "\(events[index].kind)", address: events[index].address)
  }

  private func blockedActors() -> String {
    (0..<actorCount).filter { alive.has($0) }.map { actor in
      let next = pending[actor]
      let step = stepName(names[actor])
      let what =
        next.kind == .wait
        ? "tries again" : "waits for 0x\(String(next.address, radix: 16)) (\(next.kind))"
      return "\(program.actors[actor].name)\(step.isEmpty ? "" : " in \"\(step)\"") \(what)"
    }.joined(separator: ", ")
  }

  private func divergence() -> ExplorationError {
    let place = min(depth, stepLimit)
    if mode == .guided {
      return ExplorationError("schedule: decision \(place + 1) cannot be followed by this program")
    }
    return ExplorationError(
      "step \(place + 1) is another one than in the execution before, although nothing else was decided: the "
        + "program depends on something that its restore does not put back")
  }

  /// Goes back to the last decision that has something left; false if there is none.
  private func advance() -> Bool {
    guard isDepthFirst else { return true }
    var place = depth
    while place > sharedPath.count {
      place -= 1
      let node = nodes + place
      if node.pointee.values > 0 {
        if node.pointee.chosen + 1 < node.pointee.values {
          node.pointee.chosen += 1
          return goBack(to: place)
        }
        continue
      }
      node.pointee.done |= only(Int(node.pointee.chosen))
      let left = node.pointee.wanted & ~node.pointee.done & ~node.pointee.sleep
      if left != 0 {
        node.pointee.chosen = UInt8(left.first)
        return goBack(to: place)
      }
    }
    prefix = 0
    guard let sharing, sharing.goOn(self) else { return false }
    return goBack(to: sharedPath.count - 1)
  }

  private func goBack(to place: Int) -> Bool {
    prefix = place + 1
    forget(from: place)
    return true
  }

  /// Keeps the length of this execution, and how many orders its steps could be put in.
  private func measure() {
    var steps = Clock()
    for actor in 0..<actorCount { steps[actor] = stamps[actor] }
    // Most executions have the same steps.
    if depth == counts.deepest, steps == measured { return }
    measured = steps
    // In one order, so that the sum is the same for the same numbers of steps.
    var sum = 0
    var logarithm = 0.0
    for count in (0..<actorCount).map({ Int(stamps[$0]) }).sorted() {
      sum += count
      logarithm -= Self.logarithm(ofFactorial: count)
    }
    logarithm += Self.logarithm(ofFactorial: sum)
    counts.orders = depth > counts.deepest ? logarithm : max(counts.orders, logarithm)
    counts.deepest = depth
  }

  private static func logarithm(ofFactorial number: Int) -> Double {
    var sign: Int32 = 0
    return lgamma_r(Double(number + 1), &sign) / log(10)
  }
}
