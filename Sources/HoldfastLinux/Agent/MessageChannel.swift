import Glibc
import SystemPackage

/// The coordinator's, or a worker's, end of a socket over which they exchange messages.
///
/// Owned by one thread.
final class MessageChannel {
  private var lines: LineChannel

  /// Takes over a descriptor.
  init(_ descriptor: FileDescriptor) { lines = LineChannel(owning: descriptor.rawValue) }

  /// For poll.
  var descriptor: Int32 { lines.descriptor }

  /// Closes the end in a process that got it by a fork, and will never use it.
  func disown() { Glibc.close(lines.descriptor) }

  /// Sends one message.
  func send(_ message: some Encodable) throws(Errno) {
    guard let line = try? GuestProtocol.line(message), lines.send(line) else { throw .brokenPipe }
  }

  /// The next message's line, waiting for it at most a given time, or without limit; nil when the time is over.
  ///
  /// Throws `.brokenPipe` when the other side has gone.
  func line(within wait: Duration?) throws(Errno) -> [UInt8]? {
    do throws(GuestError) {
      switch try lines.next(until: wait.map { .now + $0 }) {
      case .line(let line): return line
      case .timeout: return nil
      case .end: throw GuestError.host("the other side has gone")
      }
    } catch {
      throw .brokenPipe
    }
  }
}
