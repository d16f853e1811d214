import Interleaving
import SystemPackage

extension Machine {
  /// Pins pages for DMA (pin_user_pages and its kin, FOLL_PIN).
  ///
  /// Takes the address space's lock, shared, where the entry point calls for it; no lock may be held.
  ///
  /// - Parameters:
  ///   - address: where the range begins; rounded down to a page.
  ///   - pages: pages wanted, from 1 on.
  ///   - owner: whose memory, if not the caller's (`.remote` only).
  ///   - purpose: what for, as the ledger and error messages show it.
  ///   - accounting: whom the pages are charged for; then the range is pinned whole or not at all, and the charge
  ///     is given back as its pages are.
  /// - Returns: the pages, a prefix of the range; fewer than wanted is no error without `accounting` (spec 5.6).
  /// - Throws: `PinError`: EINVAL for flags that do not go together, ESRCH for a process that has ended, EFAULT
  ///   for memory that is not there or not permitted, ENOMEM for no memory, an overflowed count, a memlock
  ///   limit, or pages that could not be moved away; EBUSY for the last under `movable-v4`; EINTR for a fatal
  ///   signal. With `.fastOnly` bad flags and ranges give no pages instead, and stand in `shortfall`.
  /// - Note: mm/gup.c, 6.1: pin_user_pages, _remote, _unlocked, _fast, _fast_only.
  public func pin(
    _ process: Process, at address: VirtualAddress, pages: Int, flags: PinFlags = .write,
    entry: PinEntry = .fast, of owner: Process? = nil, purpose: PinLabel = PinLabel(""),
    accounting: PinAccounting = .none
  ) throws(PinError) -> PinnedPages {
    PinnedPages(
      try take(
        process, owner ?? process, address, pages, flags, entry, isPin: true, purpose, accounting))
  }

  /// Takes ordinary references on pages (get_user_pages and its kin, FOLL_GET).
  ///
  /// As `pin`, without pin accounting; FOLL_LONGTERM is not allowed here.
  /// - Note: mm/gup.c, 6.1: get_user_pages, _remote, _unlocked, _fast, _fast_only.
  public func get(
    _ process: Process, at address: VirtualAddress, pages: Int, flags: PinFlags = .write,
    entry: PinEntry = .fast, of owner: Process? = nil, purpose: PinLabel = PinLabel("")
  ) throws(PinError) -> GottenPages {
    GottenPages(
      try take(process, owner ?? process, address, pages, flags, entry, isPin: false, purpose, .none))
  }

  private func take(
    _ process: Process, _ owner: Process, _ address: VirtualAddress, _ pages: Int, _ given: PinFlags,
    _ entry: PinEntry, isPin: Bool, _ purpose: PinLabel, _ accounting: PinAccounting
  ) throws(PinError) -> HeldPages {
    let now = stamp()
    let flags: PinFlags
    do {
      flags = try completeFlags(given, entry, isPin: isPin)
    } catch {
      // These entry points are never negative: whoever calls them goes on another way.
      guard entry == .fastOnly else { throw error }
      return emptyResult(error)
    }
    let start = address.page
    guard process.live != 0 else { throw gone(process) }
    if pages == 0 { return emptyResult() }
    guard pages > 0 else { throw PinError(.arguments, .badRange, .badAddress, address: address) }
    // Another process may end meanwhile; the caller itself cannot.
    var remote: RowID?
    if owner.id != process.id {
      guard entry == .remote else {
        throw PinError(
          .arguments, .illegalFlags("only the remote entry point takes another process's memory"),
          .invalidArgument)
      }
      remote = holdSpace(of: owner)
      if remote == nil { throw gone(owner) }
    }
    defer { if let remote { releaseSpace(remote, on: process.processor) } }
    let spaceID = remote ?? process.space
    let space = self.space(spaceID)
    if entry == .fast || entry == .fastOnly, try isEmptyByOverflow(start, pages, entry, address) {
      return emptyResult()
    }

    guard let record = openRecord(count: pages) else {
      throw PinError(.ledger, .ledgerFull, .noMemory, address: address)
    }
    let (taken, failure) =
      accounting == .none
      ? takePages(process, space, start, pages, flags, entry, frames(of: record))
      : takeCharged(process, spaceID, start, pages, flags, entry, record, accounting)
    if taken == 0, let failure {
      closeRecord(record)
      throw failure
    }
    fill(record, process, spaceID, start, taken, flags, isPin: isPin, purpose, accounting, now)
    if let trace {
      trace(.pin(process: process.id, address: VirtualAddress(page: start), pages: taken, flags: flags))
    }
    return HeldPages(self, record, count: taken, shortfall: taken < pages ? failure : nil)
  }

  private func gone(_ process: Process) -> PinError {
    PinError(.arguments, .noSuchProcess(process.id), .noSuchProcess)
  }

  private func fill(
    _ record: PinRecord, _ process: Process, _ space: RowID, _ start: UInt64, _ taken: Int,
    _ flags: PinFlags, isPin: Bool, _ purpose: PinLabel, _ accounting: PinAccounting, _ now: UInt64
  ) {
    global.ledgerLock.lock()
    record.owner = process.id
    record.space = space
    record.startPage = start
    record.total = taken
    record.remaining = taken
    record.flags = flags
    record.accounting = accounting
    record.processor = process.processor
    record.copyName(of: process)
    record.tick = now
    record.purpose = purpose
    record.kind = isPin ? Self.pinRecordKind : Self.getRecord
    global.ledgerLock.unlock()
  }

  /// Runs the path of an entry point.
  func takePages(
    _ process: Process, _ space: AddressSpace, _ start: UInt64, _ count: Int, _ flags: PinFlags,
    _ entry: PinEntry, _ out: UnsafeMutablePointer<FrameNumber>
  ) -> (taken: Int, failure: PinError?) {
    var prefix = 0
    if entry == .fast || entry == .fastOnly {
      if flags.contains(.pin) { markHasPinned(space) }
      prefix = takeLockless(space, start, count, flags, out, on: process.processor)
      if prefix == count || flags.contains(.fastOnly) { return (prefix, nil) }
    }
    let rest = start + UInt64(prefix)
    let slowFlags = flags.subtracting(.fastOnly)
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    let (more, failure) =
      flags.contains(.longterm)
      ? takeLongterm(process, space, rest, count - prefix, slowFlags, out + prefix)
      : takeSlowly(
        process, space, rest, count - prefix,
        prefix > 0 || entry == .fast ? slowFlags.union(.touch) : slowFlags,
        out + prefix)
    return (prefix + more, failure)
  }

  @inline(__always)
  private func markHasPinned(_ space: AddressSpace) {
    if space.flags.load(.relaxed) & AddressSpace.hasPinned == 0 {
      space.flags.fetchOr(AddressSpace.hasPinned)
    }
  }

  // MARK: - Arguments

  /// The flags that the entry point adds, after checking those given (spec 5.2).
  private func completeFlags(
    _ given: PinFlags, _ entry: PinEntry, isPin: Bool
  ) throws(PinError) -> PinFlags {
    func refuse(_ reason: String) -> PinError {
      PinError(.arguments, .illegalFlags(reason), .invalidArgument)
    }
    let own = isPin ? "the pin entry points" : "the get entry points"
    if given.contains(.pin) { throw refuse("FOLL_PIN is set by the pin entry points, not by callers") }
    if policy.refusesInternalFlags, !given.isDisjoint(with: .internalFlags) {
      throw refuse("TOUCH, TRIED, REMOTE and FAST_ONLY are set by entry points, not by callers")
    }
    if isPin, given.contains(.get) { throw refuse("FOLL_GET and FOLL_PIN exclude each other") }
    if !isPin, given.contains(.longterm) {
      throw refuse("FOLL_LONGTERM needs FOLL_PIN, which \(own) do not set")
    }
    let isFast = entry == .fast || entry == .fastOnly
    if isFast, !given.subtracting(PinFlags.fastLegal).isEmpty {
      throw refuse("the fast entry points take WRITE, LONGTERM, FORCE, GET, PIN, FAST_ONLY and NOFAULT only")
    }
    if given.contains(.longterm), !policy.longtermUnlocked, entry == .unlocked {
      throw refuse("FOLL_LONGTERM needs the lock for the whole call, which the unlocked entry point drops")
    }
    var flags = given
    flags.insert(isPin ? .pin : .get)
    switch entry {
    case .slow: if !isPin { flags.insert(.touch) }
    case .remote: flags.formUnion([.touch, .remote])
    case .unlocked: flags.insert(.touch)
    case .fast: break
    case .fastOnly: flags.insert(.fastOnly)
    }
    return flags
  }

  /// Checks the range of a fast entry point; true if its end wraps around, which up to 6.x means no pages.
  private func isEmptyByOverflow(
    _ start: UInt64, _ pages: Int, _ entry: PinEntry, _ address: VirtualAddress
  ) throws(PinError) -> Bool {
    let end = start + UInt64(pages)
    if end >= 1 << 52 {
      if policy.reportsOverflow, entry == .fast {
        throw PinError(.arguments, .badRange, Errno(rawValue: 75), address: address)
      }
      return true
    }
    guard end <= geometry.addressSpacePages else {
      if entry == .fastOnly { return true }
      throw PinError(.arguments, .badRange, .badAddress, address: address)
    }
    return false
  }

  /// What a call for no pages gives: no pages, no record, and no error.
  private func emptyResult(_ shortfall: PinError? = nil) -> HeldPages {
    HeldPages(self, pinRecord(.none), count: 0, shortfall: shortfall)
  }
}
