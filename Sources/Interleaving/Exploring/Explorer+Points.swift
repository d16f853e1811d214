/// Schedule points: what an actor is about to do, and the switch to the actor that runs next.
extension Explorer {
  /// A plain access of the current actor.
  @inline(__always)
  func plainPoint(_ address: UInt, isWrite: Bool) {
    if isMuted || !execution.races.isOn || execution.phase == .draining { return }
    let actor = execution.current
    let object = Int(execution.objects.find(address))
    let state = execution.objects.states + object
    if execution.races.isUnordered(after: state, actor) {
      noteRace(address, isWrite, with: Int(state.pointee.writer), writes: true, state.pointee.writeName)
    }
    if isWrite, execution.races.isUnordered(afterReadsOf: state, actor) { noteRaceWithRead(state) }
    execution.races.keepAccess(state, actor, isWrite: isWrite, execution.names[actor])
  }

  /// The current actor is about to do something; returns true if it has been done here.
  func point(_ byte: UInt8, _ address: UInt, _ word: UnsafeMutablePointer<UInt64>?) -> Bool {
    if isMuted { return false }
    // The byte comes from this module, which makes it of a kind.
    let kind = unsafeBitCast(byte & PointFlags.kind, to: PointKind.self)
    if kind == .lockOrder {
      noteOrder(word?.pointee ?? 0)
      return true
    }
    let actor = execution.current
    execution.announce(actor, kind, byte, address, word)
    if kind == .wait { noteRetry(actor) }
    switchActors(from: actor)
    // The actor is chosen: what was announced happens now.
    if execution.buffers.isOn, let word { return execution.passBuffer(actor, word) }
    return kind == .wait
  }

  /// What a fiber does: its actor's body, once per execution.
  func runForever(_ actor: Int) {
    while true {
      do {
        try program.actors[actor].body()
      } catch {
        if execution.phase != .draining {
          note(.thrown, "error of \(program.actors[actor].name)", "\(program.actors[actor].name): \(error)")
        }
      }
      bodyEnded(actor)
    }
  }

  /// Ends an actor, and waits for the next execution.
  ///
  /// Where states are compared, the live stacks are part of them. This function leaves nothing of the former
  /// execution in the frame of its caller, which stays on the stack.
  @inline(never)
  private func bodyEnded(_ actor: Int) {
    execution.actorEnded(actor)
    switchActors(from: actor)
  }

  /// Called in place of an actor's next instruction, when the one before has trapped.
  func trapped(_ signal: Int32) {
    // Outside the actors the trap ends the process.
    if execution.current == Execution.nobody { return }
    fibers.noteTrap(signal)
    fibers.goHome(from: execution.current)
  }

  /// Ends the step of an actor, decides which actor runs next, and switches to its fiber.
  @inline(__always)
  private func switchActors(from actor: Int) {
    if execution.phase == .starting { return fibers.goHome(from: actor) }
    if execution.phase != .draining { stepEnded() }
    // Where states are compared, all fibers must be parked while the next step is decided.
    if settings.mergesEqualStates { return fibers.goHome(from: actor) }
    let next = decide()
    if next == actor { return }
    if next < 0 {
      fibers.goHome(from: actor)
    } else {
      fibers.go(from: actor, to: next)
    }
  }

  /// Checks the state that the last step left.
  @inline(__always)
  func stepEnded() {
    // A step that is repeated was checked before.
    if execution.depth < search.prefix || execution.depth == 0 { return }
    runCheck()
  }

  @inline(never)
  private func runCheck() {
    let event = execution.events + (execution.depth - 1)
    isMuted = true
    let found = check(
      Moment(
        actor: execution.actor(of: Int(event.pointee.process)), kind: event.pointee.kind,
        address: event.pointee.address, step: execution.depth))
    isMuted = false
    if let found { note(.violation, found.name, found.text) }
  }

  /// The actor waits to try again, which may end a round of retries.
  private func noteRetry(_ actor: Int) {
    if execution.phase == .draining { return }
    let actors = ProcessSet.max >> ProcessSet(ExploredProgram.maximumActors - actorCount)
    let enabled = execution.enabledProcesses() & actors
    guard execution.retries.endsRound(actor, enabled: enabled) else { return }
    let state = muted { program.stateHash?() ?? 0 }
    if execution.retries.endRound(state: state) >= settings.retryRounds { execution.ending = .livelock }
  }

  // MARK: What the program says of itself

  /// The current actor begins a step of the program.
  func beginStep(_ name: Int) {
    if isMuted || execution.current == Execution.nobody { return }
    execution.names[execution.current] = UInt16(truncatingIfNeeded: name + 1)
    execution.retries.progress()
  }

  /// The answer of the world at a point that the current actor has reached.
  func choose(_ name: String, among count: Int) -> Int {
    guard !isMuted, execution.phase != .draining, execution.current != Execution.nobody,
      execution.ending == .running, (2...255).contains(count), execution.choices < settings.choiceBudget,
      execution.depth < settings.stepLimit
    else { return 0 }
    let index = execution.depth
    let branch = search.branches + index
    if index < search.prefix {
      guard branch.pointee.values == count else { return diverge(0) }
    } else {
      guard let value = decider.value(below: count, &execution.random) else { return diverge(0) }
      branch.pointee = Branch(
        enabled: 0, sleep: execution.childSleep, done: 0, wanted: 0, chosen: UInt8(value),
        values: UInt8(count), preemptions: UInt16(truncatingIfNeeded: execution.preemptions))
    }
    if reduces, index + 1 >= search.prefix { execution.childSleep = branch.pointee.sleep }
    let value = Int(branch.pointee.chosen)
    execution.keepChoice(value, name: choiceName(name), isOrdered: tracksOrder)
    return value
  }
}
