import Interleaving
import SystemPackage

/// A record of the ledger whose pages are pinned part by part, and given back in any order: what iommufd keeps of memory that
/// several mappings share.
extension Pins {
  /// Makes a record of so many pages, none of which is pinned.
  ///
  /// - Throws: ENOMEM if a table of the ledger is full.
  package func openSparse(
    _ process: Process, _ space: RowID, at address: VirtualAddress, pages: Int, write: Bool,
    purpose: PinLabel
  ) throws(PinError) -> RowID {
    guard let record = ledger.openRecord(count: pages) else {
      throw PinError(.ledger, .ledgerFull, .noMemory, address: address)
    }
    ledger.slots(of: record, count: pages).update(repeating: .none)
    var flags: PinFlags = [.longterm, .pin]
    if write { flags.insert(.write) }
    let request = PinRequest(
      process: process, space: space, address: address, pages: pages, flags: flags, entry: .remote,
      isPin: true, purpose: purpose, accounting: .none)
    fill(record, request, pages: pages, machine.stamp())
    global.ledgerLock.withLock { record.remaining = 0 }
    return record.id
  }

  /// The parts of a range of such a record's pages that are not pinned.
  package func holes(of id: RowID, in range: Range<Int>) -> [Range<Int>] {
    let frames = ledger.frames(of: ledger.pinRecord(id))
    var found: [Range<Int>] = []
    var at = range.lowerBound
    while at < range.upperBound {
      guard frames[at] == .none else {
        at += 1
        continue
      }
      var end = at + 1
      while end < range.upperBound, frames[end] == .none { end += 1 }
      found.append(at..<end)
      at = end
    }
    return found
  }

  /// How many of such a record's pages from one on, which are pinned, have consecutive frames.
  package func run(of id: RowID, from first: Int, to end: Int) -> FrameRange {
    let frames = ledger.frames(of: ledger.pinRecord(id))
    var count = 1
    while first + count < end, frames[first + count] == frames[first] + count { count += 1 }
    return FrameRange(start: frames[first], count: count)
  }
}
