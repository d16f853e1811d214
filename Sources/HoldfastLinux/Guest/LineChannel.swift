import CLinux
import Glibc

/// Lines that are sent and received over a descriptor.
struct LineChannel: ~Copyable {
  /// The longest line that can be a message.
  private static let longestLine = 1 << 28

  let descriptor: Int32
  private var buffer: [UInt8] = []
  /// How much of the buffer was searched for a line feed.
  private var searched = 0

  /// Takes over a descriptor.
  init(owning descriptor: Int32) {
    self.descriptor = descriptor
  }

  deinit {
    close(descriptor)
  }

  /// The descriptors of two connected sockets.
  static func pair() throws(GuestError) -> (ours: Int32, theirs: Int32) {
    var pair: [Int32] = [-1, -1]
    let result = hf_guest_socket_pair(&pair)
    guard result == 0 else { throw .host("cannot make sockets: \(HostFile.describe(-result))") }
    return (pair[0], pair[1])
  }

  /// Result of waiting for a line.
  enum Arrival {
    case line([UInt8])
    case end
    case timeout
  }

  /// The next line without its line feed; waits for it until the deadline, or without limit if there is none.
  mutating func next(until deadline: ContinuousClock.Instant? = nil) throws(GuestError) -> Arrival {
    while true {
      if let feed = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        let line = Array(buffer[..<feed])
        buffer.removeSubrange(...feed)
        searched = 0
        return .line(line)
      }
      searched = buffer.count
      guard buffer.count < Self.longestLine else { throw .protocolBroken("found a line without an end") }
      if let deadline, !waits(until: deadline) { return .timeout }
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let capacity = chunk.count
      let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, capacity) }
      if count < 0, errno == EINTR { continue }
      if count <= 0 { return .end }
      buffer += chunk[..<count]
    }
  }

  /// Sends a whole line; false if the other end is closed.
  borrowing func send(_ line: [UInt8]) -> Bool {
    HostFile.put(line, to: descriptor) == 0
  }

  /// Whether there is something to read, or an end, before the deadline.
  private borrowing func waits(until deadline: ContinuousClock.Instant) -> Bool {
    while true {
      let left = ContinuousClock.now.duration(to: deadline).components
      let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
      guard milliseconds > 0 else { return false }
      var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let result = Glibc.poll(&poll, 1, Int32(clamping: milliseconds))
      if result > 0 { return true }
      if result < 0, errno != EINTR { return false }
    }
  }
}
