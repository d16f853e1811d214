public import SystemPackage

/// A holder of pages: one record of the ledger, as errors and reports show it.
public struct PinHolder: Hashable, Sendable, CustomStringConvertible {
  /// The process that took the pages.
  public let owner: ProcessID
  /// Its name then.
  public let ownerName: String
  /// What the pages are for.
  public let purpose: String
  /// Whether these are pins (FOLL_PIN) rather than ordinary references (FOLL_GET).
  public let isPin: Bool
  /// Whether the pin is long-term (FOLL_LONGTERM).
  public let isLongterm: Bool
  /// The address that was pinned.
  public let address: VirtualAddress
  /// Pages held in the range of the request.
  public let pagesInRange: Int
  /// Pages still held by the record.
  public let pages: Int
  /// Calls that the machine has served since.
  public let age: UInt64

  /// One clause: the process, the kind of holding, the number of pages, the purpose and the address.
  public var description: String {
    let kind = isPin ? (isLongterm ? "long-term pin" : "pin") : "reference"
    let who = ownerName.isEmpty ? "process \(owner)" : "\(ownerName) (\(owner))"
    let what = purpose.isEmpty ? "" : " for \(purpose)"
    return "\(who): \(kind) of \(pagesInRange) page\(pagesInRange == 1 ? "" : "s")\(what) at \(address)"
  }
}

/// Why pages could not be pinned or got.
///
/// Linux returns ENOMEM for five different reasons; `cause` tells them apart, and `errno` is what Linux
/// returns.
public struct PinError: Error, Sendable, CustomStringConvertible {
  /// The part of the call that failed.
  public enum Stage: String, Hashable, Sendable {
    case arguments, account, area, fault, grab, isolate, migrate, signal, ledger
  }

  /// The reason for the failure.
  public enum Cause: Hashable, Sendable {
    /// Flags that exclude each other or that the entry point refuses; the reason in words.
    case illegalFlags(String)
    /// The caller or the owner of the memory has ended.
    case noSuchProcess(ProcessID)
    /// The range is empty, wraps, or leaves user space.
    case badRange
    /// No area at the address.
    case noArea
    /// The area has no pages to give: I/O memory, or frames without descriptors.
    case noPages
    /// FOLL_ANON, and the area is not anonymous.
    case notAnonymous
    /// FOLL_SPLIT_PMD, and the area is one of huge pages that never split.
    case hugetlbSplit
    /// Write access to an area that is not writable, or read access to one that is not readable.
    case notPermitted(write: Bool)
    /// A hole or the zero page where FOLL_DUMP wants neither.
    case holeForDump
    /// The page is not mapped, and FOLL_NOFAULT forbids a fault.
    case wouldFault
    /// The fault could not allocate memory; the allocator's error in words.
    case faultNoMemory(String)
    /// The fault met the end of the object or a poisoned page; which, in words.
    case faultRefused(String)
    /// The reference count of the page overflowed: too many pins.
    case countOverflow(references: Int32)
    /// A hugetlb page that may not stay where it is, which this kernel does not move away for a pin.
    case hugetlbMayNotStay
    /// RLIMIT_MEMLOCK does not allow the charge; the numbers in words.
    case memlock(String)
    /// Pages that may not be pinned where they are could not be isolated.
    case notIsolated(folios: Int, passes: Int)
    /// Pages that may not be pinned where they are could not be migrated.
    case notMigrated([MigrationFailure])
    /// No memory could be allocated for the targets of a migration.
    case noTarget([MigrationFailure])
    /// A signal ended the call.
    case interrupted
    /// The range is memory of several kinds, or of several objects.
    case mixed
    /// The ledger's tables are full.
    case ledgerFull
  }

  /// The part of the call that failed.
  public let stage: Stage
  /// The reason for the failure.
  public let cause: Cause
  /// The address, if the failure belongs to one.
  public let address: VirtualAddress?
  /// The frame, if the failure belongs to one.
  public let frame: FrameNumber?
  /// The holders of that frame.
  public let holders: [PinHolder]
  /// The kernel's errno.
  public let errno: Errno

  init(
    _ stage: Stage, _ cause: Cause, _ errno: Errno, address: VirtualAddress? = nil,
    frame: FrameNumber? = nil, holders: [PinHolder] = []
  ) {
    self.stage = stage
    self.cause = cause
    self.errno = errno
    self.address = address
    self.frame = frame
    self.holders = holders
  }

  /// One sentence: the reason, the address, the frame and its holders.
  public var description: String {
    var text =
      switch cause {
      case .illegalFlags(let reason): reason
      case .noSuchProcess(let id): "process \(id) has ended"
      case .badRange: "the range is empty, wraps around or leaves user space"
      case .noArea: "nothing is mapped there"
      case .noPages: "the area maps frames that have no page descriptors"
      case .notAnonymous: "the area is not anonymous"
      case .hugetlbSplit: "a hugetlb area cannot be mapped page by page"
      case .notPermitted(let write): "the area may not be \(write ? "written" : "read")"
      case .holeForDump: "a hole or the zero page, which a dump leaves out"
      case .wouldFault: "the page is not there, and the call may not fault"
      case .faultNoMemory(let what): "the fault found no memory: \(what)"
      case .faultRefused(let what): "the fault failed: \(what)"
      case .countOverflow(let references):
        "the page's reference count has overflowed (\(references)): too many pins of one folio"
      case .hugetlbMayNotStay:
        "the hugetlb page may not stay where it is, and this kernel refuses it instead of moving it away"
      case .memlock(let what): what
      case .notIsolated(let folios, let passes):
        "\(folios) folio\(folios == 1 ? "" : "s") may not stay where pinned and could not be taken off "
          + "the LRU lists in \(passes) passes: someone else has them isolated, or they are on no list"
      case .notMigrated(let failures):
        "pages may not stay where pinned and could not be moved away - "
          + Self.list(failures.map(\.description))
      case .noTarget(let failures):
        "pages may not stay where pinned and there is no memory to move them to - "
          + Self.list(failures.map(\.description))
      case .interrupted: "a fatal signal is pending"
      case .mixed: "the range is memory of several kinds or of several objects"
      case .ledgerFull: "the table of pins is full"
      }
    if let address { text += ", at \(address)" }
    if let frame, frame != .none { text += " (\(frame))" }
    if !holders.isEmpty { text += "; held by " + Self.list(holders.map(\.description)) }
    return text
  }

  private static func list(_ clauses: [String]) -> String {
    let shown = clauses.prefix(3).joined(separator: "; ")
    return clauses.count > 3 ? shown + "; and \(clauses.count - 3) more" : shown
  }
}
