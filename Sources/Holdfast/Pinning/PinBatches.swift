import Interleaving
import SystemPackage

/// A range that is pinned long term batch by batch, with one record of the ledger for all of it.
///
/// This is how drivers pin that map for a device in between: VFIO and iommufd. They charge for themselves. Until
/// `keep` nobody but the owner of the value knows of the record; either that or `giveBack` ends the value's use.
package struct PinBatches {
  private let pins: Pins
  private let request: PinRequest
  private let record: PinRecord
  private let range: PinRange
  private let begun: UInt64
  /// How many pages are pinned: a prefix of the range.
  package private(set) var pinned = 0
  private var hasZeroPage = false

  fileprivate init(
    _ pins: Pins, _ request: PinRequest, _ record: PinRecord, _ range: PinRange, begun: UInt64
  ) {
    self.pins = pins
    self.request = request
    self.record = record
    self.range = range
    self.begun = begun
  }

  /// The ledger's record.
  package var id: RowID { record.id }

  /// The frame of a page that is pinned.
  @inline(__always)
  package func frame(_ index: Int) -> FrameNumber { range.frames[index] }

  /// How many of the pages from one on have consecutive frames of one kind: reserved ones, or others.
  ///
  /// - Parameter end: where to stop, at most `pinned`.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:is_invalid_reserved_pfn (6.1); without frames without descriptors.
  package func run(from first: Int, to end: Int) -> (count: Int, isReserved: Bool) {
    let zeroPage = pins.global.zeroPage
    let frame = range.frames[first]
    if frame == zeroPage { return (1, true) }
    var count = 1
    while first &+ count < end {
      let next = range.frames[first &+ count]
      if next.rawValue != frame.rawValue &+ UInt32(truncatingIfNeeded: count) || next == zeroPage { break }
      count &+= 1
    }
    return (count, false)
  }

  /// Pins the next pages, so many at most and at least one.
  ///
  /// Zero pages are given back at once, since they are always there.
  ///
  /// - Throws: the error of the first page that cannot be pinned, if there is none before it.
  /// - Locks: takes the space's lock, shared; the caller holds no lock above a container's.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vaddr_get_pfns (6.1); without areas of frames without descriptors.
  package mutating func refill(atMost most: Int) throws(PinError) {
    let part = range.dropFirst(pinned).prefix(min(most, range.count - pinned))
    let taken = pins.pinPages(request, part)
    guard taken.count > 0 else {
      throw taken.failure
        ?? PinError(.fault, .wouldFault, .badAddress, address: VirtualAddress(page: part.start))
    }
    pinned += taken.count
    let zeroPage = pins.global.zeroPage
    for i in 0..<taken.count where part.frames[i] == zeroPage {
      hasZeroPage = true
      if pins.isEnabled(.zeroPageRelease) {
        pins.unpinAll(
          UnsafeMutableBufferPointer(rebasing: part.frames[i...i]), pins: true, markDirty: false,
          on: request.process.processor)
      }
    }
  }

  /// Tells the ledger of the pages.
  package func keep() {
    if hasZeroPage { forgetZeroPages() }
    pins.fill(record, request, pages: pinned, begun)
    if hasZeroPage {
      let held = range.prefix(pinned).frames.count { $0 != .none }
      pins.global.ledgerLock.withLock { record.remaining = held }
    }
    if let trace = pins.trace {
      trace(
        .pin(
          process: request.process.id, address: request.address, pages: pinned, flags: request.flags))
    }
  }

  /// Unpins everything, and forgets the record.
  package func giveBack(markDirty: Bool) {
    if hasZeroPage { forgetZeroPages() }
    pins.unpinAll(
      range.prefix(pinned).frames, pins: true, markDirty: markDirty, on: request.process.processor)
    pins.ledger.closeRecord(record)
  }

  private func forgetZeroPages() {
    let zeroPage = pins.global.zeroPage
    for i in 0..<pinned where range.frames[i] == zeroPage { range.frames[i] = .none }
  }
}

extension Pins {
  /// Begins to pin a range of a space batch by batch, through the remote entry point.
  ///
  /// - Parameters:
  ///   - process: the caller.
  ///   - space: whose pages are pinned; the caller keeps it from ending.
  /// - Throws: ENOMEM if a table of the ledger is full.
  /// - Kernel: mm/gup.c:pin_user_pages_remote (6.1)
  package func beginBatches(
    _ process: Process, _ space: RowID, at address: VirtualAddress, pages: Int, write: Bool,
    purpose: PinLabel
  ) throws(PinError) -> PinBatches {
    var flags: PinFlags = [.longterm, .pin, .touch, .remote]
    if write { flags.insert(.write) }
    let request = PinRequest(
      process: process, space: space, address: address, pages: pages, flags: flags, entry: .remote,
      isPin: true, purpose: purpose, accounting: .none)
    guard let record = ledger.openRecord(count: pages) else {
      throw PinError(.ledger, .ledgerFull, .noMemory, address: address)
    }
    let range = PinRange(start: address.page, frames: ledger.slots(of: record, count: pages))
    return PinBatches(self, request, record, range, begun: machine.stamp())
  }

  /// Unpins the pages that are left of a record that `PinBatches` kept.
  ///
  /// - Parameter processor: whose counters the release goes to.
  package func endBatches(_ id: RowID, markDirty: Bool, on processor: Int) {
    let record = ledger.pinRecord(id)
    global.ledgerLock.withLock { record.processor = processor }
    record.marksDirty = markDirty
    endRecord(record)
  }

  /// Unpins a part of such a record's pages, those that are left of it.
  package func endPart(_ id: RowID, _ range: Range<Int>, markDirty: Bool, on processor: Int) {
    let record = ledger.pinRecord(id)
    global.ledgerLock.withLock { record.processor = processor }
    unpinPart(record, range, markDirty: markDirty)
  }
}
