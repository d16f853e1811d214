import Interleaving
import SystemPackage

/// Pins of the buffers of a ring.
extension Pins {
  /// Pins a buffer with one call, and charges its folios whole, but for those that the ring is charged for already.
  ///
  /// - Parameters:
  ///   - chargesUser: whether the ring charges its user.
  ///   - others: the records of the ring's other buffers.
  /// - Returns: the ledger's record, which `endBatches` ends.
  /// - Throws: the error of the pin, EFAULT for fewer pages than asked for, EINVAL for memory of several kinds, ENOMEM beyond
  ///   the limit. Nothing is pinned then.
  /// - Locks: the caller holds no lock.
  /// - Kernel: io_uring/rsrc.c:io_pin_pages (6.1); without looking at the areas under the lock of the pin, EOPNOTSUPP for
  ///   files on disk.
  package func pinBuffer(
    _ process: Process, at address: VirtualAddress, pages: Int, chargesUser: Bool, beside others: [RowID]
  ) throws(PinError) -> RowID {
    var batches = try beginBatches(
      process, process.space, at: address, pages: pages, write: true, purpose: PinLabel("io_uring"),
      entry: .slow)
    do throws(PinError) {
      try batches.refill(atMost: pages)
      if batches.pinned < pages {
        let page = VirtualAddress(page: address.page + UInt64(batches.pinned))
        throw PinError(.fault, batches.shortfall?.cause ?? .noArea, .badAddress, address: page)
      }
      guard spaces.isOfOneKind(process.space, address.page..<address.page + UInt64(pages)) else {
        throw PinError(.area, .mixed, .invalidArgument, address: address)
      }
    } catch {
      batches.giveBack(markDirty: false)
      throw error
    }
    batches.keep()
    let record = ledger.pinRecord(batches.id)
    let charge = wholeFolios(of: record, beside: others)
    let toUser: UInt64
    do throws(AddressSpaceError) {
      toUser = try spaces.chargeRegistered(
        spaces.space(process.space), pages: UInt64(charge), for: process, chargesUser: chargesUser)
    } catch {
      endBatches(record.id, markDirty: false, on: process.processor)
      throw PinError(.account, .memlock(error.description), error.errno, address: address)
    }
    spaces.getSpaceRow(process.space)
    global.ledgerLock.withLock {
      record.accounting = .registered
      record.isOfRing = true
      record.charged = charge
      record.chargedToUser = Int(toUser)
    }
    return record.id
  }

  /// The pages to be charged for a buffer: small ones each, large folios whole, unless another buffer has a page of them.
  ///
  /// - Kernel: io_uring/rsrc.c:io_buffer_account_pin (6.1)
  /// - Kernel: io_uring/rsrc.c:headpage_already_acct (6.1)
  private func wholeFolios(of record: PinRecord, beside others: [RowID]) -> Int {
    let frames = ledger.frames(of: record)
    var known: Set<FrameNumber> = []
    for other in others {
      for frame in ledger.frames(of: ledger.pinRecord(other)) where frame != .none {
        known.insert(memmap.head(of: frame))
      }
    }
    var pages = 0
    var latest = FrameNumber.none
    for frame in frames {
      let head = memmap.head(of: frame)
      let size = memmap.folioPages(head)
      if size == 1 {
        pages += 1
      } else if head != latest {
        latest = head
        if known.insert(head).inserted { pages += size }
      }
    }
    return pages
  }
}
