/// One execution, from the restored state to its end.
extension Explorer {
  /// Runs all actors to their ends, or as far as they come.
  func execute() -> Execution.Ending {
    begin()
    for actor in 0..<actorCount where execution.ending == .running && !fibers.hasTrapped {
      execution.current = actor
      fibers.goIn(to: actor)
    }
    execution.phase = .running
    if !fibers.hasTrapped {
      execution.current = Execution.nobody
      runFibers()
    }
    isMuted = true
    let last = execution.current
    execution.current = Execution.nobody
    if fibers.hasTrapped {
      let actor = program.actors[last].name
      note(
        .trap, "trap of \(actor)",
        "\(actor)\(inStep(execution.names[last])) trapped: \(fibers.trapName)")
      execution.ending = .found
    }
    let ending = execution.ending
    if ending == .completed, execution.flaw == nil,
      let found = check(Moment(actor: nil, kind: .begin, address: 0, step: execution.depth))
    {
      note(.violation, found.name, found.text)
    }
    return ending
  }

  /// Lets fibers run until no actor is to run any more.
  private func runFibers() {
    var next = decide()
    // Where states are compared, fibers come back here at each step.
    while next >= 0 {
      fibers.goIn(to: next)
      if !settings.mergesEqualStates || fibers.hasTrapped { break }
      next = decide()
    }
  }

  private func begin() {
    isMuted = true
    program.restore()
    execution.begin(random: decider.random(execution: search.number))
    decider.begin(&execution.random, longest: search.longest)
    fibers.begin()
    isMuted = false
  }

  /// Brings the actors that have not ended to their ends, or prepares new fibers for them.
  func finish() {
    if execution.alive == 0 && execution.buffers.flushable == 0 && !fibers.hasTrapped { return }
    if execution.ending == .redundant || execution.ending == .found, !fibers.hasTrapped {
      execution.phase = .draining
      isMuted = false
      runFibers()
      isMuted = true
    }
    for actor in 0..<actorCount where execution.alive.has(actor) { fibers.prepare(actor) }
    execution.abandon()
  }
}
