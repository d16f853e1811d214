/// What is kept of a step, and which steps it could have changed places with.
///
/// Source-DPOR: two steps of different processes on one object, with nothing between them that orders them, are a
/// race; if no process that could begin the other order is to be taken at the first step's place, one is added
/// there. (Abdulla, Aronis, Jonsson, Sagonas: Optimal dynamic partial order reduction, POPL 2014.)
extension Explorer {
  /// Keeps the step that a process takes now; false if it is not what it was in the execution before.
  @inline(__always)
  func record(_ process: Int) -> Bool {
    let index = depth
    let event = events + index
    let next = pending + process
    let actor = process < actorCount ? process : process - actorCount
    if index < known {
      guard event.pointee.process == process, event.pointee.kind == next.pointee.kind,
        event.pointee.address == next.pointee.address
      else {
        ending = .diverged
        return false
      }
      if tracksOrder {
        clocks[process] = event.pointee.clock
        if event.pointee.object >= 0 { objects.states[Int(event.pointee.object)].head = Int32(index) }
      }
    } else {
      let object = next.pointee.access == Access.none ? -1 : next.pointee.object
      event.pointee.process = UInt8(truncatingIfNeeded: process)
      event.pointee.kind = next.pointee.kind
      event.pointee.address = next.pointee.address
      event.pointee.object = object
      event.pointee.access = access(of: next)
      event.pointee.name = names[actor]
      event.pointee.previous = -1
      if tracksOrder { order(index, process) }
    }
    depth = index &+ 1
    if retries.isActive { retries.combine(process, next.pointee.kind, next.pointee.address) }
    let node = nodes + index
    if node.pointee.interrupts, process != Int(node.pointee.previous) { preemptions &+= 1 }
    if mode == .reduced, depth >= prefix { putToSleep(index, process) }
    watch(process, event.pointee.access)
    if findsRaces { synchronise(process) }
    return true
  }

  /// What a step does to its object as things stand: one that changes nothing only looks at it.
  @inline(__always)
  private func access(of next: UnsafeMutablePointer<Pending>) -> UInt8 {
    let address = next.pointee.address
    switch next.pointee.kind {
    case .tryAcquire:
      return isClear(address, next.pointee.word) ? Access.write : Access.read
    case .compareExchange:
      guard let memory = UnsafeRawPointer(bitPattern: address) else { return Access.write }
      if next.pointee.flags & PointFlags.eightBytes != 0 {
        return memory.load(as: UInt64.self) == next.pointee.word ? Access.write : Access.read
      }
      let expected = UInt32(truncatingIfNeeded: next.pointee.word)
      return memory.load(as: UInt32.self) == expected ? Access.write : Access.read
    case .addIfPositive:
      guard let memory = UnsafeRawPointer(bitPattern: address) else { return Access.write }
      return memory.load(as: Int32.self) > 0 ? Access.write : Access.read
    default: return next.pointee.access
    }
  }

  /// Those whose next step stays covered after this one: it has no order against it.
  @inline(__always)
  private func putToSleep(_ index: Int, _ process: Int) {
    let node = nodes + index
    var rest = (node.pointee.sleep | node.pointee.done) & ~only(process)
    childSleep = 0
    if rest == 0 { return }
    let event = events + index
    while rest != 0 {
      let sleeper = rest.first
      rest &= rest &- 1
      let next = pending + sleeper
      let isDependent =
        event.pointee.object >= 0 && next.pointee.object == event.pointee.object
        && next.pointee.access != Access.none
        && Access.conflict(access(of: next), event.pointee.access)
      if !isDependent { childSleep |= only(sleeper) }
    }
  }

  /// Gives a new event its place in the order, and finds its races.
  private func order(_ index: Int, _ process: Int) {
    let event = events + index
    let next = pending + process
    var before = clocks[process]
    if buffers { before = joinBuffer(process, before) }
    var after = before
    let object = Int(event.pointee.object)
    if object >= 0 {
      let state = objects.states + object
      let kind = event.pointee.kind
      switch kind {
      case .acquireShared: state.pointee.isSharedLock = true
      case .acquire, .tryAcquire: state.pointee.lockMask = next.pointee.word
      default: break
      }
      event.pointee.wasHeld =
        state.pointee.lockMask != 0 && !state.pointee.isSharedLock
        && !isClear(event.pointee.address, state.pointee.lockMask)
      let waits = kind == .acquire || kind == .acquireShared || kind == .awaitClear
      let access = event.pointee.access
      var at = Int(state.pointee.head)
      while at >= 0 {
        let other = events + at
        if Access.conflict(access, other.pointee.access) {
          let otherProcess = Int(other.pointee.process)
          after = after.joined(other.pointee.clock)
          if other.pointee.clock[otherProcess] <= before[otherProcess] {
            // In order already, and so is everything before a write.
            if other.pointee.access == Access.write { break }
          } else if waits && isEnabling(other) {
            // Without it this step could not have been taken.
          } else {
            if mode == .reduced {
              if at < sharedPath.count {
                reverseForAll(at, index, process, before)
              } else {
                reverse(at, index, process, before)
              }
            }
            before = before.joined(other.pointee.clock)
            if other.pointee.access == Access.write { break }
          }
        }
        at = Int(other.pointee.previous)
      }
      event.pointee.previous = state.pointee.head
      state.pointee.head = Int32(index)
    }
    after[process] &+= 1
    event.pointee.clock = after
    clocks[process] = after
  }

  /// Whether a step could not change places with one that takes the lock, since the lock was held.
  @inline(__always)
  private func isEnabling(_ event: UnsafeMutablePointer<Event>) -> Bool {
    event.pointee.kind == .release || event.pointee.kind == .releaseShared || event.pointee.wasHeld
  }

  /// Sees to it that the step at `index` is also taken before the one at `place`.
  ///
  /// `before` is what comes before the later step in any case.
  @inline(never)
  func reverse(_ place: Int, _ index: Int, _ process: Int, _ before: Clock) {
    let node = nodes + place
    let owner = Int(events[place].process)
    let stamp = events[place].clock[owner]
    let covered = node.pointee.wanted | node.pointee.sleep
    var initials: ProcessSet = 0
    var met: ProcessSet = 0
    // The first event of each process in what would come instead.
    var firsts = Clock(repeating: .max)
    var at = place + 1
    while at < index {
      let event = events + at
      let clock = event.pointee.clock
      if clock[owner] < stamp {
        let other = Int(event.pointee.process)
        if !met.has(other) {
          if !(clock &+ 1).exceeds(firsts) {
            if covered.has(other) { return }
            initials |= only(other)
          }
          met |= only(other)
          firsts[other] = clock[other]
        }
      }
      at += 1
    }
    if !met.has(process), !(before &+ 1).exceeds(firsts) {
      if covered.has(process) { return }
      initials |= only(process)
    }
    initials &= node.pointee.enabled
    if initials == 0 {
      node.pointee.wanted |= node.pointee.enabled
    } else {
      node.pointee.wanted |= only(initials.has(process) ? process : initials.first)
    }
  }

  /// The trace of the execution: the same for executions that differ only in the order of independent steps.
  func currentTrace() -> UInt64 {
    (0..<depth).reduce(0) { $0 &+ traceHash(of: $1) }
  }

  /// The part that one step has in the hash of a trace.
  func traceHash(of index: Int) -> UInt64 {
    var hash = Hash64()
    hash.combine(UInt64(events[index].process))
    for process in 0..<Clock.scalarCount { hash.combine(UInt64(events[index].clock[process])) }
    if nodes[index].values > 0 { hash.combine(UInt64(nodes[index].chosen)) }
    return hash.value
  }
}
