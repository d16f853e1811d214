/// Flaws, and the texts that describe them.
extension Explorer {
  /// Notes a flaw, which ends the execution unless the search continues after findings.
  func note(_ kind: Finding.Kind, _ name: String, _ text: String) {
    let flaw = Flaw(kind: kind, name: name, text: text)
    if settings.stopsAtFinding {
      if execution.flaw == nil { execution.flaw = flaw }
    } else if !execution.notedFlaws.contains(name) {
      execution.notedFlaws.append(name)
      keep(flaw)
    }
  }

  /// Keeps a flaw with the execution so far.
  func keep(_ flaw: Flaw) {
    guard search.isFirst(flaw) else { return }
    search.keep(
      Finding(
        kind: flaw.kind, name: flaw.name, text: flaw.text,
        schedule: Schedule(programHash: programHash, decisions: (0..<execution.depth).map(decision)),
        steps: (0..<execution.depth).map(step), preemptions: execution.preemptions,
        execution: search.number))
  }

  private func decision(_ index: Int) -> Schedule.Decision {
    let chosen = Int(search.branches[index].chosen)
    if search.branches[index].values > 0 { return .choice(chosen) }
    return chosen < actorCount ? .actor(chosen) : .flush(chosen - actorCount)
  }

  /// A step of the execution.
  func step(_ index: Int) -> Finding.Step {
    let event = execution.events[index]
    return Finding.Step(
      actor: execution.actor(of: Int(event.process)), decision: decision(index), name: stepName(event.name),
      kind: "\(event.kind)", address: event.address)
  }

  // MARK: Names

  /// The name of a step or choice; empty for none.
  private func stepName(_ name: UInt16) -> String {
    let place = Int(name) - 1
    if place < 0 { return "" }
    if place < program.stepNames.count { return program.stepNames[place] }
    let choice = place - program.stepNames.count
    return choice < search.choiceNames.count ? search.choiceNames[choice] : ""
  }

  /// The number of a choice among the names of steps and choices.
  func choiceName(_ name: String) -> Int { program.stepNames.count + search.choiceNumber(name) + 1 }

  /// " in " and the name of a step; empty for none.
  func inStep(_ name: UInt16) -> String {
    let step = stepName(name)
    return step.isEmpty ? "" : " in \"\(step)\""
  }

  // MARK: Texts

  /// What the actors that have not ended wait for.
  func blockedActors() -> String {
    (0..<actorCount).filter { execution.alive.has($0) }.map { actor in
      let next = execution.pending[actor]
      let what =
        next.kind == .wait
        ? "tries again" : "waits for 0x\(String(next.address, radix: 16)) (\(next.kind))"
      return "\(program.actors[actor].name)\(inStep(execution.names[actor])) \(what)"
    }.joined(separator: ", ")
  }

  /// Why an execution could not be followed.
  func divergence() -> ExplorationError {
    let place = min(execution.depth, settings.stepLimit)
    if decider.isGuided {
      return ExplorationError("schedule: decision \(place + 1) cannot be followed by this program")
    }
    return ExplorationError(
      "step \(place + 1) is another one than in the execution before, although nothing else was decided: the "
        + "program depends on something that its restore does not put back")
  }

  @inline(never)
  func noteOrder(_ ranks: UInt64) {
    if execution.phase == .draining { return }
    note(
      .lockOrder, "lock order \(ranks >> 8) under \(ranks & 0xff)",
      "\(program.actors[execution.current].name) takes a lock of rank \(ranks >> 8) while it holds one of rank "
        + "\(ranks & 0xff)")
  }

  /// Notes that an access of the current actor races with one of another actor, in a step of the name `name`.
  @inline(never)
  func noteRace(_ address: UInt, _ isWrite: Bool, with other: Int, writes: Bool, _ name: UInt16) {
    let current = execution.current
    let mine = site(current, execution.names[current], isWrite)
    let theirs = site(other, name, writes)
    note(
      .dataRace, "data race: \(min(mine, theirs)), \(max(mine, theirs))",
      "\(mine), \(theirs), both at 0x\(String(address, radix: 16)), and nothing orders the two")
  }

  /// Notes that a write of the current actor races with a read of another actor.
  @inline(never)
  func noteRaceWithRead(_ state: UnsafeMutablePointer<ObjectState>) {
    guard let other = execution.races.unorderedReader(of: state, execution.current) else { return }
    noteRace(state.pointee.address, true, with: other, writes: false, state.pointee.readNames[other])
  }

  private func site(_ actor: Int, _ name: UInt16, _ isWrite: Bool) -> String {
    "\(program.actors[actor].name)\(inStep(name)) \(isWrite ? "writes" : "reads")"
  }
}
