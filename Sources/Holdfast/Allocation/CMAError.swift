public import SystemPackage

/// Why an allocation from a CMA area failed.
///
/// Linux returns nothing and logs a number. This lists the windows that were tried, each with its obstacles.
public struct CMAError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reason for the failure.
  public enum Cause: Hashable, Sendable {
    /// The machine has no area of that number.
    case noSuchArea
    /// The count is 0 or exceeds the area.
    case badCount(pages: Int, area: Int)
    /// Drivers hold so much of the area that no window is long enough: ENOMEM.
    case noWindow(usedPages: Int)
    /// Every window that drivers leave was busy: EBUSY.
    case busy
    /// There was no memory for the pages to be moved out of a window: ENOMEM.
    case noTarget
    /// A fatal signal was pending.
    case interrupted
    /// A range to be released lies outside the area.
    case outsideArea(FrameRange)
  }

  /// The area's name, empty if there is none.
  public let area: String
  /// Pages requested.
  public let count: Int
  /// The reason.
  public let cause: Cause
  /// The windows that were tried, the first `windowLimit` of them, each with its obstacles.
  public let windows: [ContiguousError]
  /// Number of windows that were tried.
  public let windowTotal: Int
  /// The most windows that an error describes one by one.
  public static let windowLimit = 16

  init(
    area: String, count: Int, cause: Cause, windows: [ContiguousError] = [], windowTotal: Int = 0
  ) {
    self.area = area
    self.count = count
    self.cause = cause
    self.windows = windows
    self.windowTotal = windowTotal
  }

  /// The kernel's errno.
  public var errno: Errno {
    switch cause {
    case .noSuchArea, .badCount, .outsideArea: .invalidArgument
    case .noWindow, .noTarget: .noMemory
    case .busy: .resourceBusy
    case .interrupted: .interrupted
    }
  }

  /// The holders of pins or references in the windows, each once.
  public var holders: [PinHolder] {
    var seen = Set<PinHolder>()
    return windows.flatMap(\.holders).filter { seen.insert($0).inserted }
  }

  /// What the kernel would have logged, or nil where it logs nothing.
  public var message: String? {
    switch cause {
    case .noSuchArea, .badCount, .outsideArea: nil
    default: "cma_alloc: \(area): alloc failed, req-size: \(count) pages, ret: \(-errno.rawValue)"
    }
  }

  /// What was requested, why it failed, and each window's obstacles.
  public var description: String {
    let asked = "\(count) page\(count == 1 ? "" : "s")"
    var text =
      switch cause {
      case .noSuchArea: "The machine has no such CMA area."
      case .badCount(let pages, let size):
        "CMA area \(area) of \(size) pages cannot give \(pages) pages."
      case .noWindow(let used):
        "CMA area \(area) has no room for \(asked): drivers hold \(used) of its pages, and no run between them "
          + "is long enough."
      case .busy:
        "CMA area \(area) could not empty any of \(windowTotal) window\(windowTotal == 1 ? "" : "s") of \(asked)."
      case .noTarget: "There is no memory to move pages out of CMA area \(area) to."
      case .interrupted: "A fatal signal ended an allocation of \(asked) from CMA area \(area)."
      case .outsideArea(let range): "\(range) is not a range of CMA area \(area)."
      }
    for window in windows.prefix(3) { text += " Window \(window.range): \(window)." }
    if windowTotal > 3 { text += " And \(windowTotal - min(3, windows.count)) windows more." }
    return text
  }
}

/// What the release of CMA pages found.
public struct CMARelease: Hashable, Sendable {
  /// Pages with other references than their owner's: they are freed when those end.
  public let stillInUse: Int
  /// The first of them, at most `OfflineError.frameLimit`.
  public let frames: [StuckFrame]
  /// Their holders.
  public let holders: [PinHolder]

  /// The warning that the kernel would print, or nil.
  public var message: String? { stillInUse > 0 ? "\(stillInUse) pages are still in use!" : nil }
}

/// What /sys/kernel/mm/cma and debugfs show of an area.
public struct CMAStatus: Hashable, Sendable {
  /// The name.
  public let name: String
  /// Its frames.
  public let frames: FrameRange
  /// Frames for each bit of the bitmap, as an order.
  public let orderPerBit: Int
  /// Pages that drivers hold (`used`).
  public let usedPages: Int
  /// The longest run of pages that drivers leave (`maxchunk`).
  public let longestRun: Int
  /// `alloc_pages_success` and `alloc_pages_fail`.
  public let pagesSucceeded: UInt64
  /// Pages of requests that failed.
  public let pagesFailed: UInt64
}
