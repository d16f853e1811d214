import Interleaving

/// What a holding consists of that pins pages for DMA (FOLL_PIN).
public enum Pinned {}

/// What a holding consists of that keeps ordinary references (FOLL_GET).
public enum Gotten {}

/// Pages pinned for DMA: unpinned exactly once, by the compiler's word.
///
/// What pin_user_pages returns, with its ledger record.
public typealias PinnedPages = Holding<Pinned>

/// Pages held by ordinary references (FOLL_GET): what get_user_pages returns.
public typealias GottenPages = Holding<Gotten>

/// A prefix of the range that a call asked for, held by pins (`PinnedPages`) or by references (`GottenPages`).
///
/// Fewer pages than asked for is a success, as in Linux; then `shortfall` keeps the reason that Linux loses. Dropping
/// the value gives the pages back.
public struct Holding<Kind>: ~Copyable {
  private let machine: Machine
  /// Row zero, which holds nothing, where no pages were asked for.
  private var record: PinRecord
  /// Pages held at first.
  public let count: Int
  /// Why there are fewer than asked for, if so.
  public let shortfall: PinError?

  init(_ machine: Machine, _ record: PinRecord, _ taken: Taken) {
    self.machine = machine
    self.record = record
    count = taken.count
    shortfall = taken.failure
  }

  // A record that is in no use belongs to a time before the machine was put back.
  deinit { if record.id != .none, record.kind != 0 { machine.endRecord(record) } }

  /// The frame of a page; `FrameNumber.none` once that page was given back.
  public subscript(index: Int) -> FrameNumber {
    precondition(index >= 0 && index < count, "page index out of range")
    return frames[index]
  }

  /// Calls `body` with all frames.
  public borrowing func withFrames<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<FrameNumber>) throws(Failure) -> Result
  ) throws(Failure) -> Result { try body(UnsafeBufferPointer(frames)) }

  /// The same pages once more, for a machine that is put back to now; all such values but one are forgotten.
  package borrowing func again() -> Self { Self(machine, record, Taken(count: count, failure: shortfall)) }

  /// Lets go of the value without giving anything back.
  package mutating func forget() { record = machine.pinRecord(.none) }

  private var frames: UnsafeMutableBufferPointer<FrameNumber> { machine.slots(of: record, count: count) }

  private borrowing func release(_ range: Range<Int>, markDirty: Bool) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "page range out of range")
    if !range.isEmpty { machine.releasePart(record, range, markDirty: markDirty) }
  }

  /// Ends the record, which the end of `self` does.
  private consuming func finish(markDirty: Bool) { if record.id != .none { record.marksDirty = markDirty } }
}

extension Holding where Kind == Pinned {
  /// Unpins some of the pages; those already unpinned are skipped.
  ///
  /// - Parameter markDirty: mark each folio dirty first, under its lock (unpin_user_pages_dirty_lock).
  public borrowing func unpin(_ range: Range<Int>, markDirty: Bool = false) {
    release(range, markDirty: markDirty)
  }

  /// Unpins what is left and ends the record (unpin_user_pages, unpin_user_pages_dirty_lock).
  public consuming func unpin(markDirty: Bool = false) { finish(markDirty: markDirty) }
}

extension Holding where Kind == Gotten {
  /// Puts some of the pages; those already put are skipped.
  public borrowing func put(_ range: Range<Int>) { release(range, markDirty: false) }

  /// Puts what is left and ends the record.
  public consuming func put() { finish(markDirty: false) }
}
