import Interleaving
import SystemPackage

extension PinAccounting {
  /// The count of the address space that is charged.
  var account: MemlockAccount { self == .locked ? .locked : .pinned }
}

/// Pinning a range for someone who keeps it: the whole of it, charged, or nothing.
///
/// The charge belongs to the ledger's record, which says how much of it is left.
extension Machine {
  /// Pages that VFIO and RDMA pin in one call: a page full of pointers
  /// (drivers/vfio/vfio_iommu_type1.c:VFIO_BATCH_MAX_CAPACITY; drivers/infiniband/core/umem.c:ib_umem_get).
  static let registrationBatch = 512

  /// Takes a whole range and charges it to a record, or takes and charges nothing.
  ///
  /// VFIO charges each batch once it is pinned (vfio_pin_pages_remote), RDMA all pages beforehand (ib_umem_get);
  /// both go on behind a batch that came short, and fail with the error of the page that cannot be pinned.
  /// io_uring pins in one call, for which coming short is EFAULT whatever the reason, and charges what it has got
  /// (io_uring/rsrc.c:io_pin_pages, io_sqe_buffer_register).
  ///
  /// No lock may be held. The space's row is kept for the charge, until the record ends.
  ///
  /// - Returns: all pages, or none and the reason.
  func takeCharged(_ request: PinRequest, _ range: PinRange, to record: PinRecord) -> Taken {
    let accounting = request.accounting
    let process = request.process
    let count = range.count
    let batch = accounting == .registered ? count : Self.registrationBatch
    grabSpace(request.space)
    record.space = request.space
    record.accounting = accounting
    var taken = 0
    do throws(PinError) {
      if accounting == .pinned { try charge(record, count, process, at: range.start) }
      while taken < count {
        let part = range.dropFirst(taken).prefix(batch)
        let more = takePages(request, part)
        taken += more.count
        if more.count == 0 || (accounting == .registered && more.count < part.count) {
          throw notWhole(more, at: range.start + UInt64(taken))
        }
        if accounting == .locked {
          try charge(record, unreserved(part.prefix(more.count).frames), process, at: part.start)
        }
      }
      if accounting == .registered { try charge(record, wholeFolios(range.frames), process, at: range.start) }
      return Taken(count: taken)
    } catch {
      releaseAll(range.prefix(taken).frames, pins: true, markDirty: false, on: process.processor)
      // The record ends with the call, or else with its handle.
      guard isEnabled(.unwindForgets) || taken == 0 else { return Taken(count: taken, failure: error) }
      endCharge(record)
      return Taken(count: 0, failure: error)
    }
  }

  /// What a call failed with that got some of its pages, or none.
  private func notWhole(_ taken: Taken, at page: UInt64) -> PinError {
    // Without a reason only the fast-only entry points give fewer: they leave off where they would have to fault.
    guard let failure = taken.failure else {
      return PinError(.fault, .wouldFault, .badAddress, address: VirtualAddress(page: page))
    }
    guard taken.count > 0 else { return failure }
    return PinError(
      failure.stage, failure.cause, .badAddress, address: failure.address, frame: failure.frame,
      holders: failure.holders)
  }

  // MARK: - What is charged

  /// The pages of an array that VFIO charges: all but the zero page, which is reserved (is_invalid_reserved_pfn).
  package func unreserved(_ frames: some RandomAccessCollection<FrameNumber>) -> Int {
    let zeroPage = global.zeroPage
    return frames.count { $0 != .none && $0 != zeroPage }
  }

  /// The pages that io_uring charges for an array: small pages each, larger folios whole, the first time that one
  /// of their pages comes up (io_buffer_account_pin, headpage_already_acct).
  ///
  /// The pages are pinned, so that their folios stay what they are.
  package func wholeFolios(_ frames: some RandomAccessCollection<FrameNumber>) -> Int {
    var pages = 0
    var latest = FrameNumber.none
    for (i, frame) in frames.enumerated() {
      let head = head(of: frame)
      if head == latest { continue }
      let size = folioPages(head)
      if size > 1 {
        latest = head
        // A folio that was left and is met again is rare; it is looked for as Linux does.
        let isKnown = frames.prefix(i).contains { $0.rawValue &- head.rawValue < UInt32(size) }
        if isKnown { continue }
      }
      pages &+= size
    }
    return pages
  }

  private func charge(
    _ record: PinRecord, _ pages: Int, _ process: Process, at page: UInt64
  ) throws(PinError) {
    if pages == 0 { return }
    let space = space(record.space)
    do {
      if record.accounting == .registered {
        record.chargedToUser += Int(try chargeRegistered(space, pages: UInt64(pages), for: process))
      } else {
        try chargeLocked(space, pages: UInt64(pages), as: record.accounting.account, for: process)
      }
    } catch {
      throw PinError(
        .account, .memlock(error.description), error.errno, address: VirtualAddress(page: page))
    }
    record.charged += pages
  }

  // MARK: - Giving the charge back

  /// Gives back what is charged for a part of a record's pages, which are still in their slots.
  ///
  /// A registered buffer is charged until the last of it goes: its folios are not its pages.
  func uncharge(_ record: PinRecord, part frames: UnsafeMutableBufferPointer<FrameNumber>, held: Int) {
    let pages =
      switch record.accounting {
      case .none, .registered: 0
      case .pinned: held
      case .locked: unreserved(frames)
      }
    guard pages > 0 else { return }
    unchargeLocked(space(record.space), pages: UInt64(pages), as: record.accounting.account)
    global.ledgerLock.withLock { record.charged -= pages }
  }

  /// Gives back all that is still charged for a record, and lets go of the space's row.
  func endCharge(_ record: PinRecord) {
    let space = record.space
    if record.charged > 0 {
      unchargeLocked(self.space(space), pages: UInt64(record.charged), as: record.accounting.account)
    }
    if record.chargedToUser > 0 { unchargeUser(pages: UInt64(record.chargedToUser)) }
    dropSpace(space)
  }
}
