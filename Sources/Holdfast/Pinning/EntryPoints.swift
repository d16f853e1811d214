import Interleaving
import SystemPackage

/// Pins and references of user pages: how they are taken and released.
package struct Pins: Room {
  package let machine: Machine
}

extension Room {
  /// Pins of user pages.
  @inline(__always)
  package var pins: Pins { Pins(machine: machine) }
}

extension Machine {
  /// Pins pages for DMA (FOLL_PIN).
  ///
  /// - Parameters:
  ///   - process: the caller.
  ///   - address: the start of the range; rounded down to a page.
  ///   - pages: the number of pages.
  ///   - flags: the caller's FOLL_* flags.
  ///   - entry: the entry point.
  ///   - owner: the process whose memory is pinned, if it is not the caller (`.remote` only).
  ///   - purpose: what the pin is for, as the ledger and error messages show it.
  ///   - accounting: the user that pages are charged for. With one, the range is pinned whole or not at all,
  ///     and pages are uncharged when they are unpinned.
  /// - Returns: the pages, a prefix of the range. Fewer than requested is an error only with `accounting`.
  /// - Throws: `PinError`: EINVAL for flags that exclude each other, ESRCH for a process that has ended,
  ///   EFAULT for memory that is not mapped or may not be accessed, ENOMEM for lack of memory, an overflowed
  ///   count, a memlock limit, or pages that could not be migrated away; EBUSY for the last under
  ///   `movable-v4`; EINTR for a fatal signal. With `.fastOnly`, wrong flags and ranges give no pages
  ///   instead, and the reason is in `shortfall`.
  /// - Locks: takes the address space's lock, shared, unless the lockless path takes every page; the caller
  ///   holds no lock.
  /// - Kernel: mm/gup.c:pin_user_pages (6.1); without accepting FOLL_PIN from callers.
  /// - Kernel: mm/gup.c:pin_user_pages_remote (6.1); without accepting FOLL_PIN from callers, the argument
  ///   locked (EINVAL with FOLL_LONGTERM; releasing the lock while a fault waits).
  /// - Kernel: mm/gup.c:pin_user_pages_unlocked (6.1); without accepting FOLL_PIN from callers, releasing the
  ///   lock while a fault waits.
  /// - Kernel: mm/gup.c:pin_user_pages_fast (6.1); without accepting FOLL_PIN from callers.
  /// - Kernel: mm/gup.c:pin_user_pages_fast_only (6.1); without accepting FOLL_PIN from callers.
  public func pin(
    _ process: Process, at address: VirtualAddress, pages: Int, flags: PinFlags = .write,
    entry: PinEntry = .fast, of owner: Process? = nil, purpose: PinLabel = PinLabel(""),
    accounting: PinAccounting = .none
  ) throws(PinError) -> PinnedPages {
    let request = PinRequest(
      process: process, space: process.space, address: address, pages: pages, flags: flags, entry: entry,
      isPin: true, purpose: purpose, accounting: accounting)
    let (record, taken) = try pins.pin(request, of: owner ?? process)
    return PinnedPages(pins, record, taken)
  }

  /// Takes ordinary references on pages (FOLL_GET).
  ///
  /// Parameters, errors and locks are those of `pin`, but pages are not charged and FOLL_LONGTERM is refused.
  ///
  /// - Returns: the pages, a prefix of the range.
  /// - Throws: `PinError`, as `pin`.
  /// - Kernel: mm/gup.c:get_user_pages (6.1); without calls that want no pages.
  /// - Kernel: mm/gup.c:get_user_pages_remote (6.1); without calls that want no pages, the argument locked
  ///   (EINVAL with FOLL_LONGTERM; releasing the lock while a fault waits).
  /// - Kernel: mm/gup.c:get_user_pages_unlocked (6.1); without releasing the lock while a fault waits.
  /// - Kernel: mm/gup.c:get_user_pages_fast (6.1)
  /// - Kernel: mm/gup.c:get_user_pages_fast_only (6.1); without accepting FOLL_LONGTERM and FOLL_PIN from
  ///   callers.
  public func get(
    _ process: Process, at address: VirtualAddress, pages: Int, flags: PinFlags = .write,
    entry: PinEntry = .fast, of owner: Process? = nil, purpose: PinLabel = PinLabel("")
  ) throws(PinError) -> GottenPages {
    let request = PinRequest(
      process: process, space: process.space, address: address, pages: pages, flags: flags, entry: entry,
      isPin: false, purpose: purpose, accounting: .none)
    let (record, taken) = try pins.pin(request, of: owner ?? process)
    return GottenPages(pins, record, taken)
  }
}

extension Pins {
  /// Serves a call of an entry point.
  ///
  /// - Returns: a record of the ledger with the pages; row zero if no pages were requested.
  fileprivate func pin(
    _ asked: PinRequest, of owner: Process
  ) throws(PinError) -> (record: PinRecord, taken: Taken) {
    let now = machine.stamp()
    let process = asked.process
    let none = ledger.pinRecord(.none)
    var request = asked
    do {
      request.flags = try completeFlags(asked)
    } catch {
      // The fast-only entry points return no errors.
      guard asked.entry == .fastOnly else { throw error }
      return (none, Taken(count: 0, failure: error))
    }
    guard process.live != 0 else { throw gone(process) }
    if asked.pages == 0 { return (none, Taken(count: 0)) }
    guard asked.pages > 0 else {
      throw PinError(.arguments, .badRange, .badAddress, address: asked.address)
    }
    // Another process may end during the call; the caller cannot.
    var remote: RowID?
    // The owner may have ended, so that its number is not read.
    if owner.row.raw != process.row.raw {
      guard asked.entry == .remote else {
        throw PinError(
          .arguments, .illegalFlags("only the remote entry point takes another process's memory"),
          .invalidArgument)
      }
      guard let held = spaces.getSpace(of: owner) else { throw gone(owner) }
      remote = held
      request.space = held
    }
    defer { if let remote { spaces.putSpace(remote, on: process.processor) } }
    if request.isFast, try isEmptyByOverflow(request) { return (none, Taken(count: 0)) }

    guard let record = ledger.openRecord(count: request.pages) else {
      throw PinError(.ledger, .ledgerFull, .noMemory, address: request.address)
    }
    let range = PinRange(start: request.address.page, frames: ledger.slots(of: record, count: request.pages))
    var taken =
      request.accounting == .none
      ? pinPages(request, range) : pinCharged(request, range, to: record.unshared)
    if taken.count == range.count { taken.failure = nil }
    if taken.count == 0, let failure = taken.failure {
      ledger.closeRecord(record)
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
    PinError(.arguments, .noSuchProcess(spaces.number(of: process)), .noSuchProcess)
  }

  /// Tells the ledger what a call has taken.
  func fill(_ record: PinRecord, _ request: PinRequest, pages: Int, _ now: UInt64) {
    global.ledgerLock.lock()
    record.owner = request.process.id
    record.space = request.space
    record.startPage = request.address.page
    record.total = pages
    record.remaining = pages
    record.flags = request.flags
    record.accounting = request.accounting
    record.processor = request.process.processor
    record.ownerName = request.process.storedName
    record.tick = now
    record.purpose = request.purpose
    record.kind = request.isPin ? Ledger.pinKind : Ledger.getKind
    global.ledgerLock.unlock()
  }

  // MARK: - Arguments

  /// Checks the caller's flags and returns them with those that the entry point sets.
  ///
  /// - Kernel: mm/gup.c:is_valid_gup_flags (6.1)
  /// - Kernel: mm/gup.c:is_valid_gup_args (mainline); without FOLL_PCI_P2PDMA, FOLL_UNLOCKABLE.
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

  /// Checks the range of a fast entry point.
  ///
  /// - Returns: true if the call gives no pages without an error: the end of the range wraps around, or a
  ///   fast-only range leaves user space.
  private func isEmptyByOverflow(_ request: PinRequest) throws(PinError) -> Bool {
    let end = request.address.page + UInt64(request.pages)
    if end >= VirtualAddress.endPage {
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
