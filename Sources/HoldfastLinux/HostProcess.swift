import Glibc
import SystemPackage

/// A live process of this host, as far as its memory goes.
public struct HostProcess: Sendable, Hashable {
  /// The process identifier.
  public let id: Int32

  /// The process with the given identifier; whether it exists shows when it is read.
  public init(id: Int32) { self.id = id }

  /// This process.
  public static var current: HostProcess { HostProcess(id: getpid()) }

  /// Its areas in address order.
  public func areas() throws(HostReadError) -> [HostArea] {
    let path = "/proc/\(id)/smaps"
    let bytes = try explained { () throws(HostReadError) in try HostFiles.bytes(at: path) }
    return try HostArea.parse(smaps: String(decoding: bytes, as: UTF8.self), file: path)
  }

  /// The words of the pages that a range of addresses touches.
  ///
  /// They are fewer than asked for where the range leaves the part of the address space that can be mapped.
  /// At most 16777216 pages can be asked for at once.
  public func pagemap(_ addresses: Range<UInt64>) throws(HostReadError) -> [PagemapWord] {
    let path = "/proc/\(id)/pagemap"
    let shift = UInt64(HostFiles.pageSize.trailingZeroBitCount)
    let first = addresses.lowerBound >> shift
    let count = addresses.isEmpty ? 0 : (addresses.upperBound - 1) >> shift - first + 1
    guard count <= 1 << 24 else {
      throw HostReadError(
        file: path, found: "a request for \(count) pages", expected: "at most \(1 << 24) pages at once",
        errno: .fileTooLarge)
    }
    let bytes = try explained { () throws(HostReadError) in
      try Self.bytes(at: path, offset: Int64(first * 8), count: Int(count) * 8)
    }
    return try PagemapWord.parse(pagemap: bytes, file: path)
  }

  private static func bytes(at path: String, offset: Int64, count: Int) throws(HostReadError) -> [UInt8] {
    do {
      let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
      return try file.closeAfter {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
          while filled < count {
            let rest = UnsafeMutableRawBufferPointer(
              rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
            let read = try file.read(fromAbsoluteOffset: offset + Int64(filled), into: rest)
            if read == 0 { break }
            filled += read
          }
        }
      }
    } catch {
      throw HostReadError(file: path, errno: (error as? Errno) ?? .ioError, expected: "a readable file")
    }
  }

  /// Reports a missing process as such, instead of its missing file.
  private func explained<T>(_ read: () throws(HostReadError) -> T) throws(HostReadError) -> T {
    do throws(HostReadError) {
      return try read()
    } catch {
      guard error.errno == .noSuchFileOrDirectory || error.errno == .noSuchProcess else { throw error }
      throw HostReadError(
        file: error.file, found: "no process \(id)", expected: "a live process", errno: .noSuchProcess)
    }
  }
}

extension HostFiles {
  /// The page size of this host in bytes.
  static var pageSize: Int { sysconf(Int32(_SC_PAGESIZE)) }
}
