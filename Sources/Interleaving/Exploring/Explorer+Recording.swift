/// The record of a step, and the other orders of it that must be explored too.
///
/// Source-DPOR: two steps of different processes on one object are a race if no step between them orders them. Unless
/// a process that could begin the other order is already to be taken at the place of the first step, one is added
/// there. (Abdulla, Aronis, Jonsson, Sagonas: Optimal dynamic partial order reduction, POPL 2014.)
extension Explorer {
  /// Keeps the step that a process takes now; false if it is not what it was in the execution before.
  @inline(__always)
  func record(_ process: Int) -> Bool {
    let index = execution.depth
    let event = execution.events + index
    if index < search.known {
      guard execution.isRepeating(process) else {
        execution.ending = .diverged
        return false
      }
      if tracksOrder { execution.takeOverOrder(process) }
    } else {
      execution.keepStep(process)
      if tracksOrder { order(index, process) }
    }
    execution.depth = index &+ 1
    execution.retries.combine(process, execution.pending + process)
    let branch = search.branches + index
    if branch.pointee.interrupts, process != Int(branch.pointee.previous) { execution.preemptions &+= 1 }
    if reduces, index &+ 1 >= search.prefix { putToSleep(index, process) }
    let next = execution.pending + process
    execution.retries.watch(process, event.pointee.access, next, execution.objects.states)
    if execution.races.isOn, process < actorCount {
      execution.races.synchronise(
        process, next, execution.objects.states,
        isHeldBack: execution.buffers.isOn && next.pointee.flags & PointFlags.mayBeHeldBack != 0)
    }
    return true
  }

  /// Keeps the processes asleep whose next step is independent of this one: it stays covered.
  @inline(__always)
  private func putToSleep(_ index: Int, _ process: Int) {
    let branch = search.branches + index
    var rest = (branch.pointee.sleep | branch.pointee.done) & ~only(process)
    execution.childSleep = 0
    if rest == 0 { return }
    let event = execution.events + index
    while rest != 0 {
      let sleeper = rest.first
      rest &= rest &- 1
      let next = execution.pending + sleeper
      let isDependent =
        event.pointee.object >= 0 && next.pointee.object == event.pointee.object
        && next.pointee.access != Access.none
        && Access.conflict(next.pointee.currentAccess, event.pointee.access)
      if !isDependent { execution.childSleep |= only(sleeper) }
    }
  }

  /// Gives a new event its place in the order, and finds its races.
  private func order(_ index: Int, _ process: Int) {
    let event = execution.events + index
    let next = execution.pending + process
    var before = execution.clocks[process]
    if execution.buffers.isOn { before = execution.joinBuffer(process, before) }
    var after = before
    let object = Int(event.pointee.object)
    if object >= 0 {
      let state = execution.objects.states + object
      let kind = event.pointee.kind
      switch kind {
      case .acquireShared: state.pointee.isSharedLock = true
      case .acquire, .tryAcquire: state.pointee.lockMask = next.pointee.word
      default: break
      }
      event.pointee.wasHeld =
        state.pointee.lockMask != 0 && !state.pointee.isSharedLock
        && !Pending.isClear(event.pointee.address, state.pointee.lockMask)
      let waits = kind == .acquire || kind == .acquireShared || kind == .awaitClear
      let access = event.pointee.access
      var at = Int(state.pointee.head)
      while at >= 0 {
        let other = execution.events + at
        if Access.conflict(access, other.pointee.access) {
          let otherProcess = Int(other.pointee.process)
          after = after.joined(other.pointee.clock)
          if other.pointee.clock[otherProcess] <= before[otherProcess] {
            // The two are in order already, and so is everything before a write.
            if other.pointee.access == Access.write { break }
          } else if waits && isEnabling(other) {
            // Without the other, this step could not have been taken.
          } else {
            if reduces {
              if at < search.sharedPath.count {
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
    execution.clocks[process] = after
  }

  /// Whether a step could not change places with one that takes the lock, since the lock was held.
  @inline(__always)
  private func isEnabling(_ event: UnsafeMutablePointer<Event>) -> Bool {
    event.pointee.kind == .release || event.pointee.kind == .releaseShared || event.pointee.wasHeld
  }

  /// Makes sure that the step at `index` is also taken before the step at `place`.
  ///
  /// `before` is what comes before the later step in any case.
  @inline(never)
  private func reverse(_ place: Int, _ index: Int, _ process: Int, _ before: Clock) {
    let branch = search.branches + place
    let events = execution.events
    let owner = Int(events[place].process)
    let stamp = events[place].clock[owner]
    let covered = branch.pointee.wanted | branch.pointee.sleep
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
    initials &= branch.pointee.enabled
    if initials == 0 {
      branch.pointee.wanted |= branch.pointee.enabled
    } else {
      branch.pointee.wanted |= only(initials.has(process) ? process : initials.first)
    }
  }

  /// Makes sure that a step is also taken before the step at a decision that other workers share.
  @inline(never)
  private func reverseForAll(_ place: Int, _ index: Int, _ process: Int, _ before: Clock) {
    guard let sharing = search.sharing else { return }
    sharing.update(search.sharedPath[place], search.branches + place) {
      reverse(place, index, process, before)
    }
  }
}
