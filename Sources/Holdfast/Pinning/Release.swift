import Interleaving

/// Releasing the pages of a ledger's record, or a part of them.
extension Pins {
  /// Releases and uncharges all pages that a record still holds, and frees the record.
  func endRecord(_ record: PinRecord) {
    let processor = record.processor
    let remaining = record.remaining
    if record.accounting == .locked, !isEnabled(.zeroPageRelease) { forgetZeroPages(record) }
    unpinAll(
      ledger.frames(of: record), pins: isReleasedAsPin(record), markDirty: record.marksDirty, on: processor)
    if record.accounting != .none { endCharge(record) }
    if let trace { trace(.unpin(process: record.owner, pages: remaining)) }
    ledger.closeRecord(record)
  }

  /// Whether the pages of a record are released as pins: as they were taken.
  private func isReleasedAsPin(_ record: PinRecord) -> Bool {
    isEnabled(.releaseByKind) && record.kind == Ledger.pinKind
  }

  /// Removes the zero page from a record's slots, as if reserved memory needed no release.
  private func forgetZeroPages(_ record: PinRecord) {
    let frames = ledger.frames(of: record)
    for i in frames.indices where frames[i] == global.zeroPage { frames[i] = .none }
  }

  /// Releases and uncharges a part of a record's pages.
  func unpinPart(_ record: PinRecord, _ range: Range<Int>, markDirty: Bool) {
    let part = UnsafeMutableBufferPointer(rebasing: ledger.frames(of: record)[range])
    let held = part.count { $0 != .none }
    unpinAll(part, pins: isReleasedAsPin(record), markDirty: markDirty, on: record.processor)
    if record.accounting != .none { uncharge(record, part: part, held: held) }
    global.ledgerLock.withLock {
      part.update(repeating: .none)
      record.remaining -= held
    }
    if let trace { trace(.unpin(process: record.owner, pages: held)) }
  }
}
