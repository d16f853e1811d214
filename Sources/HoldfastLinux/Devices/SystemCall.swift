import CLinux
import Glibc
import SystemPackage

/// The value of a system call that gave `result`, or its error.
@discardableResult
func systemCall(_ result: Int64) throws(Errno) -> Int64 {
  guard result >= 0 else { throw Errno(rawValue: CInt(-result)) }
  return result
}

extension Errno {
  /// ENODEV.
  static var noDevice: Errno { Errno(rawValue: Glibc.ENODEV) }
  /// EHWPOISON: the memory of the page is damaged.
  static var hardwarePoison: Errno { Errno(rawValue: Glibc.EHWPOISON) }
}

extension FileDescriptor {
  /// Opens a file that stays with this process, across forks but not across execution.
  static func opened(
    _ path: String, _ mode: AccessMode, options: OpenOptions = [], permissions: FilePermissions? = nil
  ) throws(Errno) -> FileDescriptor {
    do {
      return try FileDescriptor.open(
        FilePath(path), mode, options: options.union(.closeOnExec), permissions: permissions,
        retryOnInterrupt: false)
    } catch {
      throw (error as? Errno) ?? .ioError
    }
  }
}

/// An ioctl number, composed as in the kernel's headers (include/uapi/asm-generic/ioctl.h).
struct DeviceRequest: Sendable {
  let rawValue: UInt64

  /// The number of a request whose argument the kernel both reads and writes.
  static func readWrite(_ type: Unicode.Scalar, _ number: UInt8, size: Int) -> DeviceRequest {
    DeviceRequest(rawValue: 3 << 30 | UInt64(size) << 16 | UInt64(type.value) << 8 | UInt64(number))
  }

  /// Makes the request with an argument that the kernel reads and writes.
  func perform<Argument>(on file: FileDescriptor, _ argument: inout Argument) throws(Errno) {
    let result = withUnsafeMutablePointer(to: &argument) { hf_ioctl(file.rawValue, rawValue, $0) }
    try systemCall(result)
  }
}

extension HostFiles {
  /// Writes a text into a file of the live kernel by one system call.
  ///
  /// A signal that ends the call gives `.interrupted`: nothing is tried again.
  static func write(_ text: String, to path: String) throws(Errno) {
    try systemCall(hf_write_text(path, text))
  }

  /// The decimal number that a file of the live kernel holds.
  static func number(at path: String) throws(HostReadError) -> UInt64 {
    let text = String(decoding: try bytes(at: path), as: UTF8.self)
    guard let line = text.split(separator: "\n").first, let value = UInt64(line) else {
      throw HostReadError(
        file: path, line: 1, found: "'\(text.prefix(40))'", expected: "a number", errno: .invalidArgument)
    }
    return value
  }
}
