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

  /// Most traces that are kept in mind; what comes after them is not merged with anything.
  private static let mostSeen = 1 << 22

  /// Whether the steps so far were not met before, in an order that differs in nothing that matters, with as many
  /// interruptions left.
  ///
  /// The same steps in the same order as far as they have to do with each other leave the same state, whatever it
  /// consists of. Only who may try again, and who ran last, come from the order of the others.
  func isNewTrace() -> Bool {
    if sums.isEmpty { sums = Array(repeating: 0, count: stepLimit + 1) }
    while summed < depth {
      sums[summed + 1] = sums[summed] &+ traceHash(of: summed)
      summed += 1
    }
    var hash = Hash64()
    hash.combine(sums[depth])
    if bound < Int.max { hash.combine(UInt64(previous)) }
    if retrying != 0 {
      hash.combine(UInt64(changed))
      hash.combine(UInt64(retries.turn))
    }
    let key = hash.value
    let fewest = seen[key]
    if let fewest, fewest <= preemptions { return false }
    if fewest == nil {
      if seen.count >= Self.mostSeen { return true }
      counts.states += 1
    }
    seen[key] = UInt16(truncatingIfNeeded: preemptions)
    return true
  }
}
