/// Store buffers, as x86 has them: stores of an actor reach memory later, in order; it sees its own at once.
///
/// A locked operation waits until the buffer is empty. Plain stores go straight to memory: in a program without
/// data races, nobody looks at them before a later store of the same actor has arrived. A load of what the own buffer
/// holds counts as a read of memory: it has an order against the flush, after which it may find another's value.
extension Explorer {
  /// Performs what the current actor announced, if it is a store, or a load of what its buffer holds.
  func passBuffer(
    _ actor: Int, _ kind: PointKind, _ byte: UInt8, _ address: UInt, _ word: UnsafeMutablePointer<UInt64>
  ) -> Bool {
    if byte & PointFlags.mayBeHeldBack != 0 {
      let isRelaxed = byte & PointFlags.relaxed != 0
      heldStores[actor].append(
        HeldStore(
          address: address, value: word.pointee, flags: byte, kind: kind, object: pending[actor].object,
          name: names[actor], clock: clocks[actor],
          released: isRelaxed || !findsRaces ? Clock() : passedOn(actor)))
      offerFlush(actor)
      return true
    }
    guard kind == .load, let value = heldValue(actor, address) else { return kind == .wait }
    word.pointee = value
    return true
  }

  /// What an actor's buffer holds for an address, if anything.
  func heldValue(_ actor: Int, _ address: UInt) -> UInt64? {
    heldStores[actor].last { $0.address == address }?.value
  }

  /// Makes the oldest store of an actor's buffer the next step of the buffer.
  private func offerFlush(_ actor: Int) {
    let process = actor + actorCount
    guard let oldest = heldStores[actor].first else {
      flushable &= ~only(process)
      return
    }
    flushable |= only(process)
    pending[process] = Pending(
      kind: oldest.kind, flags: oldest.flags, access: Access.write, object: oldest.object,
      address: oldest.address, word: oldest.value)
  }

  /// Writes the oldest store of an actor's buffer to memory.
  func flush(_ actor: Int) {
    let store = heldStores[actor].removeFirst()
    if let memory = UnsafeMutableRawPointer(bitPattern: store.address) {
      if store.flags & PointFlags.eightBytes != 0 {
        memory.storeBytes(of: store.value, as: UInt64.self)
      } else {
        memory.storeBytes(of: UInt32(truncatingIfNeeded: store.value), as: UInt32.self)
      }
    }
    if findsRaces, !isDraining, store.object >= 0 {
      objects.states[Int(store.object)].released = store.released
    }
    offerFlush(actor)
  }

  /// Adds what comes before a step because of the buffer: a flush follows its store, a locked operation all flushes.
  func joinBuffer(_ process: Int, _ clock: Clock) -> Clock {
    if process >= actorCount {
      guard let oldest = heldStores[process - actorCount].first else { return clock }
      return clock.joined(oldest.clock)
    }
    let next = pending + process
    let isLocked = next.pointee.access == Access.write || next.pointee.access == Access.shared
    return isLocked || next.pointee.kind == .acquire ? clock.joined(clocks[process + actorCount]) : clock
  }
}
