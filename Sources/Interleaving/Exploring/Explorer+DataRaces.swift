/// Order between actors as the memory model has it: what a release passes on to an acquire, and to nothing else.
extension Explorer {
  /// Passes on what happened before, as the step of a process does.
  ///
  /// What an actor knows of itself stands in `stamps` alone: a lane that is written into a clock in memory would
  /// hold up whoever reads the clock next.
  @inline(__always)
  func synchronise(_ process: Int) {
    guard process < actorCount else { return }
    let next = pending + process
    stamps[process] &+= 1
    let object = Int(next.pointee.object)
    if object < 0 || buffers && next.pointee.flags & PointFlags.mayBeHeldBack != 0 { return }
    let state = objects.states + object
    let isRelaxed = next.pointee.flags & PointFlags.relaxed != 0
    switch next.pointee.kind {
    case .load:
      if !isRelaxed { synchronised[process] = synchronised[process].joined(state.pointee.released) }
    case .acquire, .acquireShared, .awaitClear:
      synchronised[process] = synchronised[process].joined(state.pointee.released)
    case .store: state.pointee.released = isRelaxed ? Clock() : passedOn(process)
    case .release, .releaseShared:
      state.pointee.released = state.pointee.released.joined(passedOn(process))
    default:
      if isRelaxed { return }
      synchronised[process] = synchronised[process].joined(state.pointee.released)
      state.pointee.released = passedOn(process)
    }
  }

  /// What whoever reads from a process knows to have happened: its own steps, and all it knows of.
  @inline(__always)
  func passedOn(_ process: Int) -> Clock {
    let own = ownLanes[process]
    return synchronised[process] & ~own | Clock(repeating: stamps[process]) & own
  }

  /// A plain access of the current actor, which must be ordered against those of others.
  @inline(__always)
  func plainAccess(_ address: UInt, isWrite: Bool) {
    let actor = current
    let state = objects.states + Int(objects.find(address, epoch))
    let writer = Int(state.pointee.writer)
    if writer != actor, state.pointee.writeStamp > lane(synchronised + actor, writer).pointee {
      raced(address, isWrite, writer, otherWrote: true, name: state.pointee.writeName)
    }
    let stamp = stamps[actor] &+ 1
    if isWrite {
      if state.pointee.reads.exceeds(synchronised[actor] | ownLanes[actor]) { racedWithRead(state) }
      state.pointee.writeStamp = stamp
      state.pointee.writer = UInt8(truncatingIfNeeded: actor)
      state.pointee.writeName = names[actor]
    } else {
      withUnsafeMutablePointer(to: &state.pointee.reads) { lane($0, actor).pointee = stamp }
      withUnsafeMutablePointer(to: &state.pointee.readNames) { lane($0, actor).pointee = names[actor] }
    }
  }

  /// One component of a clock in memory.
  @inline(__always)
  private func lane(_ clock: UnsafeMutablePointer<Clock>, _ process: Int) -> UnsafeMutablePointer<UInt16> {
    UnsafeMutableRawPointer(clock).assumingMemoryBound(to: UInt16.self) + process
  }

  @inline(never)
  private func racedWithRead(_ state: UnsafeMutablePointer<ObjectState>) {
    for other in 0..<actorCount
    where other != current && state.pointee.reads[other] > synchronised[current][other] {
      raced(state.pointee.address, true, other, otherWrote: false, name: state.pointee.readNames[other])
      return
    }
  }

  @inline(never)
  private func raced(_ address: UInt, _ isWrite: Bool, _ other: Int, otherWrote: Bool, name: UInt16) {
    let mine = site(current, names[current], isWrite)
    let theirs = site(other, name, otherWrote)
    note(
      .dataRace, "data race: \(min(mine, theirs)), \(max(mine, theirs))",
      "\(mine), \(theirs), both at 0x\(String(address, radix: 16)), and nothing orders the two")
  }

  private func site(_ actor: Int, _ name: UInt16, _ isWrite: Bool) -> String {
    let step = stepName(name)
    return
      "\(program.actors[actor].name)\(step.isEmpty ? "" : " in \"\(step)\"") \(isWrite ? "writes" : "reads")"
  }
}
