import CLinux
import Glibc
import SystemPackage

/// A PCI device of the running kernel that can be given to VFIO.
struct PCIDevice: Sendable, Hashable {
  /// Its address, such as `0000:00:02.0`.
  let address: String

  private var directory: String { "/sys/bus/pci/devices/\(address)" }

  /// The devices with the given identifiers, in the order of their addresses.
  static func all(vendor: UInt16, device: UInt16) throws(HostReadError) -> [PCIDevice] {
    var found: [PCIDevice] = []
    for address in try HostFiles.names(at: "/sys/bus/pci/devices") {
      let candidate = PCIDevice(address: address)
      if try candidate.identifier("vendor") == vendor, try candidate.identifier("device") == device {
        found.append(candidate)
      }
    }
    return found
  }

  /// Its IOMMU group; a device without one cannot be given to user space safely.
  func group() throws(HostReadError) -> Int {
    let path = "\(directory)/iommu_group"
    guard let name = Self.target(of: path), let number = Int(name) else {
      throw HostReadError(
        file: path, found: "no IOMMU group",
        expected: "an IOMMU that is on (QEMU: -device intel-iommu,intremap=on; kernel: intel_iommu=on)",
        errno: .noDevice)
    }
    return number
  }

  /// Takes the device from its driver and gives it to vfio-pci.
  ///
  /// The kernel's side is drivers/pci/pci-driver.c:pci_match_device (6.1).
  func bindToVFIO() throws(HostReadError) {
    let driver = "\(directory)/driver"
    let bound = Self.target(of: driver)
    if bound == "vfio-pci" { return }
    try write("vfio-pci\n", to: "\(directory)/driver_override", expected: "a driver_override that can be set")
    if bound != nil {
      try write("\(address)\n", to: "\(driver)/unbind", expected: "a driver that lets the device go")
    }
    try write("\(address)\n", to: "/sys/bus/pci/drivers_probe", expected: "a bus that probes the device")
    guard Self.target(of: driver) == "vfio-pci" else {
      throw HostReadError(
        file: driver, found: Self.target(of: driver).map { "driver '\($0)'" } ?? "no driver",
        expected: "vfio-pci (a kernel with CONFIG_VFIO_PCI)", errno: .noDevice)
    }
  }

  private func write(_ text: String, to path: String, expected: String) throws(HostReadError) {
    do throws(Errno) {
      try HostFiles.write(text, to: path)
    } catch {
      throw HostReadError(file: path, errno: error, expected: expected)
    }
  }

  private func identifier(_ name: String) throws(HostReadError) -> UInt16 {
    let path = "\(directory)/\(name)"
    let text = String(decoding: try HostFiles.bytes(at: path), as: UTF8.self)
    guard let word = text.split(separator: "\n").first, word.hasPrefix("0x"),
      let value = UInt16(word.dropFirst(2), radix: 16)
    else {
      throw HostReadError(
        file: path, line: 1, found: "'\(text.prefix(40))'", expected: "0x and four digits",
        errno: .invalidArgument)
    }
    return value
  }

  /// The last name in what a symbolic link points to, or nil if there is no such link.
  private static func target(of link: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { bytes in
      bytes.withMemoryRebound(to: CChar.self) { letters in
        letters.baseAddress.map { readlink(link, $0, letters.count) } ?? -1
      }
    }
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<count], as: UTF8.self).split(separator: "/").last.map(String.init)
  }
}
