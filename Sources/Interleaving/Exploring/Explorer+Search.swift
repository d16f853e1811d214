#if EXPLORER
import CLinux

/// The search: one execution after the other, until nothing is left or a limit is met.
extension Explorer {
  /// Runs the search.
  func run(from checkpoint: Checkpoint? = nil) throws(ExplorationError) -> ExplorationReport {
    if mode == .random || mode == .priorities {
      guard settings.executions < Int.max || settings.time != nil || settings.cancellation != nil else {
        throw ExplorationError("random executions have no end: expected a number of them, or a time")
      }
    }
    if let checkpoint { try resume(checkpoint) }
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
    return try search(canGoOn: checkpoint?.nodes.isEmpty ?? true || prefix > 0)
  }

  private func search(canGoOn: Bool) throws(ExplorationError) -> ExplorationReport {
    let clock = ContinuousClock()
    let start = clock.now
    var end: ExplorationEnd?
    var isLeft = canGoOn
    // Looking at the clock takes about as long as a step.
    var nextLook = 0
    while end == nil {
      if !isLeft {
        end = isCut ? .boundReached : .exhausted
      } else if counts.executions >= settings.executions {
        end = .executions
      } else if settings.cancellation?.isCancelled == true {
        end = .cancelled
      } else if let time = settings.time, isTime(&nextLook), clock.now - start >= time {
        end = .time
      } else {
        try oneExecution()
        if mode == .guided {
          end = findings.isEmpty ? .replayed : .finding
          isLeft = false
        } else {
          isLeft = advance()
          if settings.stopsAtFinding, !findings.isEmpty { end = .finding }
        }
      }
    }
    return ExplorationReport(
      counts: counts, end: end ?? .exhausted, findings: findings, occurrences: occurrences,
      elapsed: clock.now - start, stepsTaken: stepsTaken, checkpoint: isLeft ? checkpoint() : nil)
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
    counts.deepest = max(counts.deepest, depth)
    longest = max(longest, depth)
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
    case .found, .running: break
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
        execution: counts.executions + (ending == .running ? 1 : 0)))
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
    guard mode == .depthFirst || mode == .reduced else { return true }
    var place = depth
    while place > 0 {
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
    return false
  }

  private func goBack(to place: Int) -> Bool {
    prefix = place + 1
    known = place
    return true
  }
}
#endif
