import Interleaving

/// From an entry point to the pages: the lockless path first where it is allowed, then the slow one or the long-term one.
extension Machine {
  /// Takes the pages of a range in the way of the request's entry point; no lock may be held.
  ///
  /// - Kernel: mm/gup.c:internal_get_user_pages_fast (6.1).
  /// - Kernel: mm/gup.c:__get_user_pages_locked (6.1); without dropping the lock during a fault.
  func takePages(_ request: PinRequest, _ range: PinRange) -> Taken {
    let space = space(request.space)
    var prefix = 0
    if request.isFast {
      if request.isPin { markHasPinned(space) }
      prefix = takeLockless(request, range)
      if prefix == range.count || request.flags.contains(.fastOnly) { return Taken(count: prefix) }
    }
    let rest = range.dropFirst(prefix)
    var flags = request.flags.subtracting(.fastOnly)
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    var taken: Taken
    if flags.contains(.longterm) {
      taken = takeLongterm(request.with(flags), rest)
    } else {
      if request.entry == .fast { flags.insert(.touch) }
      taken = takeSlowly(request.with(flags), rest)
    }
    taken.count += prefix
    return taken
  }

  /// Notes that pages of a space were pinned, which fork asks.
  ///
  /// - Kernel: mm/gup.c:mm_set_has_pinned_flag (6.1).
  @inline(__always)
  func markHasPinned(_ space: AddressSpace) {
    if space.flags.load(.relaxed) & AddressSpace.hasPinned == 0 {
      space.flags.fetchOr(AddressSpace.hasPinned)
    }
  }
}
