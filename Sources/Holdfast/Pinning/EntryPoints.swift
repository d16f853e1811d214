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
    let request = PinRequest(
      process: process, space: process.space, address: address, pages: pages, flags: flags, entry: entry,
      isPin: true, purpose: purpose, accounting: accounting)
    let (record, taken) = try take(request, of: owner ?? process)
    return PinnedPages(self, record, taken)
  }

  /// Takes ordinary references on pages (get_user_pages and its kin, FOLL_GET).
  ///
  /// As `pin`, without pin accounting; FOLL_LONGTERM is not allowed here.
  /// - Note: mm/gup.c, 6.1: get_user_pages, _remote, _unlocked, _fast, _fast_only.
  public func get(
    _ process: Process, at address: VirtualAddress, pages: Int, flags: PinFlags = .write,
    entry: PinEntry = .fast, of owner: Process? = nil, purpose: PinLabel = PinLabel("")
  ) throws(PinError) -> GottenPages {
    let request = PinRequest(
      process: process, space: process.space, address: address, pages: pages, flags: flags, entry: entry,
      isPin: false, purpose: purpose, accounting: .none)
    let (record, taken) = try take(request, of: owner ?? process)
    return GottenPages(self, record, taken)
  }

  /// Serves a call of an entry point: a record of the ledger with the pages, or row zero where none were asked for.
  private func take(
    _ asked: PinRequest, of owner: Process
  ) throws(PinError) -> (record: PinRecord, taken: Taken) {
    let now = stamp()
    let process = asked.process
    let none = pinRecord(.none)
    var request = asked
    do {
      request.flags = try completeFlags(asked)
    } catch {
      // These entry points are never negative: whoever calls them goes on another way.
      guard asked.entry == .fastOnly else { throw error }
      return (none, Taken(count: 0, failure: error))
    }
    guard process.live != 0 else { throw gone(process) }
    if asked.pages == 0 { return (none, Taken(count: 0)) }
    guard asked.pages > 0 else {
      throw PinError(.arguments, .badRange, .badAddress, address: asked.address)
    }
    // Another process may end meanwhile; the caller itself cannot.
    var remote: RowID?
    if owner.id != process.id {
      guard asked.entry == .remote else {
        throw PinError(
          .arguments, .illegalFlags("only the remote entry point takes another process's memory"),
          .invalidArgument)
      }
      guard let held = holdSpace(of: owner) else { throw gone(owner) }
      remote = held
      request.space = held
    }
    defer { if let remote { releaseSpace(remote, on: process.processor) } }
    if request.isFast, try isEmptyByOverflow(request) { return (none, Taken(count: 0)) }

    guard let record = openRecord(count: request.pages) else {
      throw PinError(.ledger, .ledgerFull, .noMemory, address: request.address)
    }
    let range = PinRange(start: request.address.page, frames: slots(of: record, count: request.pages))
    var taken =
      request.accounting == .none
      ? takePages(request, range) : takeCharged(request, range, to: record)
    if taken.count == range.count { taken.failure = nil }
    if taken.count == 0, let failure = taken.failure {
      closeRecord(record)
      throw failure
    }
    fill(record, request, pages: taken.count, now)
    if let trace {
      trace(
        .pin(
          process: process.id, address: VirtualAddress(page: range.start), pages: taken.count,
          flags: request.flags))
    }
    return (record, taken)
  }

  private func gone(_ process: Process) -> PinError {
    PinError(.arguments, .noSuchProcess(process.id), .noSuchProcess)
  }

  private func fill(_ record: PinRecord, _ request: PinRequest, pages: Int, _ now: UInt64) {
    global.ledgerLock.lock()
    record.owner = request.process.id
    record.space = request.space
    record.startPage = request.address.page
    record.total = pages
    record.remaining = pages
    record.flags = request.flags
    record.accounting = request.accounting
    record.processor = request.process.processor
    record.copyName(of: request.process)
    record.tick = now
    record.purpose = request.purpose
    record.kind = request.isPin ? Self.pinRecordKind : Self.getRecord
    global.ledgerLock.unlock()
  }

  // MARK: - Arguments

  /// The flags that the entry point adds, after checking those given (spec 5.2).
  private func completeFlags(_ request: PinRequest) throws(PinError) -> PinFlags {
    let (given, isPin) = (request.flags, request.isPin)
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
    if request.isFast, !given.subtracting(PinFlags.fastLegal).isEmpty {
      throw refuse("the fast entry points take WRITE, LONGTERM, FORCE, GET, PIN, FAST_ONLY and NOFAULT only")
    }
    if given.contains(.longterm), !policy.longtermUnlocked, request.entry == .unlocked {
      throw refuse("FOLL_LONGTERM needs the lock for the whole call, which the unlocked entry point drops")
    }
    var flags = given
    flags.insert(isPin ? .pin : .get)
    switch request.entry {
    case .slow: if !isPin { flags.insert(.touch) }
    case .remote: flags.formUnion([.touch, .remote])
    case .unlocked: flags.insert(.touch)
    case .fast: break
    case .fastOnly: flags.insert(.fastOnly)
    }
    return flags
  }

  /// Checks the range of a fast entry point; true if its end wraps around, which up to 6.x means no pages.
  private func isEmptyByOverflow(_ request: PinRequest) throws(PinError) -> Bool {
    let end = request.address.page + UInt64(request.pages)
    if end > UInt64.max / UInt64(pageSize) {
      if policy.reportsOverflow, request.entry == .fast {
        throw PinError(.arguments, .badRange, .overflow, address: request.address)
      }
      return true
    }
    guard end <= geometry.addressSpacePages else {
      if request.entry == .fastOnly { return true }
      throw PinError(.arguments, .badRange, .badAddress, address: request.address)
    }
    return false
  }
}
