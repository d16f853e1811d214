import SystemPackage

/// The arguments of one call of an entry point.
struct PinRequest {
  /// The caller.
  let process: Process
  /// The address space whose pages are taken: the caller's own, or the one that a remote call holds.
  var space: RowID
  let address: VirtualAddress
  let pages: Int
  /// The caller's flags; `completeFlags` adds those that the entry point sets.
  var flags: PinFlags
  let entry: PinEntry
  /// True for pins (FOLL_PIN), false for ordinary references (FOLL_GET).
  let isPin: Bool
  let purpose: PinLabel
  let accounting: PinAccounting

  /// Whether the entry point tries the lockless path.
  @inline(__always)
  var isFast: Bool { entry == .fast || entry == .fastOnly }

  /// The same request with other flags.
  func with(_ flags: PinFlags) -> PinRequest {
    var request = self
    request.flags = flags
    return request
  }
}

/// Consecutive virtual pages, and the slots of the ledger that receive their frames.
struct PinRange {
  /// The first virtual page.
  let start: UInt64
  /// A slot for each page.
  let frames: UnsafeMutableBufferPointer<FrameNumber>

  var count: Int { frames.count }

  /// The first pages of the range.
  func prefix(_ pages: Int) -> PinRange {
    PinRange(start: start, frames: UnsafeMutableBufferPointer(rebasing: frames.prefix(pages)))
  }

  /// The range without its first pages.
  func dropFirst(_ pages: Int) -> PinRange {
    PinRange(
      start: start + UInt64(pages), frames: UnsafeMutableBufferPointer(rebasing: frames.dropFirst(pages)))
  }
}

/// How many pages of a range were taken, a prefix of it, and why not all.
struct Taken {
  var count: Int
  /// Nil if all pages were taken, or if the entry point stops short without an error.
  var failure: PinError?
}
