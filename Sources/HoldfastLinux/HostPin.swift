import CLinux
public import SystemPackage

/// A range of this process's memory that the host kernel itself keeps pinned.
///
/// The kernel pins the buffers that are registered with an io_uring, writable and long term, as it does for
/// any device. While a `HostPin` lives, the kernel counts its pages in `VmPin`, and refuses what pins forbid.
/// So the host confirms, or contradicts, what a model says of the same memory.
public struct HostPin: ~Copyable, Sendable {
  private let ring: FileDescriptor
  /// The address of the first byte.
  public let address: UInt
  /// How many bytes from there on are pinned, rounded out to whole pages by the kernel.
  public let byteCount: Int

  /// Pins every page that the range touches, faulting it in for writing first.
  ///
  /// Fails with the kernel's error, and then no page is pinned: `.noMemory` beyond RLIMIT_MEMLOCK,
  /// `.badAddress` where nothing writable is mapped or the range is empty, `.notSupportedOnSocket`
  /// (EOPNOTSUPP) for most file mappings, and `.noFunction` (ENOSYS) or `.notPermitted` where this process
  /// may not use io_uring.
  public init(address: UInt, byteCount: Int) throws(Errno) {
    guard byteCount > 0, let pointer = UnsafeMutableRawPointer(bitPattern: address) else { throw .badAddress }
    let ring = FileDescriptor(rawValue: try Self.check(hf_uring_setup(1)))
    do throws(Errno) {
      _ = try Self.check(hf_uring_register_buffer(ring.rawValue, pointer, byteCount))
    } catch {
      try? ring.close()
      throw error
    }
    self.ring = ring
    self.address = address
    self.byteCount = byteCount
  }

  /// Pins a buffer; the caller keeps it mapped for as long as the pin lives.
  public init(_ buffer: UnsafeMutableRawBufferPointer) throws(Errno) {
    try self.init(address: UInt(bitPattern: buffer.baseAddress), byteCount: buffer.count)
  }

  /// Unpins, and reports whether the kernel did.
  public consuming func release() throws(Errno) {
    let ring = ring
    discard self
    // Closing the ring would unpin too, but later: the kernel tears rings down in the background.
    let result = hf_uring_unregister_buffers(ring.rawValue)
    try? ring.close()
    _ = try Self.check(result)
  }

  deinit {
    _ = hf_uring_unregister_buffers(ring.rawValue)
    try? ring.close()
  }

  private static func check(_ result: Int32) throws(Errno) -> Int32 {
    guard result >= 0 else { throw Errno(rawValue: -result) }
    return result
  }
}
