/// The steps of an execution, and what they do besides the operation itself.
extension Execution {
  /// Whether the step that a process takes now is the one that it took here in the execution before.
  @inline(__always)
  mutating func isRepeating(_ process: Int) -> Bool {
    let event = events + depth
    let next = pending + process
    return event.pointee.process == process && event.pointee.kind == next.pointee.kind
      && event.pointee.address == next.pointee.address
  }

  /// Takes over the order of a step from the execution before.
  @inline(__always)
  mutating func takeOverOrder(_ process: Int) {
    let event = events + depth
    clocks[process] = event.pointee.clock
    if event.pointee.object >= 0 { objects.states[Int(event.pointee.object)].head = Int32(depth) }
  }

  /// Keeps the step that a process takes now, without its order.
  @inline(__always)
  mutating func keepStep(_ process: Int) {
    let event = events + depth
    let next = pending + process
    event.pointee.process = UInt8(truncatingIfNeeded: process)
    event.pointee.kind = next.pointee.kind
    event.pointee.address = next.pointee.address
    event.pointee.object = next.pointee.access == Access.none ? -1 : next.pointee.object
    event.pointee.access = next.pointee.currentAccess
    event.pointee.name = names[actor(of: process)]
    event.pointee.previous = -1
  }

  /// Keeps the answer of a choice as the next step.
  mutating func keepChoice(_ value: Int, name: Int, isOrdered: Bool) {
    if value != 0 { choices += 1 }
    var event = Event()
    event.process = UInt8(current)
    event.kind = .choice
    event.address = UInt(value)
    event.name = UInt16(truncatingIfNeeded: name)
    if isOrdered {
      clocks[current][current] &+= 1
      event.clock = clocks[current]
    }
    events[depth] = event
    depth += 1
    retries.progress()
  }

  /// The trace of the execution: the same for executions that differ only in the order of independent steps.
  var trace: UInt64 {
    (0..<depth).reduce(0) { $0 &+ events[$1].traceHash }
  }

  // MARK: Store buffers

  /// Performs the operation that an actor announced, if it is a store into its buffer or a load from it.
  ///
  /// Returns whether the operation is performed; a wait always is.
  mutating func passBuffer(_ actor: Int, _ word: UnsafeMutablePointer<UInt64>) -> Bool {
    let next = pending + actor
    if next.pointee.flags & PointFlags.mayBeHeldBack != 0 {
      let isRelaxed = next.pointee.flags & PointFlags.relaxed != 0
      let store = HeldStore(
        address: next.pointee.address, value: word.pointee, flags: next.pointee.flags,
        kind: next.pointee.kind, object: next.pointee.object, name: names[actor], clock: clocks[actor],
        released: isRelaxed || !races.isOn ? Clock() : races.passedOn(actor))
      buffers.hold(store, of: actor, pending)
      return true
    }
    guard next.pointee.kind == .load, let value = buffers.value(actor, next.pointee.address) else {
      return next.pointee.kind == .wait
    }
    word.pointee = value
    return true
  }

  /// Writes the oldest store of a buffer to memory.
  mutating func flush(_ process: Int) {
    let store = buffers.flush(process - actorCount, pending)
    if races.isOn, phase != .draining, store.object >= 0 {
      objects.states[Int(store.object)].released = store.released
    }
  }

  /// Adds what comes before a step because of the buffers: a flush follows its store, and a locked operation follows
  /// all flushes.
  @inline(__always)
  mutating func joinBuffer(_ process: Int, _ clock: Clock) -> Clock {
    if process >= actorCount {
      guard let oldest = buffers.oldest(of: process - actorCount) else { return clock }
      return clock.joined(oldest.clock)
    }
    let next = pending + process
    let isLocked = next.pointee.access == Access.write || next.pointee.access == Access.shared
    return isLocked || next.pointee.kind == .acquire ? clock.joined(clocks[process + actorCount]) : clock
  }
}
