import Interleaving

/// The kind of a holding that pins its pages for DMA (FOLL_PIN).
public enum Pinned {}

/// The kind of a holding that has ordinary references on its pages (FOLL_GET).
public enum Gotten {}

/// Pages pinned for DMA, as `Machine.pin` returns them.
///
/// The compiler sees to it that they are unpinned exactly once: with `unpin`, or when the value goes out of
/// scope.
public typealias PinnedPages = Holding<Pinned>

/// Pages with ordinary references, as `Machine.get` returns them: put with `put`, or when the value goes out
/// of scope.
public typealias GottenPages = Holding<Gotten>

/// Pages that a call has taken, a prefix of the range requested: pinned (`PinnedPages`) or with references
/// (`GottenPages`).
///
/// Fewer pages than requested are a success, as in Linux; `shortfall` keeps the reason, which Linux does not
/// return.
public struct Holding<Kind>: ~Copyable {
  private let pins: Pins
  /// The ledger's record; row zero, which has no pages, if none were requested.
  private var record: PinRecord
  /// The number of pages that were taken.
  public let count: Int
  /// The reason why there are fewer pages than requested; nil if there are not.
  public let shortfall: PinError?

  @inline(__always)
  init(_ pins: Pins, _ record: PinRecord, _ taken: Taken) {
    self.pins = pins
    self.record = record
    count = taken.count
    shortfall = taken.failure
  }

  // A record that is not in use was taken before the explorer restored the machine.
  deinit { if record.id != .none, record.kind != 0 { pins.endRecord(record) } }

  /// The frame of a page; `FrameNumber.none` after that page was released.
  public subscript(index: Int) -> FrameNumber {
    precondition(index >= 0 && index < count, "page index out of range")
    return frames[index]
  }

  /// Calls `body` with all frames.
  public borrowing func withFrames<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<FrameNumber>) throws(Failure) -> Result
  ) throws(Failure) -> Result { try body(UnsafeBufferPointer(frames)) }

  /// A second handle of the same pages, for a machine that will be restored to its state now.
  ///
  /// All but one of such handles must be forgotten.
  package borrowing func again() -> Self { Self(pins, record, Taken(count: count, failure: shortfall)) }

  /// Makes the end of this value release nothing.
  package mutating func forget() { record = pins.ledger.pinRecord(.none) }

  private var frames: UnsafeMutableBufferPointer<FrameNumber> { pins.ledger.slots(of: record, count: count) }

  private borrowing func release(_ range: Range<Int>, markDirty: Bool) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "page range out of range")
    if !range.isEmpty { pins.unpinPart(record, range, markDirty: markDirty) }
  }

  /// Releases the pages that are left, which the end of `self` does.
  private consuming func finish(markDirty: Bool) { if record.id != .none { record.marksDirty = markDirty } }
}

extension Holding where Kind == Pinned {
  /// Unpins some of the pages; those already unpinned are skipped.
  ///
  /// - Parameters:
  ///   - range: which of the pages, counted from the first one that was pinned.
  ///   - markDirty: whether each folio is marked dirty first, under its lock (unpin_user_pages_dirty_lock).
  public borrowing func unpin(_ range: Range<Int>, markDirty: Bool = false) {
    release(range, markDirty: markDirty)
  }

  /// Unpins the pages that are left (unpin_user_pages, or unpin_user_pages_dirty_lock with `markDirty`).
  public consuming func unpin(markDirty: Bool = false) { finish(markDirty: markDirty) }
}

extension Holding where Kind == Gotten {
  /// Puts some of the pages; those already put are skipped.
  public borrowing func put(_ range: Range<Int>) { release(range, markDirty: false) }

  /// Puts the pages that are left.
  public consuming func put() { finish(markDirty: false) }
}
