public import SystemPackage

/// Why a call on a container, or a transfer of a device, failed.
public struct DeviceError: Error, Sendable, CustomStringConvertible {
  /// The call that failed.
  public enum Operation: String, Hashable, Sendable {
    case open, attach, map, unmap
    case transfer = "transfer by the device"
  }

  /// The reason for the failure.
  public enum Cause: Sendable {
    /// The table of that name has no free row.
    case tableFull(String)
    /// The container has no IOMMU, because no device is in it.
    case noDevice
    /// The structure is smaller than the call needs.
    case tooSmall(given: UInt32, needed: UInt32)
    /// Flags that the call does not know.
    case unknownFlags(UInt32)
    /// Flags that exclude each other, or none of those that are needed; which, in words.
    case flags(String)
    /// The length is zero.
    case emptyRange
    /// An address or the length is not a multiple of the smallest page of the domains.
    case unaligned(bytes: UInt64)
    /// Start plus length wraps around.
    case wraps
    /// Another mapping is there.
    case overlaps(iova: UInt64, size: UInt64)
    /// No mapping is there.
    case notMapped
    /// The mapping has its address, or another extent.
    case notUpdatable
    /// The container has as many mappings as it may have.
    case noMappingLeft
    /// The addresses are outside what all devices can use.
    case outsideWindow
    /// The range would cut a mapping in two.
    case cuts(iova: UInt64, size: UInt64)
    /// An emulated device is in the container.
    case emulatedDevice
    /// Mappings wait for their addresses.
    case waitsForAddresses
    /// A device of that name is in the container.
    case duplicate(String)
    /// The device cannot use addresses that are mapped, or none that the others can.
    case apertureConflict
    /// Mapped addresses mean something else to the device.
    case reservedConflict
    /// The device's interrupts are not remapped.
    case unsafeInterrupts
    /// The device sees nothing at the address.
    case noTranslation
    /// The mapping does not allow the access.
    case notPermitted(write: Bool)
    /// No memory for a table; the allocator's error in words.
    case noMemory(String)
    /// Pages could not be pinned.
    case pin(PinError)
    /// RLIMIT_MEMLOCK does not allow the charge; the numbers in words.
    case memlock(String)
    /// The frames of the machine have no bytes.
    case noBytes
  }

  /// The call that failed.
  public let operation: Operation
  /// The reason.
  public let cause: Cause
  /// The device's address, if the failure belongs to one.
  public let iova: UInt64?
  /// The kernel's errno.
  public let errno: Errno

  init(_ operation: Operation, _ cause: Cause, _ errno: Errno, at iova: UInt64? = nil) {
    self.operation = operation
    self.cause = cause
    self.errno = errno
    self.iova = iova
  }

  /// One sentence.
  public var description: String {
    let place = iova.map { " at iova 0x\(String($0, radix: 16))" } ?? ""
    return "cannot \(operation.rawValue)\(place): \(cause.description)"
  }
}

extension DeviceError.Cause: CustomStringConvertible {
  /// The reason in plain words.
  public var description: String {
    func range(_ iova: UInt64, _ size: UInt64) -> String {
      "iova 0x\(String(iova, radix: 16)) to 0x\(String(iova &+ size &- 1, radix: 16))"
    }
    return switch self {
    case .tableFull(let name): "the table of \(name) has no free row"
    case .noDevice: "no device is in the container, so that it has no IOMMU"
    case .tooSmall(let given, let needed): "the structure has \(given) bytes, the call needs \(needed)"
    case .unknownFlags(let flags): "the flags 0x\(String(flags, radix: 16)) are unknown"
    case .flags(let what): what
    case .emptyRange: "the length is zero"
    case .unaligned(let bytes): "an address or the length is not a multiple of \(bytes) bytes"
    case .wraps: "start plus length wraps around"
    case .overlaps(let iova, let size): "\(range(iova, size)) is mapped already"
    case .notMapped: "nothing is mapped there"
    case .notUpdatable: "the mapping there has another extent, or has its address"
    case .noMappingLeft: "the container has as many mappings as it may have"
    case .outsideWindow: "not all devices of the container can use these addresses"
    case .cuts(let iova, let size): "the mapping of \(range(iova, size)) would be cut in two"
    case .emulatedDevice: "an emulated device is in the container"
    case .waitsForAddresses: "mappings of the container wait for their addresses in the space"
    case .duplicate(let name): "the device \(name) is in the container already"
    case .apertureConflict: "the device cannot use addresses that are mapped, or none that the others can"
    case .reservedConflict: "mapped addresses mean something else to the device"
    case .unsafeInterrupts: "the device's interrupts are not remapped"
    case .noTranslation: "the IOMMU has no translation there"
    case .notPermitted(let write): "the mapping may not be \(write ? "written" : "read")"
    case .noMemory(let what): "no memory for a table of the IOMMU: \(what)"
    case .pin(let error): error.description
    case .memlock(let what): what
    case .noBytes: "the frames of this machine have no bytes"
    }
  }
}
