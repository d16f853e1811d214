import FoundationEssentials
import Glibc
import SystemPackage

/// Two processes exchange JSON, a line each, over a socket, a pipe or a port.
///
/// Owned by one thread.
final class MessageChannel {
  let descriptor: FileDescriptor
  private var buffer: [UInt8] = []

  init(_ descriptor: FileDescriptor) { self.descriptor = descriptor }

  /// Sends one message.
  func send(_ message: some Encodable) throws(Errno) {
    var bytes: [UInt8]
    do {
      bytes = Array(try JSONEncoder().encode(message))
    } catch {
      throw .invalidArgument
    }
    bytes.append(UInt8(ascii: "\n"))
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor.rawValue, $0.baseAddress! + sent, $0.count - sent)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw Errno(rawValue: errno)
      }
      sent += count
    }
  }

  /// The next line without its end, waiting for it at most so long; nil at the time's end.
  ///
  /// Throws `.brokenPipe` when the other side has gone.
  func line(within milliseconds: Int32) throws(Errno) -> [UInt8]? {
    while true {
      if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
        let line = Array(buffer[..<end])
        buffer.removeSubrange(...end)
        return line
      }
      var poll = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
      let ready = Glibc.poll(&poll, 1, milliseconds)
      if ready < 0 {
        if errno == EINTR { continue }
        throw Errno(rawValue: errno)
      }
      if ready == 0 { return nil }
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor.rawValue, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR || errno == EAGAIN { continue }
        throw Errno(rawValue: errno)
      }
      if count == 0 { throw .brokenPipe }
      buffer += chunk[..<count]
    }
  }

  /// Whether a whole line is there already.
  var hasLine: Bool { buffer.contains(UInt8(ascii: "\n")) }
}
