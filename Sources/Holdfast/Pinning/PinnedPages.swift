import Interleaving

/// Pages pinned for DMA: unpinned exactly once, by the compiler's word.
///
/// What pin_user_pages returns, with its ledger record. Fewer pages than asked for is a success, as in Linux; then
/// `shortfall` keeps the reason that Linux loses. Dropping the value unpins.
public struct PinnedPages: ~Copyable {
  private var pages: HeldPages

  init(_ pages: consuming HeldPages) { self.pages = pages }

  /// Pages pinned: a prefix of the range asked for.
  public var count: Int { pages.count }
  /// Why there are fewer than asked for, if so.
  public var shortfall: PinError? { pages.shortfall }
  /// The frame of a page; `FrameNumber.none` once that page was unpinned.
  public subscript(index: Int) -> FrameNumber { pages[index] }
  /// Calls `body` with all frames.
  public borrowing func withFrames<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<FrameNumber>) throws(Failure) -> Result
  ) throws(Failure) -> Result { try pages.withFrames(body) }

  /// Unpins some of the pages; those already unpinned are skipped.
  ///
  /// - Parameter markDirty: mark each folio dirty first, under its lock (unpin_user_pages_dirty_lock).
  public borrowing func unpin(_ range: Range<Int>, markDirty: Bool = false) {
    pages.release(range, markDirty: markDirty)
  }

  /// Unpins what is left and ends the record (unpin_user_pages, unpin_user_pages_dirty_lock).
  public consuming func unpin(markDirty: Bool = false) { pages.finish(markDirty: markDirty) }

  /// The same pages once more, for a machine that is put back to now; all such values but one are forgotten.
  package borrowing func again() -> Self { Self(pages.again()) }

  /// Lets go of the value without giving anything back.
  package mutating func forget() { pages.forget() }
}

/// Pages held by ordinary references (FOLL_GET): what get_user_pages returns.
///
/// Dropping the value puts them.
public struct GottenPages: ~Copyable {
  private var pages: HeldPages

  init(_ pages: consuming HeldPages) { self.pages = pages }

  /// Pages got: a prefix of the range asked for.
  public var count: Int { pages.count }
  /// Why there are fewer than asked for, if so.
  public var shortfall: PinError? { pages.shortfall }
  /// The frame of a page; `FrameNumber.none` once that page was put.
  public subscript(index: Int) -> FrameNumber { pages[index] }
  /// Puts some of the pages; those already put are skipped.
  public borrowing func put(_ range: Range<Int>) { pages.release(range, markDirty: false) }
  /// Puts what is left and ends the record.
  public consuming func put() { pages.finish(markDirty: false) }

  /// The same pages once more, for a machine that is put back to now; all such values but one are forgotten.
  package borrowing func again() -> Self { Self(pages.again()) }

  /// Lets go of the value without giving anything back.
  package mutating func forget() { pages.forget() }
}

/// A ledger record and the pages that it stands for; row zero, and no pages, where nothing was asked for.
struct HeldPages: ~Copyable {
  private let machine: Machine
  private var record: PinRecord
  let count: Int
  let shortfall: PinError?

  init(_ machine: Machine, _ record: PinRecord, count: Int, shortfall: PinError?) {
    self.machine = machine
    self.record = record
    self.count = count
    self.shortfall = shortfall
  }

  // A record that is in no use belongs to a time before the machine was put back.
  deinit { if record.id != .none, record.kind != 0 { machine.endRecord(record) } }

  func again() -> HeldPages { HeldPages(machine, record, count: count, shortfall: shortfall) }

  mutating func forget() { record = machine.pinRecord(.none) }

  subscript(index: Int) -> FrameNumber {
    precondition(index >= 0 && index < count, "page index out of range")
    return machine.frames(of: record)[index]
  }

  func withFrames<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<FrameNumber>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeBufferPointer(start: machine.frames(of: record), count: count))
  }

  func release(_ range: Range<Int>, markDirty: Bool) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "page range out of range")
    if !range.isEmpty { machine.releasePart(record, range, markDirty: markDirty) }
  }

  /// Ends the record, which the end of `self` does.
  consuming func finish(markDirty: Bool) { if record.id != .none { record.marksDirty = markDirty } }
}

extension Machine {
  /// Gives back every page of a record that is still held, and frees the record.
  func endRecord(_ record: PinRecord) {
    let processor = record.processor
    let remaining = record.remaining
    if record.accounting == .locked, !isEnabled(.zeroPageRelease) { forgetZeroPages(record) }
    releaseAll(
      frames(of: record), record.total, pins: isReleasedAsPin(record), markDirty: record.marksDirty,
      on: processor)
    if record.accounting != .none { endCharge(record) }
    if let trace { trace(.unpin(process: record.owner, pages: remaining)) }
    closeRecord(record)
  }

  private func isReleasedAsPin(_ record: PinRecord) -> Bool {
    isEnabled(.releaseByKind) && record.kind == Self.pinRecordKind
  }

  /// Takes the zero page for reserved memory that nobody has to give back.
  private func forgetZeroPages(_ record: PinRecord) {
    let frames = frames(of: record)
    for i in 0..<record.total where frames[i] == global.zeroPage { frames[i] = .none }
  }

  /// Gives back a part of a record's pages.
  func releasePart(_ record: PinRecord, _ range: Range<Int>, markDirty: Bool) {
    let start = frames(of: record) + range.lowerBound
    let held = (0..<range.count).reduce(0) { $0 + (start[$1] == .none ? 0 : 1) }
    releaseAll(
      start, range.count, pins: isReleasedAsPin(record), markDirty: markDirty, on: record.processor)
    if record.accounting != .none { uncharge(record, part: start, range.count, held: held) }
    global.ledgerLock.withLock {
      for i in 0..<range.count { start[i] = .none }
      record.remaining -= held
    }
    if let trace { trace(.unpin(process: record.owner, pages: held)) }
  }
}
