import Interleaving

/// The way from an entry point to its pages: the lockless path where it is allowed, then the slow path.
extension Pins {
  /// Takes the pages of a range as the request's entry point does.
  ///
  /// - Locks: takes the space's lock, shared, unless the lockless path takes every page; the caller holds
  ///   none.
  /// - Kernel: mm/gup.c:internal_get_user_pages_fast (6.1); without the checks of the arguments, which `pin`
  ///   makes; they come before the mark of the space, in the kernel those of the range after it.
  /// - Kernel: mm/gup.c:__gup_longterm_unlocked (6.1)
  /// - Kernel: mm/gup.c:__get_user_pages_remote (6.1); without the argument locked: EINVAL with
  ///   FOLL_LONGTERM, releasing the lock while a fault waits.
  /// - Kernel: mm/gup.c:__get_user_pages_locked (6.1); without releasing the lock while a fault waits, and so
  ///   without FOLL_TRIED.
  func pinPages(_ request: PinRequest, _ range: PinRange) -> Taken {
    let space = spaces.space(request.space)
    var prefix = 0
    if request.isFast {
      if request.isPin { markHasPinned(space) }
      prefix = pinLockless(request, range)
      if prefix == range.count || request.flags.contains(.fastOnly) { return Taken(count: prefix) }
    }
    let rest = range.dropFirst(prefix)
    var flags = request.flags.subtracting(.fastOnly)
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    var taken: Taken
    if flags.contains(.longterm) {
      taken = pinLongterm(request.with(flags), rest)
    } else {
      if request.entry == .fast { flags.insert(.touch) }
      taken = pinSlowly(request.with(flags), rest)
    }
    taken.count += prefix
    return taken
  }

  /// Marks a space as one whose pages were pinned; the mark stays for the life of the space.
  ///
  /// - Kernel: mm/gup.c:mm_set_has_pinned_flag (6.1)
  @inline(__always)
  func markHasPinned(_ space: AddressSpace) {
    if space.flags.load(.relaxed) & AddressSpace.hasPinned == 0 {
      space.flags.fetchOr(AddressSpace.hasPinned)
    }
  }
}
