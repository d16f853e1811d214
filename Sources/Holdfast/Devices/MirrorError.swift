public import SystemPackage

/// Why a device with page tables of its own did not get, or does not have, exclusive access.
public struct MirrorError: Error, Sendable, CustomStringConvertible {
  /// The reason.
  public enum Cause: Sendable {
    /// The table of that name has no free row.
    case tableFull(String)
    /// The process whose memory the device mirrors has ended.
    case ended
    /// The range wraps around or reaches beyond the address space.
    case badRange
    /// The policy's kernel has no exclusive access.
    case notSupported
    /// Not all pages could be had: those that are the device's now, of how many in the group.
    case refused(granted: Int, of: Int)
    /// The page is not anonymous, or of the hugetlb pool (6.15 on).
    case notAnonymous
    /// No page could be taken (6.15 on).
    case pin(PinError)
    /// A processor had the page back before the device was done.
    case revoked
    /// The device does not have the page.
    case notExclusive
    /// The frames of the machine have no bytes.
    case noBytes
  }

  /// The reason.
  public let cause: Cause
  /// The page.
  public let address: VirtualAddress
  /// The kernel's errno.
  public let errno: Errno

  init(_ cause: Cause, _ errno: Errno, at address: VirtualAddress) {
    self.cause = cause
    self.address = address
    self.errno = errno
  }

  /// One sentence.
  public var description: String { "no exclusive access to \(address): \(cause.description)" }
}

extension MirrorError.Cause: CustomStringConvertible {
  /// The reason in plain words.
  public var description: String {
    switch self {
    case .tableFull(let name): "the table of \(name) has no free row"
    case .ended: "the process has ended"
    case .badRange: "the range wraps around or reaches beyond the address space"
    case .notSupported: "this kernel does not have it"
    case .refused(let granted, let all): "the device got \(granted) of \(all) pages"
    case .notAnonymous: "the page is not anonymous, or of the hugetlb pool"
    case .pin(let error): error.description
    case .revoked: "a processor had the page back before the device was done"
    case .notExclusive: "the device does not have the page"
    case .noBytes: "the frames of this machine have no bytes"
    }
  }
}
