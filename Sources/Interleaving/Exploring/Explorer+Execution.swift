import CLinux

/// One execution, from the restored state to its end.
extension Explorer {
  /// Runs all actors to their ends, or as far as they come.
  func execute() -> Ending {
    begin()
    for actor in 0..<actorCount where ending == .running && !hasTrapped {
      current = actor
      go(from: actorCount, to: actor)
    }
    isStarting = false
    if !hasTrapped {
      current = Self.nobody
      goOnToTheEnd()
    }
    isMuted = true
    let last = current
    current = Self.nobody
    if hasTrapped {
      let actor = program.actors[last].name
      let step = stepName(names[last])
      note(
        .trap, "trap of \(actor)", "\(actor)\(step.isEmpty ? "" : " in \"\(step)\"") trapped: \(trapName)")
      ending = .found
    }
    let result = ending
    if result == .completed, violation == nil {
      if let found = check(
        Moment(actor: nil, kind: .begin, address: 0, step: depth))
      {
        note(.violation, found.name, found.text)
      }
    }
    return result
  }

  /// Lets fibers go on until nobody is to go on any more.
  private func goOnToTheEnd() {
    var next = decide()
    // Where states are compared, fibers come back here at each step.
    while next >= 0 {
      go(from: actorCount, to: next)
      if !settings.mergesEqualStates || hasTrapped { break }
      next = decide()
    }
  }

  private func begin() {
    isMuted = true
    program.restore()
    epoch &+= 1
    for process in 0..<ExploredProgram.maximumActors {
      clocks[process] = Clock()
      synchronised[process] = Clock()
      stamps[process] = 0
      retried[process] = 0
      names[process] = 0
    }
    for actor in 0..<actorCount {
      held[actor].count = 0
      watched[actor].removeAll(keepingCapacity: true)
    }
    if buffers {
      for actor in 0..<actorCount { heldStores[actor].removeAll(keepingCapacity: true) }
    }
    flushable = 0
    conditional = 0
    alive = actorSet
    depth = 0
    changed = 0
    retrying = 0
    preemptions = 0
    choices = 0
    childSleep = 0
    previous = Self.nobody
    violation = nil
    notedHere.removeAll(keepingCapacity: true)
    retries = RetryRounds()
    ending = .running
    hasTrapped = false
    isDraining = false
    drained = 0
    guidePosition = 0
    if mode == .priorities { drawPriorities() }
    isStarting = true
    isMuted = false
  }

  /// Brings the actors that have not ended to their ends, or makes new fibers of theirs.
  func finish() {
    if alive == 0 && flushable == 0 && !hasTrapped { return }
    if ending == .redundant || ending == .found, !hasTrapped {
      isDraining = true
      isMuted = false
      goOnToTheEnd()
      isMuted = true
    }
    for actor in 0..<actorCount where alive.has(actor) { prepareFiber(actor) }
    current = Self.nobody
    alive = 0
  }

  private func drawPriorities() {
    guard case .priorities(let depth, _) = strategy else { return }
    var order = Array(0..<ExploredProgram.maximumActors)
    for place in stride(from: order.count - 1, to: 0, by: -1) {
      order.swapAt(place, random.next(below: place + 1))
    }
    for (rank, process) in order.enumerated() { ranks[process] = rank }
    changePoints = (1..<depth).map { _ in random.next(below: longest ?? 1) }
  }

  private var trapName: String {
    switch trapSignal {
    case 4, 5: "a failed check of the program"
    case 6: "abort"
    case 7, 11: "access to memory that is not there, or no stack left"
    case 8: "arithmetic"
    default: "signal \(trapSignal)"
    }
  }
}
