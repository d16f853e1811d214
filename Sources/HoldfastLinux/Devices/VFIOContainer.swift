import CLinux
import SystemPackage

/// A VFIO container of type 1 with one device in it: the kernel pins long term what it maps.
///
/// The kernel's side is drivers/vfio/vfio_iommu_type1.c. A group can be opened once in the whole system. So
/// there can be as many containers at a time as there are devices that no other process has opened.
struct VFIOContainer: ~Copyable, Sendable {
  private let container: FileDescriptor
  private let group: FileDescriptor
  private let deviceFile: FileDescriptor
  /// The device.
  let device: PCIDevice

  /// Takes the first free device with the given identifiers, which by default are those of QEMU's `edu`.
  ///
  /// The error says which step failed: no such device (`.noDevice`), no IOMMU (`.noDevice`), VFIO missing
  /// from the kernel (`.noSuchFileOrDirectory`), a group that is taken (`.resourceBusy`) or not viable.
  init(vendor: UInt16 = 0x1234, device identifier: UInt16 = 0x11e8) throws(HostReadError) {
    let devices = try PCIDevice.all(vendor: vendor, device: identifier)
    var failure = HostReadError(
      file: "/sys/bus/pci/devices",
      found: "no device \(String(vendor, radix: 16)):\(String(identifier, radix: 16))",
      expected: "one to hand to VFIO (QEMU: -device edu)", errno: .noDevice)
    for candidate in devices {
      do throws(HostReadError) {
        self = try Self(device: candidate)
        return
      } catch {
        failure = error
        // Another device may be free.
        guard error.errno == .resourceBusy else { break }
      }
    }
    throw failure
  }

  /// Takes a device: binds it to vfio-pci, and puts its group into a new container.
  init(device: PCIDevice) throws(HostReadError) {
    var opened: [FileDescriptor] = []
    do throws(HostReadError) {
      let number = try device.group()
      try device.bindToVFIO()
      let groupPath = "/dev/vfio/\(number)"
      let group = try Self.step(groupPath, "a VFIO group that is not open elsewhere") { () throws(Errno) in
        try FileDescriptor.opened(groupPath, .readWrite)
      }
      opened.append(group)
      let viable = try Self.step(groupPath, "a group") { () throws(Errno) in
        try systemCall(hf_vfio_group_is_viable(group.rawValue))
      }
      guard viable == 1 else {
        throw HostReadError(
          file: groupPath, found: "a group with devices that other drivers have",
          expected: "a group whose devices are all with vfio-pci", errno: .notPermitted)
      }
      let path = "/dev/vfio/vfio"
      let container = try Self.step(path, "the VFIO container device") { () throws(Errno) in
        try FileDescriptor.opened(path, .readWrite)
      }
      opened.append(container)
      let known = try Self.step(path, "version 0 of the interface") { () throws(Errno) in
        try systemCall(hf_vfio_check(container.rawValue))
      }
      guard known == 1 else {
        throw HostReadError(
          file: path, found: "no IOMMU of type 1 version 2", expected: "CONFIG_VFIO_IOMMU_TYPE1",
          errno: .notSupported)
      }
      try Self.step(groupPath, "a group that goes into the container") { () throws(Errno) in
        try systemCall(hf_vfio_attach_group(group.rawValue, container.rawValue))
      }
      try Self.step(path, "an IOMMU domain for the group") { () throws(Errno) in
        try systemCall(hf_vfio_choose_iommu(container.rawValue))
      }
      let deviceFile = try Self.step(groupPath, "device \(device.address)") { () throws(Errno) in
        FileDescriptor(rawValue: CInt(try systemCall(hf_vfio_open_device(group.rawValue, device.address))))
      }
      self.container = container
      self.group = group
      self.deviceFile = deviceFile
      self.device = device
    } catch {
      for file in opened.reversed() { try? file.close() }
      throw error
    }
  }

  deinit {
    // A forked process may hold copies of the descriptors: without this its copies would keep the pins.
    var unmapped: UInt64 = 0
    _ = hf_vfio_unmap_all(container.rawValue, &unmapped)
    try? deviceFile.close()
    _ = hf_vfio_detach_group(group.rawValue)
    try? group.close()
    try? container.close()
  }

  /// VFIO_IOMMU_MAP_DMA: pins a range and lets the device reach it at `iova`.
  ///
  /// The kernel's side is drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_map (6.1). All or nothing: `.noMemory`
  /// beyond RLIMIT_MEMLOCK or where pages cannot be pinned long term, `.badAddress` for memory that is not
  /// mapped, `.fileExists` for an overlap, `.invalidArgument` for sizes and addresses that are not whole
  /// pages, outside the IOMMU's reach, or without any access.
  func map(
    iova: UInt64, address: UInt64, size: UInt64, read: Bool = true, write: Bool = true
  ) throws(Errno) {
    try systemCall(hf_vfio_map(container.rawValue, iova, address, size, read, write))
  }

  /// VFIO_IOMMU_UNMAP_DMA: unpins what lies within the range, and returns the number of bytes.
  ///
  /// The kernel's side is drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_unmap (6.1). `.invalidArgument` where
  /// it would cut a mapping in two.
  @discardableResult
  func unmap(iova: UInt64, size: UInt64) throws(Errno) -> UInt64 {
    var unmapped: UInt64 = 0
    try systemCall(hf_vfio_unmap(container.rawValue, iova, size, &unmapped))
    return unmapped
  }

  /// The registers of the device, if it is QEMU's `edu`, with bus mastering on.
  func edu() throws(Errno) -> EduDevice { try EduDevice(deviceFile) }

  @discardableResult
  private static func step<T>(
    _ file: String, _ expected: String, _ body: () throws(Errno) -> T
  ) throws(HostReadError) -> T {
    do throws(Errno) {
      return try body()
    } catch {
      throw HostReadError(file: file, errno: error, expected: expected)
    }
  }
}
