import Interleaving
import SystemPackage

extension PinAccounting {
  /// The count of the address space that is charged.
  var account: MemlockAccount { self == .locked ? .locked : .pinned }
}

/// Pinning a range that is charged to the owner of the memory: all of it, or nothing.
///
/// The ledger's record of the pin knows how many pages are charged for it.
extension Pins {
  /// The most pages that VFIO and RDMA pin with one call: as many as a page has room for pointers
  /// (VFIO_BATCH_MAX_CAPACITY).
  private static let registrationBatch = 512

  /// Pins a whole range and charges its pages, or pins and charges nothing.
  ///
  /// VFIO charges each batch after it is pinned, RDMA charges all pages before. If a batch comes short, both
  /// pin what follows, and fail with the error of the page that cannot be pinned. io_uring pins with one call
  /// and charges the folios that it got; a short call is EFAULT, whatever the reason.
  ///
  /// The row of the address space is kept for the charge until the record ends.
  ///
  /// - Returns: all pages, or none and the reason.
  /// - Locks: takes those of `pinPages`; the caller holds none.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_pin_pages_remote (6.1); without runs of consecutive
  ///   frames, areas of frames without descriptors.
  /// - Kernel: drivers/infiniband/core/umem.c:ib_umem_get (6.1); without the scatter list, mapping for the
  ///   device.
  /// - Kernel: io_uring/rsrc.c:io_pin_pages (6.1); without the check that a buffer is of one kind of memory.
  /// - Kernel: io_uring/rsrc.c:io_sqe_buffer_register (6.1); without the ring, its table of buffers; the right to lock
  ///   memory is asked for here, in the kernel when the ring is made.
  func pinCharged(_ request: PinRequest, _ range: PinRange, to record: PinRecord) -> Taken {
    let accounting = request.accounting
    let process = request.process
    let count = range.count
    let batch = accounting == .registered ? count : Self.registrationBatch
    spaces.getSpaceRow(request.space)
    record.space = request.space
    record.accounting = accounting
    var taken = 0
    do throws(PinError) {
      if accounting == .pinned { try charge(record, count, process, at: range.start) }
      while taken < count {
        let part = range.dropFirst(taken).prefix(batch)
        let more = pinPages(request, part)
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
      unpinAll(range.prefix(taken).frames, pins: true, markDirty: false, on: process.processor)
      // The caller closes the record if the call has no pages; else the handle does when it ends.
      guard isEnabled(.unwindForgets) || taken == 0 else { return Taken(count: taken, failure: error) }
      endCharge(record)
      return Taken(count: 0, failure: error)
    }
  }

  /// The error of a registration whose last call came short.
  private func notWhole(_ taken: Taken, at page: UInt64) -> PinError {
    // Only the fast-only entry points come short without a reason: where a fault would be needed.
    guard let failure = taken.failure else {
      return PinError(.fault, .wouldFault, .badAddress, address: VirtualAddress(page: page))
    }
    guard taken.count > 0 else { return failure }
    return PinError(
      failure.stage, failure.cause, .badAddress, address: failure.address, frame: failure.frame,
      holders: failure.holders)
  }

  // MARK: - What is charged

  /// The number of pages in an array that VFIO charges: all but the zero page, which is reserved.
  ///
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:is_invalid_reserved_pfn (6.1); without frames without
  ///   descriptors.
  package func unreserved(_ frames: some RandomAccessCollection<FrameNumber>) -> Int {
    let zeroPage = global.zeroPage
    return frames.count { $0 != .none && $0 != zeroPage }
  }

  /// The number of pages that io_uring charges for an array: each small page, and each large folio whole,
  /// once.
  ///
  /// The pages are pinned, so that their folios cannot be split.
  ///
  /// - Kernel: io_uring/rsrc.c:io_buffer_account_pin (6.1)
  /// - Kernel: io_uring/rsrc.c:headpage_already_acct (6.1); without the other buffers of the ring.
  package func wholeFolios(_ frames: some RandomAccessCollection<FrameNumber>) -> Int {
    var pages = 0
    var latest = FrameNumber.none
    for (i, frame) in frames.enumerated() {
      let head = memmap.head(of: frame)
      if head == latest { continue }
      let size = memmap.folioPages(head)
      if size > 1 {
        latest = head
        // Two pages of one folio with another page between them are rare, so a search is good enough.
        let isKnown = frames.prefix(i).contains { $0.rawValue &- head.rawValue < UInt32(size) }
        if isKnown { continue }
      }
      pages &+= size
    }
    return pages
  }

  /// Charges pages to a record's address space, and to its user under io_uring.
  private func charge(
    _ record: PinRecord, _ pages: Int, _ process: Process, at page: UInt64
  ) throws(PinError) {
    if pages == 0 { return }
    let space = spaces.space(record.space)
    do {
      if record.accounting == .registered {
        let chargesUser = !process.capabilities.contains(.ipcLock)
        record.chargedToUser += Int(
          try spaces.chargeRegistered(space, pages: UInt64(pages), for: process, chargesUser: chargesUser))
      } else {
        try spaces.chargeLocked(space, pages: UInt64(pages), as: record.accounting.account, for: process)
      }
    } catch {
      throw PinError(
        .account, .memlock(error.description), error.errno, address: VirtualAddress(page: page))
    }
    record.charged += pages
  }

  // MARK: - Uncharging

  /// Uncharges a part of a record's pages, which are still in their slots.
  ///
  /// A registered buffer stays charged until its last page is unpinned, since whole folios are charged for
  /// it.
  func uncharge(_ record: PinRecord, part frames: UnsafeMutableBufferPointer<FrameNumber>, held: Int) {
    let pages =
      switch record.accounting {
      case .none, .registered: 0
      case .pinned: held
      case .locked: unreserved(frames)
      }
    guard pages > 0 else { return }
    spaces.unchargeLocked(spaces.space(record.space), pages: UInt64(pages), as: record.accounting.account)
    global.ledgerLock.withLock { record.charged -= pages }
  }

  /// Uncharges all pages that are still charged for a record, and drops the row of the address space.
  func endCharge(_ record: PinRecord) {
    let space = record.space
    if record.charged > 0 {
      spaces.unchargeLocked(spaces.space(space), pages: UInt64(record.charged), as: record.accounting.account)
    }
    if record.chargedToUser > 0 { spaces.unchargeUser(pages: UInt64(record.chargedToUser)) }
    spaces.putSpaceRow(space)
  }
}
