import CLinux
import SystemPackage

/// References to pages of this process that a pipe holds, until it is drained.
///
/// fs/splice.c:vmsplice_to_pipe (6.1) takes plain references (FOLL_GET), never pins; a slot of the pipe holds
/// one page. What is drained is what the frames hold by then. After a copy-on-write that is not what the
/// memory holds.
struct PipeReferences: ~Copyable, Sendable {
  private let reader: FileDescriptor
  private let writer: FileDescriptor
  /// Number of bytes of the range that the pipe took.
  let byteCount: Int

  /// Takes references to the pages of a range, as many as the kernel gives.
  ///
  /// Fails where it gives none: `.badAddress` for memory that is not there, `.notPermitted` or
  /// `.invalidArgument` where the pipe cannot be made that large.
  init(address: UInt64, byteCount: Int) throws(Errno) {
    guard byteCount > 0 else { throw .invalidArgument }
    var ends: [Int32] = [-1, -1]
    // One slot for each page that the range touches.
    let page = HostFiles.pageSize
    let slots = (Int(address % UInt64(page)) + byteCount + page - 1) / page
    try systemCall(hf_pipe(&ends, slots * page))
    let (reader, writer) = (FileDescriptor(rawValue: ends[0]), FileDescriptor(rawValue: ends[1]))
    var taken = 0
    do throws(Errno) {
      while taken < byteCount {
        let from = UnsafeRawPointer(bitPattern: UInt(address) + UInt(taken))
        let count = try systemCall(hf_vmsplice(writer.rawValue, from, byteCount - taken))
        if count == 0 { break }
        taken += Int(count)
      }
    } catch {
      // The count shows a range that ends early, or a full pipe.
      if taken == 0 {
        try? reader.close()
        try? writer.close()
        throw error
      }
    }
    self.reader = reader
    self.writer = writer
    self.byteCount = taken
  }

  deinit {
    try? writer.close()
    try? reader.close()
  }

  /// Reads bytes out of the pipe, dropping the references to pages that are read to their end.
  ///
  /// Returns their number; it does not wait for more.
  func drain(into bytes: inout [UInt8]) throws(Errno) -> Int {
    try Self.read(from: reader.rawValue, into: &bytes)
  }

  /// Reads what a pipe holds until the buffer is full or the pipe empty.
  private static func read(from pipe: Int32, into bytes: inout [UInt8]) throws(Errno) -> Int {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeMutableBytes { buffer in
        hf_read_available(pipe, buffer.baseAddress?.advanced(by: done), buffer.count - done)
      }
      if try systemCall(count) == 0 { break }
      done += Int(count)
    }
    return done
  }

  /// The bytes of a part of the pipe, which keeps them: fs/splice.c:do_tee (6.1).
  func peek(_ range: Range<Int>) throws(Errno) -> [UInt8] {
    guard range.lowerBound >= 0, range.upperBound <= byteCount else { throw .badAddress }
    var ends: [Int32] = [-1, -1]
    try systemCall(hf_pipe(&ends, byteCount))
    defer { for end in ends { try? FileDescriptor(rawValue: end).close() } }
    try systemCall(hf_tee(reader.rawValue, ends[1], range.upperBound))
    var bytes = [UInt8](repeating: 0, count: range.upperBound)
    guard try Self.read(from: ends[0], into: &bytes) == bytes.count else { throw .ioError }
    return Array(bytes[range])
  }

  /// Reads everything that the pipe holds.
  func drain() throws(Errno) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    let count = try drain(into: &bytes)
    bytes.removeLast(bytes.count - count)
    return bytes
  }
}
