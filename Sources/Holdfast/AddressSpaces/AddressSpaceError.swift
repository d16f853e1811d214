public import SystemPackage

/// Why a call on an address space failed.
public struct AddressSpaceError: Error, Sendable, CustomStringConvertible {
  /// The call that failed.
  public enum Operation: String, Hashable, Sendable {
    case createProcess = "create process"
    case createObject = "create object"
    case fork
    case map, unmap, protect, advise, populate, access
    case lockMemory = "lock memory"
    case reserveHugePages = "reserve huge pages"
  }

  /// The reason for the failure.
  public enum Cause: Hashable, Sendable {
    /// The process or object does not exist, or has ended.
    case noSuchProcess, noSuchObject
    /// There is no processor of that number.
    case noSuchProcessor(Int)
    /// There is no node of that number.
    case noSuchNode(Int)
    /// The length is zero or negative.
    case emptyRange
    /// An address, offset or length is not a multiple of `bytes` bytes.
    case unaligned(bytes: UInt64)
    /// Start plus length wraps around.
    case overflow
    /// The range reaches beyond the address space.
    case beyondSpace
    /// The first page may not be mapped.
    case belowMinimum
    /// No gap of the address space is large enough.
    case noGap
    /// Nothing is mapped at the address.
    case hole
    /// The area does not allow the access.
    case accessDenied
    /// The engine does not know the advice.
    case adviceUnknown(Advice)
    /// The area is not of a kind that takes the advice.
    case unsuitableArea
    /// The access lies beyond the end of the object, or no huge page is left.
    case busError
    /// The page is damaged.
    case poisoned
    /// No frame could be allocated.
    case noMemory
    /// The table of that name has no free row.
    case tableFull(String)
    /// Too few huge pages are free for the mapping; the value is how many it needs.
    case noHugePages(Int)
    /// RLIMIT_MEMLOCK: pages locked already, pages requested, and the limit in pages.
    case memlockLimit(locked: UInt64, requested: UInt64, limit: UInt64)
    /// A fork found the lock of a page taken that a device has exclusively.
    case pageLocked
    /// A failure was injected.
    case injected
  }

  /// The call that failed.
  public let operation: Operation
  /// The reason.
  public let cause: Cause
  /// The address, if the failure belongs to one.
  public let address: VirtualAddress?
  /// The kernel's errno.
  public let errno: Errno
  /// The allocation that failed, if memory was short.
  public let allocation: AllocationError?

  /// A failure of `operation`.
  public init(
    _ operation: Operation, _ cause: Cause, at address: VirtualAddress? = nil, errno: Errno,
    allocation: AllocationError? = nil
  ) {
    self.operation = operation
    self.cause = cause
    self.address = address
    self.errno = errno
    self.allocation = allocation
  }

  /// One sentence.
  public var description: String {
    let place = address.map { " at \($0)" } ?? ""
    let detail = allocation.map { " (\($0))" } ?? ""
    return "cannot \(operation.rawValue)\(place): \(cause.description)\(detail)"
  }
}

extension AddressSpaceError.Cause: CustomStringConvertible {
  /// The reason in plain words.
  public var description: String {
    switch self {
    case .noSuchProcess: "the process does not exist"
    case .noSuchObject: "the object does not exist"
    case .noSuchProcessor(let number): "there is no processor \(number)"
    case .noSuchNode(let number): "there is no node \(number)"
    case .emptyRange: "the length is not positive"
    case .unaligned(let bytes): "an address, offset or length is not a multiple of \(bytes) bytes"
    case .overflow: "start plus length wraps around"
    case .beyondSpace: "the range reaches beyond the address space"
    case .belowMinimum: "the first page of an address space cannot be mapped"
    case .noGap: "no gap of the address space is large enough"
    case .hole: "nothing is mapped there"
    case .accessDenied: "the area does not allow that access"
    case .adviceUnknown(let advice): "the advice \(advice.rawValue) is unknown"
    case .unsuitableArea: "the area is not of a kind that takes this advice"
    case .busError: "beyond the end of the object, or no huge page is left"
    case .poisoned: "the page is damaged"
    case .noMemory: "no memory"
    case .tableFull(let name): "the table of \(name) has no free row"
    case .noHugePages(let wanted): "\(wanted) huge pages were wanted, fewer are free"
    case .memlockLimit(let locked, let requested, let limit):
      "RLIMIT_MEMLOCK: \(locked) pages locked and \(requested) more asked for, limit \(limit) pages"
    case .pageLocked: "the lock of a page that a device has exclusively is taken"
    case .injected: "a failure was injected"
    }
  }
}
