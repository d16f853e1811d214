import SystemPackage

/// What one call of an entry point asks for: whose pages, in which way, and for whom.
struct PinRequest {
  /// The caller.
  let process: Process
  /// The address space whose pages are wanted; the caller's own until a remote one is held.
  var space: RowID
  let address: VirtualAddress
  let pages: Int
  /// As given by the caller; as the kernel's inner functions know them once `completeFlags` has seen them.
  var flags: PinFlags
  let entry: PinEntry
  /// Whether pins are wanted (FOLL_PIN), or ordinary references (FOLL_GET).
  let isPin: Bool
  let purpose: PinLabel
  let accounting: PinAccounting

  /// Whether the entry point begins without the address space's lock.
  var isFast: Bool { entry == .fast || entry == .fastOnly }

  /// The same with other flags.
  func with(_ flags: PinFlags) -> PinRequest {
    var request = self
    request.flags = flags
    return request
  }
}

/// Consecutive virtual pages, and the slots of the ledger that their frames go to.
struct PinRange {
  /// The first virtual page.
  let start: UInt64
  /// A slot for each page.
  let frames: UnsafeMutableBufferPointer<FrameNumber>

  var count: Int { frames.count }

  /// The first pages.
  func prefix(_ pages: Int) -> PinRange {
    PinRange(start: start, frames: UnsafeMutableBufferPointer(rebasing: frames.prefix(pages)))
  }

  /// What follows the first pages.
  func dropFirst(_ pages: Int) -> PinRange {
    PinRange(
      start: start + UInt64(pages), frames: UnsafeMutableBufferPointer(rebasing: frames.dropFirst(pages)))
  }
}

/// How many pages of a range were taken, always a prefix of it, and why not more.
struct Taken {
  var count: Int
  /// Nil if the range was taken whole, or where an entry point stops without an error.
  var failure: PinError?
}
