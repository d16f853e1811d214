import SystemPackage

/// A process's VFIO container, and the I/O addresses it has given out.
///
/// Used by one thread at a time, see `HeldPin`.
final class VFIOSession: @unchecked Sendable {
  // Sendable: see above.
  private let container: VFIOContainer
  /// QEMU's `edu` reaches the first 256 MiB; the first 16 are left to what a PC has there.
  private var next: UInt64 = 16 << 20

  init() throws(HostReadError) { container = try VFIOContainer() }

  /// Maps a range and says where the device finds it.
  func map(address: UInt64, byteCount: Int, write: Bool) throws(Errno) -> UInt64 {
    let iova = next
    try container.map(iova: iova, address: address, size: UInt64(byteCount), read: true, write: write)
    next += UInt64(byteCount)
    return iova
  }

  func unmap(iova: UInt64, byteCount: Int) throws(Errno) -> UInt64 {
    try container.unmap(iova: iova, size: UInt64(byteCount))
  }

  /// What the device reads at an I/O address.
  func deviceRead(_ iova: UInt64, _ count: Int) throws(Errno) -> [UInt8] {
    try bounced(count) { edu, bounce, address throws(Errno) in
      try edu.copy(fromIova: iova, toIova: bounce, byteCount: count)
      guard let bytes = try? GuardedMemory.read(address, count: count) else { throw .badAddress }
      return bytes
    }
  }

  /// Lets the device write bytes at an I/O address.
  func deviceWrite(_ bytes: [UInt8], at iova: UInt64) throws(Errno) {
    try bounced(bytes.count) { edu, bounce, address throws(Errno) in
      guard (try? GuardedMemory.write(bytes, to: address)) != nil else { throw .badAddress }
      try edu.copy(fromIova: bounce, toIova: iova, byteCount: bytes.count)
    }
  }

  /// The device has no memory that we could look into, so it copies to and from some of ours.
  private func bounced<Result>(
    _ count: Int, _ body: (EduDevice, UInt64, UInt64) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    let size = (count + 4095) & ~4095
    let memory = try MemoryCalls.map(.anonymous, byteCount: size)
    defer { try? MemoryCalls.unmap(address: memory.address, byteCount: size) }
    let iova = try map(address: memory.address, byteCount: size, write: true)
    defer { _ = try? unmap(iova: iova, byteCount: size) }
    return try body(container.edu(), iova, memory.address)
  }
}

/// A process's mirror of its page tables on the kernel's test device.
///
/// Used by one thread at a time, see `HeldPin`.
final class MirrorSession: @unchecked Sendable {
  // Sendable: see above.
  let device: HMMirror

  init() throws(Errno) { device = try HMMirror() }
}
