import CLinux

/// What a fiber needs to begin.
struct FiberEntry {
  static let stackSize = 512 << 10
  let explorer: Unmanaged<Explorer>
  let actor: Int
}

/// Fibers: where they begin, go on and end.
extension Explorer {
  /// Makes a fiber begin anew, whatever it was doing.
  func prepareFiber(_ actor: Int) {
    guard let stack = stacks[actor] else { return }
    resumes[actor] = hf_fiber_prepare(
      stack, FiberEntry.stackSize,
      { context in
        guard let entry = context?.assumingMemoryBound(to: FiberEntry.self).pointee else { return }
        entry.explorer._withUnsafeGuaranteedRef { $0.runForever(entry.actor) }
      }, entries + actor)
  }

  /// What a fiber does: its actor's body, once per execution.
  private func runForever(_ actor: Int) {
    while true {
      do {
        try program.actors[actor].body()
      } catch {
        if !isDraining {
          note(.thrown, "error of \(program.actors[actor].name)", "\(program.actors[actor].name): \(error)")
        }
      }
      bodyEnded(actor)
    }
  }

  /// Leaves the running fiber for that of an actor.
  @inline(__always)
  func go(from place: Int, to actor: Int) {
    hf_set_held_locks(held + actor)
    hf_fiber_switch(resumes + place, resumes[actor])
  }

  /// Leaves the running fiber for the caller of the search.
  func goHome(from actor: Int) {
    hf_set_held_locks(nil)
    hf_fiber_switch(resumes + actor, resumes[actorCount])
  }

  /// Called in place of an actor's next instruction, when the one before has trapped.
  func trapped(_ signal: Int32) {
    // Outside the actors there is nowhere to go: the trap is what it would have been.
    if current == Self.nobody { return }
    trapSignal = signal
    hasTrapped = true
    goHome(from: current)
  }
}
