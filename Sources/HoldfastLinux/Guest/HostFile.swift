import CLinux
import Glibc

/// An open file without a name: it is freed when its last descriptor is closed.
struct HostFile: ~Copyable {
  let descriptor: Int32

  /// Takes over a descriptor.
  init(owning descriptor: Int32) {
    self.descriptor = descriptor
  }

  deinit {
    close(descriptor)
  }

  /// An existing file, for reading.
  static func open(_ path: String) throws(GuestError) -> HostFile {
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .host("cannot open \(path): \(describe(errno))") }
    return HostFile(owning: descriptor)
  }

  /// A file in memory.
  static func memory(_ name: String) throws(GuestError) -> HostFile {
    let descriptor = hf_memfd_create(name, false)
    guard descriptor >= 0 else {
      throw .host("cannot make a file in memory: \(describe(Int32(-descriptor)))")
    }
    return HostFile(owning: Int32(descriptor))
  }

  /// A sparse file in the folder for temporary files.
  static func temporary(bytes: UInt64) throws(GuestError) -> HostFile {
    let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    let descriptor = hf_guest_nameless_file(folder)
    guard descriptor >= 0 else {
      throw .host("cannot make a temporary file in \(folder): \(describe(-descriptor))")
    }
    let file = HostFile(owning: descriptor)
    guard ftruncate(descriptor, Int(bytes)) == 0 else {
      throw .host("cannot make a temporary file of \(bytes >> 20) MiB in \(folder): \(describe(errno))")
    }
    return file
  }

  /// Writes at the end of what has been written.
  borrowing func append(_ bytes: [UInt8]) throws(GuestError) {
    let error = Self.put(bytes, to: descriptor)
    guard error == 0 else { throw .host("cannot write a temporary file: \(Self.describe(error))") }
  }

  /// Everything in the file, or the rest from an offset on.
  borrowing func bytes(from start: Int = 0) throws(GuestError) -> [UInt8] {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .host("fstat: \(Self.describe(errno))") }
    let size = Int(status.st_size)
    guard start < size else { return [] }
    var count = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size - start) { buffer, initialized in
      while count < buffer.count, let base = buffer.baseAddress {
        let got = pread(descriptor, base + count, buffer.count - count, start + count)
        if got < 0 && errno == EINTR { continue }
        if got <= 0 { break }
        count += got
      }
      initialized = count
    }
    return bytes
  }

  /// The last lines of a file of text.
  borrowing func tail(lines: Int) -> String {
    var status = stat()
    guard fstat(descriptor, &status) == 0,
      let bytes = try? bytes(from: max(0, Int(status.st_size) - 200 * lines))
    else { return "" }
    let text = String(decoding: bytes.filter { $0 == 0x0a || ($0 >= 0x20 && $0 != 0x7f) }, as: UTF8.self)
    return text.split(separator: "\n").suffix(lines).map { "  \($0)" }.joined(separator: "\n")
  }

  /// Writes all bytes; the errno if that fails, else 0.
  static func put(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
    bytes.withUnsafeBytes { buffer in
      var rest = buffer
      while !rest.isEmpty {
        let count = write(descriptor, rest.baseAddress, rest.count)
        if count < 0 {
          if errno == EINTR { continue }
          return errno
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      }
      return 0
    }
  }

  static func describe(_ error: Int32) -> String { String(cString: strerror(error)) }
}
