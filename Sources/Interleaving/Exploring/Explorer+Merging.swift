#if EXPLORER

/// Merging of equal states: for retry loops that come back to where they were.
///
/// A state is what the program's hash covers, the live part of every actor's stack, and what each waits for. All
/// fibers are parked while it is taken, so that their registers lie on their stacks.
extension Explorer {
  /// Whether the state was not met before with as many interruptions left.
  func isNewState() -> Bool {
    guard let stateHash = program.stateHash else { return true }
    var hash = Hash64()
    isMuted = true
    hash.combine(stateHash())
    isMuted = false
    for actor in 0..<actorCount where alive.has(actor) {
      guard let stack = stacks[actor], let top = resumes[actor] else { continue }
      hash.combine(UInt64(actor))
      hash.combine(memory: UnsafeRawBufferPointer(start: top, count: stack + FiberEntry.stackSize - top))
      hash.combine(
        changed.has(actor) ? 1 : 0)
    }
    for store in heldStores.joined() {
      hash.combine(UInt64(store.address))
      hash.combine(store.value)
    }
    if bound < Int.max { hash.combine(UInt64(previous)) }
    let key = hash.value
    if let fewest = seen[key], fewest <= preemptions { return false }
    if seen.updateValue(UInt16(truncatingIfNeeded: preemptions), forKey: key) == nil { counts.states += 1 }
    return true
  }
}
#endif
