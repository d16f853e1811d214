import CLinux
import SystemPackage

/// A range of this process's memory pinned as the fixed buffers of an io_uring, with transfers of the device.
///
/// io_uring/rsrc.c:io_sqe_buffer_register (6.1) pins writable and long term, and charges VmPin and, without
/// CAP_IPC_LOCK, RLIMIT_MEMLOCK. Transfers go to the frames that were pinned, whatever the page tables say by
/// then. `HostPin` holds such a pin; this type also uses it.
struct RegisteredBuffers: ~Copyable, @unchecked Sendable {
  // Sendable: the ring's own lock serializes transfers.
  private let ring: OpaquePointer
  /// The address of the first byte.
  let address: UInt64
  /// Bytes that are pinned from there on, rounded out to whole pages by the kernel.
  let byteCount: Int

  /// Pins every page that the range touches, faulting it in for writing first; fails as `HostPin.init` does.
  init(address: UInt64, byteCount: Int) throws(Errno) {
    guard byteCount > 0, let pointer = UnsafeMutableRawPointer(bitPattern: UInt(address)) else {
      throw .badAddress
    }
    var opened: OpaquePointer?
    try systemCall(Int64(hf_uring_open(&opened)))
    guard let ring = opened else { throw .ioError }
    do throws(Errno) {
      try systemCall(Int64(hf_uring_register_buffer(hf_uring_descriptor(ring), pointer, byteCount)))
    } catch {
      hf_uring_close(ring)
      throw error
    }
    self.ring = ring
    self.address = address
    self.byteCount = byteCount
  }

  /// Unpins, and reports whether the kernel did.
  ///
  /// The pins end here even if a forked process still holds a copy of the ring's descriptor.
  consuming func release() throws(Errno) {
    let ring = ring
    discard self
    let result = hf_uring_unregister_buffers(hf_uring_descriptor(ring))
    hf_uring_close(ring)
    try systemCall(Int64(result))
  }

  deinit {
    _ = hf_uring_unregister_buffers(hf_uring_descriptor(ring))
    hf_uring_close(ring)
  }

  /// IORING_OP_READ_FIXED: the device writes bytes of a file into the pinned frames.
  ///
  /// Returns the number of bytes; a transfer beyond the pinned range fails with `.badAddress`.
  func readFixed(from file: FileDescriptor, at offset: UInt64, into range: Range<Int>) throws(Errno) -> Int {
    try transfer(toFile: false, file, offset, range)
  }

  /// IORING_OP_WRITE_FIXED: the device reads the pinned frames and writes their bytes to a file.
  func writeFixed(_ range: Range<Int>, to file: FileDescriptor, at offset: UInt64) throws(Errno) -> Int {
    try transfer(toFile: true, file, offset, range)
  }

  /// The bytes in the pinned frames, which the page tables may no longer map.
  func contents(_ range: Range<Int>) throws(Errno) -> [UInt8] {
    let scratch = try Self.scratch()
    defer { try? scratch.close() }
    guard try writeFixed(range, to: scratch, at: 0) == range.count else { throw .ioError }
    var bytes = [UInt8](repeating: 0, count: range.count)
    let read = bytes.withUnsafeMutableBytes { hf_pread(scratch.rawValue, $0.baseAddress, $0.count, 0) }
    guard try systemCall(read) == range.count else { throw .ioError }
    return bytes
  }

  /// Writes bytes into the pinned frames as the device does, past the page tables.
  func store(_ bytes: [UInt8], at offset: Int) throws(Errno) {
    let scratch = try Self.scratch()
    defer { try? scratch.close() }
    let written = bytes.withUnsafeBytes { hf_pwrite(scratch.rawValue, $0.baseAddress, $0.count, 0) }
    guard try systemCall(written) == bytes.count else { throw .ioError }
    let range = offset..<offset + bytes.count
    guard try readFixed(from: scratch, at: 0, into: range) == bytes.count else { throw .ioError }
  }

  private static func scratch() throws(Errno) -> FileDescriptor {
    FileDescriptor(rawValue: CInt(try systemCall(hf_memfd_create_flags("holdfast-scratch", 0))))
  }

  private func transfer(
    toFile: Bool, _ file: FileDescriptor, _ offset: UInt64, _ range: Range<Int>
  ) throws(Errno) -> Int {
    guard range.lowerBound >= 0, range.upperBound <= byteCount else { throw .badAddress }
    var done = 0
    // An operation ends at the end of its slot at the latest, and may end before.
    while done < range.count {
      let count = try systemCall(
        hf_uring_transfer(
          ring, toFile, file.rawValue, address, address + UInt64(range.lowerBound + done), range.count - done,
          offset + UInt64(done)))
      if count == 0 { break }
      done += Int(count)
    }
    return done
  }
}
