import Interleaving
import SystemPackage

/// A range that is pinned long term batch by batch, with one record of the ledger for all of it.
///
/// This is how drivers pin that map for a device in between: VFIO and iommufd. They charge for themselves. Until `keep` only
/// the owner of the value knows of the record; `keep`, `move` or `giveBack` ends the value's use.
package struct PinBatches {
  private let pins: Pins
  private let request: PinRequest
  private let record: PinRecord
  private let range: PinRange
  /// The memory file whose pages are pinned; none for those of a space.
  private let object: RowID
  private let begun: UInt64
  /// How many pages are pinned: a prefix of the range.
  package private(set) var pinned = 0
  /// Why the last call gave fewer pages than it was asked for, if it did.
  package private(set) var shortfall: PinError?
  private var hasZeroPage = false

  fileprivate init(
    _ pins: Pins, _ request: PinRequest, _ record: PinRecord, _ range: PinRange, object: RowID
  ) {
    self.pins = pins
    self.request = request
    self.record = record
    self.range = range
    self.object = object
    begun = pins.machine.stamp()
  }

  /// The ledger's record.
  package var id: RowID { record.id }

  /// The frame of a page that is pinned.
  @inline(__always)
  package func frame(_ index: Int) -> FrameNumber { range.frames[index] }

  /// How many of the pages from one on have consecutive frames of one kind: reserved ones, or others.
  ///
  /// - Parameters:
  ///   - known: how many of them are known to be, none of them the zero page.
  ///   - end: where to stop, at most `pinned`.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:is_invalid_reserved_pfn (6.1); without frames without descriptors.
  package func run(from first: Int, known: Int = 1, to end: Int) -> (count: Int, isReserved: Bool) {
    let zeroPage = pins.global.zeroPage
    let frame = range.frames[first]
    if frame == zeroPage { return (1, true) }
    var count = known
    while first &+ count < end {
      let next = range.frames[first &+ count]
      if next.rawValue != frame.rawValue &+ UInt32(truncatingIfNeeded: count) || next == zeroPage { break }
      count &+= 1
    }
    return (count, false)
  }

  /// Pins the next pages: at least one, and at most `most`.
  ///
  /// - Throws: the error of the first page that cannot be pinned, if there is none before it.
  /// - Locks: takes the space's lock, shared; the caller holds no lock above a container's.
  package mutating func refill(atMost most: Int) throws(PinError) {
    let part = range.dropFirst(pinned).prefix(min(most, range.count - pinned))
    let taken =
      object == .none
      ? pins.pinPages(request, part) : pins.pinObject(object, from: part.start, request, part)
    guard taken.count > 0 else {
      throw taken.failure
        ?? PinError(.fault, .wouldFault, .badAddress, address: VirtualAddress(page: part.start))
    }
    pinned += taken.count
    shortfall = taken.failure
  }

  /// Gives the zero pages from one page on back at once, since they are always there; their frames stay until `keep`.
  package mutating func releaseZeroPages(from first: Int) {
    let zeroPage = pins.global.zeroPage
    for i in first..<pinned where range.frames[i] == zeroPage {
      hasZeroPage = true
      if pins.isEnabled(.zeroPageRelease) {
        pins.unpinAll(
          UnsafeMutableBufferPointer(rebasing: range.frames[i...i]), pins: true, markDirty: false,
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

  /// Tells the ledger of the pages, and hands them out.
  package func held() -> PinnedPages {
    keep()
    return PinnedPages(pins, record, Taken(count: pinned))
  }

  /// Tells the ledger of the pages as a part of another record, whose slots there are empty.
  package func move(to other: RowID, at place: Int) {
    let target = pins.ledger.pinRecord(other)
    pins.global.ledgerLock.withLock {
      let slots = pins.ledger.frames(of: target)
      for i in 0..<pinned { slots[place &+ i] = range.frames[i] }
      target.remaining += pinned
    }
    pins.ledger.closeRecord(record)
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
  /// Begins to pin a range of a space batch by batch.
  ///
  /// - Parameters:
  ///   - process: the caller.
  ///   - space: whose pages are pinned; the caller keeps it from ending.
  ///   - entry: the entry point of each batch: for another space than the caller's `.remote`.
  /// - Throws: ENOMEM if a table of the ledger is full.
  package func beginBatches(
    _ process: Process, _ space: RowID, at address: VirtualAddress, pages: Int, write: Bool,
    purpose: PinLabel, entry: PinEntry = .remote
  ) throws(PinError) -> PinBatches {
    var flags: PinFlags = [.longterm, .pin]
    if entry == .remote { flags.formUnion([.touch, .remote]) }
    if write { flags.insert(.write) }
    return try begin(
      PinRequest(
        process: process, space: space, address: address, pages: pages, flags: flags, entry: entry,
        isPin: true, purpose: purpose, accounting: .none),
      object: .none)
  }

  /// Begins to pin pages of a memory file.
  ///
  /// - Throws: EINVAL for a range beyond the file, or an object that is none; ENOMEM if a table of the ledger is full.
  package func beginFile(
    _ id: RowID, from first: UInt64, pages: Int, by process: Process, purpose: PinLabel
  ) throws(PinError) -> PinBatches {
    let object = pageCache.object(id)
    guard object.kind == .memfd else { throw PinError(.area, .noPages, .invalidArgument) }
    let size = object.lock.withLock { object.pages }
    guard pages > 0, first < size, UInt64(pages) <= size - first else {
      throw PinError(.arguments, .badRange, .invalidArgument, address: VirtualAddress(page: first))
    }
    return try begin(
      PinRequest(
        process: process, space: process.space, address: VirtualAddress(page: first), pages: pages,
        flags: [.longterm, .pin, .write], entry: .remote, isPin: true, purpose: purpose, accounting: .none),
      object: id)
  }

  private func begin(_ request: PinRequest, object: RowID) throws(PinError) -> PinBatches {
    guard let record = ledger.openRecord(count: request.pages) else {
      throw PinError(.ledger, .ledgerFull, .noMemory, address: request.address)
    }
    let slots = ledger.slots(of: record, count: request.pages)
    return PinBatches(
      self, request, record, PinRange(start: request.address.page, frames: slots), object: object)
  }

  /// Unpins the pages that are left of a record that a driver keeps.
  ///
  /// - Parameter processor: whose counters the release goes to.
  package func endBatches(_ id: RowID, markDirty: Bool, on processor: Int) {
    let record = ledger.pinRecord(id)
    global.ledgerLock.withLock { record.processor = processor }
    record.marksDirty = markDirty
    endRecord(record)
  }

  /// The frames of some pages of such a record.
  package func frames(of id: RowID, _ range: Range<Int>) -> [FrameNumber] {
    Array(ledger.frames(of: ledger.pinRecord(id))[range])
  }

  /// Unpins a part of such a record's pages, those that are left of it.
  package func endPart(_ id: RowID, _ range: Range<Int>, markDirty: Bool, on processor: Int) {
    let record = ledger.pinRecord(id)
    global.ledgerLock.withLock { record.processor = processor }
    unpinPart(record, range, markDirty: markDirty)
  }
}
