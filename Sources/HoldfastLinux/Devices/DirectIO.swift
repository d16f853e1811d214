import CLinux
import Glibc
import SystemPackage

/// A file that is read and written past the page cache, straight from and to user memory.
///
/// The kernel holds the pages of the user's buffer only while a transfer runs. They are short-term
/// references, which lib/iov_iter.c:iov_iter_get_pages2 (6.1) takes for fs/iomap/direct-io.c and block/bio.c.
/// In 6.1 they are gets.
struct DirectIO: ~Copyable, Sendable {
  // O_DIRECT, which glibc declares only for GNU sources.
  private static let direct: Int32 = 0o40000
  // Bytes that are cleared at once.
  private static let step = 1 << 20

  private let file: FileDescriptor
  private let path: String

  /// Makes a file of the given size in a directory, and removes its name when this value ends.
  ///
  /// The content is zero and on disk. `.invalidArgument` where the file system has no O_DIRECT, as tmpfs.
  init(directory: String, byteCount: Int) throws(Errno) {
    let path = "\(directory)/holdfast-direct-\(getpid())-\(hf_thread_id())-\(byteCount)"
    let file = try FileDescriptor.opened(
      path, .readWrite, options: [.create, .exclusiveCreate, .init(rawValue: Self.direct)],
      permissions: .ownerReadWrite)
    do throws(Errno) {
      try Self.clear(file, byteCount)
    } catch {
      try? file.close()
      unlink(path)
      throw error
    }
    self.file = file
    self.path = path
  }

  /// Writes zeroes: what was never written reads as zero too, but not through the device.
  private static func clear(_ file: FileDescriptor, _ byteCount: Int) throws(Errno) {
    let zeroes = try MemoryCalls.map(.anonymous, byteCount: step)
    defer { try? MemoryCalls.unmap(address: zeroes.address, byteCount: zeroes.byteCount) }
    let pointer = UnsafeRawPointer(bitPattern: UInt(zeroes.address))
    for offset in stride(from: 0, to: byteCount, by: step) {
      let count = min(step, byteCount - offset)
      guard try systemCall(hf_pwrite(file.rawValue, pointer, count, UInt64(offset))) == count else {
        throw .noSpace
      }
    }
  }

  deinit {
    try? file.close()
    unlink(path)
  }

  /// The descriptor, for another device such as an io_uring to transfer with.
  var descriptor: FileDescriptor { file }

  /// Reads from the file into memory: the device writes the pages.
  ///
  /// Returns the number of bytes. Addresses and counts must be multiples of the disk's block size, or else
  /// `.invalidArgument`; `.badAddress` where the memory cannot be written.
  func read(at offset: UInt64, toAddress address: UInt64, byteCount: Int) throws(Errno) -> Int {
    let pointer = UnsafeMutableRawPointer(bitPattern: UInt(address))
    return Int(try systemCall(hf_pread(file.rawValue, pointer, byteCount, offset)))
  }

  /// Writes memory to the file: the device reads the pages.
  ///
  /// Returns the number of bytes.
  func write(at offset: UInt64, fromAddress address: UInt64, byteCount: Int) throws(Errno) -> Int {
    let pointer = UnsafeRawPointer(bitPattern: UInt(address))
    return Int(try systemCall(hf_pwrite(file.rawValue, pointer, byteCount, offset)))
  }
}
