import SystemPackage

extension Protection {
  /// The same as VM_* bits, which have the same numbers.
  var areaFlags: VirtualMemoryAreaFlags { VirtualMemoryAreaFlags(rawValue: UInt64(rawValue)) }
}

/// Names an open backing object; closed by `closeObject`.
public struct ObjectHandle: Hashable, Sendable {
  let id: RowID
}

/// What a mapping maps.
public enum MappingKind: Hashable, Sendable {
  /// MAP_PRIVATE and MAP_ANONYMOUS.
  case privateAnonymous
  /// MAP_SHARED and MAP_ANONYMOUS.
  case sharedAnonymous
  /// An object from one of its pages on; shared, or private so that writes make copies.
  case object(ObjectHandle, offset: UInt64 = 0, shared: Bool = true)
  /// MAP_PRIVATE, MAP_ANONYMOUS and MAP_HUGETLB.
  case hugetlb
}

/// Where a mapping goes.
public enum Placement: Hashable, Sendable {
  /// In the highest gap that is large enough.
  case anywhere
  /// At that address if the pages are free, else in the highest gap.
  case near(VirtualAddress)
  /// MAP_FIXED: at that address, in place of what is there.
  case fixed(VirtualAddress)
}

/// Bytes of an address space.
public struct AddressRange: Hashable, Sendable, CustomStringConvertible {
  /// The first byte.
  public var start: VirtualAddress
  /// The length in bytes; calls round it up to whole pages as the kernel does.
  public var bytes: UInt64

  /// `bytes` bytes from `start` on.
  public init(start: VirtualAddress, bytes: UInt64) {
    self.start = start
    self.bytes = bytes
  }

  /// `pages` pages from `start` on.
  public init(start: VirtualAddress, pages: Int) {
    self.init(start: start, bytes: UInt64(pages) &* UInt64(pageSize))
  }

  /// `0x…+0x…`: start and length.
  public var description: String { "\(start)+0x\(String(bytes, radix: 16))" }
}

/// Whole virtual pages: `start` to one before `end`.
struct PageSpan {
  var start: UInt64
  var end: UInt64

  var isEmpty: Bool { start >= end }
}

extension Spaces {
  /// Pages of one PMD entry.
  var hugePages: UInt64 { 1 << UInt64(geometry.tableBits) }

  /// Checks a range as mprotect and madvise do: aligned start, no wrap-around.
  ///
  /// The length is rounded up to whole pages.
  ///
  /// - Parameter overflowErrno: the error of this call for a wrap-around.
  func span(
    of range: AddressRange, _ operation: AddressSpaceError.Operation, overflowErrno: Errno
  ) throws(AddressSpaceError) -> PageSpan {
    let mask = UInt64(pageSize - 1)
    guard range.start.rawValue & mask == 0 else {
      throw AddressSpaceError(
        operation, .unaligned(bytes: UInt64(pageSize)), at: range.start, errno: .invalidArgument)
    }
    let (rounded, wrapped) = range.bytes.addingReportingOverflow(mask)
    let (end, beyond) = range.start.rawValue.addingReportingOverflow(rounded & ~mask)
    guard !wrapped, !beyond else {
      throw AddressSpaceError(operation, .overflow, at: range.start, errno: overflowErrno)
    }
    return PageSpan(start: range.start.page, end: end >> 12)
  }

  /// The process's space, or an error if the process has ended.
  package func liveSpace(
    of process: Process, _ operation: AddressSpaceError.Operation
  ) throws(AddressSpaceError) -> AddressSpace {
    guard process.live != 0 else {
      throw AddressSpaceError(operation, .noSuchProcess, errno: .noSuchProcess)
    }
    machine.tick()
    return space(process.space)
  }
}
