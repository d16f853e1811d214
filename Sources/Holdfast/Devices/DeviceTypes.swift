/// The interface by which a container is opened.
public enum ContainerKind: UInt32, Hashable, Sendable {
  /// VFIO_TYPE1_IOMMU: an unmap takes every mapping that begins in its range, and says how much that was.
  case type1 = 1
  /// VFIO_TYPE1v2_IOMMU: an unmap may not cut a mapping in two.
  case type1v2
}

/// An open container of VFIO: the devices in it have one set of mappings.
public struct DeviceContainer: Hashable, Sendable {
  package let id: RowID
}

/// A group of devices in a container: what is attached and detached.
public struct DeviceGroup: Hashable, Sendable {
  package let id: RowID
}

/// What a device may do with a mapping.
@frozen
public struct DeviceAccess: OptionSet, Hashable, Sendable, BitwiseCopyable {
  /// The bits, those of IOMMU_READ and IOMMU_WRITE.
  public let rawValue: UInt32
  /// Access with those bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The device reads memory.
  public static let read = DeviceAccess(rawValue: 1)
  /// The device writes memory.
  public static let write = DeviceAccess(rawValue: 2)
}

/// A group of devices as its hardware is.
public struct DeviceDescription: Hashable, Sendable {
  /// Its name, of which 15 bytes are kept.
  public var name: String
  /// Which IOMMU is before it: groups of one IOMMU can have one domain.
  public var iommu: UInt32
  /// The addresses that the IOMMU can translate.
  public var aperture: ClosedRange<UInt64>
  /// Addresses that mean something else to the device; two windows are kept.
  public var reserved: [ClosedRange<UInt64>]
  /// Sizes of pages in bytes, a bit for each.
  public var pageSizes: UInt64
  /// Whether the IOMMU can keep off transfers that pass the caches by.
  public var isCoherent: Bool
  /// Whether it remaps interrupts, without which a group is not safe to give away.
  public var remapsInterrupts: Bool
  /// Whether a driver does its transfers, and there is no IOMMU (mdev).
  public var isEmulated: Bool

  /// The window of message-signalled interrupts on x86.
  public static let interrupts: ClosedRange<UInt64> = 0xfee0_0000...0xfeef_ffff
  /// 4 KiB and 2 MiB.
  public static let usualPageSizes: UInt64 = 1 << 12 | 1 << 21

  /// A device behind an IOMMU as on x86.
  public init(
    name: String, iommu: UInt32 = 0, aperture: ClosedRange<UInt64> = 0...(1 << 48) - 1,
    reserved: [ClosedRange<UInt64>] = [interrupts], pageSizes: UInt64 = usualPageSizes,
    isCoherent: Bool = true, remapsInterrupts: Bool = true, isEmulated: Bool = false
  ) {
    self.name = name
    self.iommu = iommu
    self.aperture = aperture
    self.reserved = reserved
    self.pageSizes = pageSizes
    self.isCoherent = isCoherent
    self.remapsInterrupts = remapsInterrupts
    self.isEmulated = isEmulated
  }
}

/// The arguments of VFIO_IOMMU_MAP_DMA.
public struct DMAMap: Hashable, Sendable {
  /// The bytes of the structure that the caller has filled.
  public var size: UInt32 = leastSize
  /// READ 1, WRITE 2, VADDR 4.
  public var flags: UInt32
  /// Where the memory is in the caller's address space.
  public var address: VirtualAddress
  /// Where the device sees it.
  public var iova: UInt64
  /// How much.
  public var length: UInt64

  /// The bytes of the whole structure.
  public static let leastSize: UInt32 = 32
  /// The device may read.
  public static let read: UInt32 = 1
  /// The device may write.
  public static let write: UInt32 = 2
  /// Gives a mapping its address in the space back.
  public static let setAddress: UInt32 = 4

  /// A mapping that the device may read and write.
  public init(
    _ address: VirtualAddress, at iova: UInt64, length: UInt64, flags: UInt32 = read | write
  ) {
    self.address = address
    self.iova = iova
    self.length = length
    self.flags = flags
  }
}

/// The arguments of VFIO_IOMMU_UNMAP_DMA.
public struct DMAUnmap: Hashable, Sendable {
  /// The bytes of the structure that the caller has filled.
  public var size: UInt32 = leastSize
  /// ALL 2, VADDR 4.
  public var flags: UInt32
  /// Where the device sees it.
  public var iova: UInt64
  /// How much.
  public var length: UInt64

  /// The bytes of the structure without a bitmap.
  public static let leastSize: UInt32 = 24
  /// Everything, whatever the range.
  public static let all: UInt32 = 2
  /// Takes only the mappings' addresses in the space away.
  public static let takeAddress: UInt32 = 4

  /// The mappings of a range.
  public init(at iova: UInt64, length: UInt64, flags: UInt32 = 0) {
    self.iova = iova
    self.length = length
    self.flags = flags
  }
}

/// A page of a mapping that the device and the address space see in different frames.
public struct IncoherentPage: Hashable, Sendable, CustomStringConvertible {
  /// Where the device sees the page.
  public let iova: UInt64
  /// The frame that it reaches there.
  public let reached: FrameNumber
  /// Where the page was mapped from.
  public let address: VirtualAddress
  /// The frame that the address space maps there now; nil for none.
  public let mapped: FrameNumber?

  /// One sentence.
  public var description: String {
    "iova 0x\(String(iova, radix: 16)) reaches \(reached), and \(address) is mapped to "
      + (mapped.map { "\($0)" } ?? "nothing")
  }
}
