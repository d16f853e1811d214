import FoundationEssentials
import Glibc
import HoldfastReport

/// Standard output, for results, and standard error, for everything else.
enum Console {
  /// Colours of standard output.
  static var palette: Palette {
    Palette(isTerminal: isatty(STDOUT_FILENO) == 1, environment: ProcessInfo.processInfo.environment)
  }

  /// Whether a line on standard error can be rewritten.
  static var canRedraw: Bool {
    isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
  }

  /// Columns of the terminal behind standard error.
  static var width: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Writes a result.
  static func write(_ text: String) throws(Failure) {
    let error = put(text.printable(keepsColours: true), to: STDOUT_FILENO)
    // A reader that has seen enough is not an error.
    guard error == 0 || error == EPIPE else {
      throw .unwritten("cannot write to standard output: \(describe(error))")
    }
  }

  /// Writes a message for people.
  static func complain(_ text: String) {
    draw("holdfast: \(text.printable())\n")
  }

  /// Writes a warning.
  static func warn(_ text: String) {
    complain("warning: \(text)")
  }

  /// Writes to standard error as is; there is nowhere to complain to if that fails.
  static func draw(_ text: String) {
    _ = put(text, to: STDERR_FILENO)
  }

  /// Writes all of the text; the errno if that fails, else 0.
  static func put(_ text: String, to descriptor: Int32) -> Int32 {
    var text = text
    return text.withUTF8 { put(UnsafeRawBufferPointer($0), to: descriptor) }
  }

  /// Writes all of the bytes; the errno if that fails, else 0.
  static func put(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
    var rest = bytes
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        return errno
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    return 0
  }

  /// What the C library says about an errno.
  static func describe(_ error: Int32) -> String {
    String(cString: strerror(error))
  }
}
