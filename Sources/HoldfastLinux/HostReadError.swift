public import SystemPackage

/// A host file that could not be read, written or understood.
///
/// Prints as `FILE:LINE: found X, expected Y`, or without the line where the file as a whole is meant.
public struct HostReadError: Error, Sendable, Hashable {
  /// The file, as the user could open it.
  public let file: String
  /// The line, counted from 1, or 0 if the file as a whole is meant.
  public let line: Int
  /// What the file has there.
  public let found: String
  /// What it should have there.
  public let expected: String
  /// The errno that the failure stands for.
  public let errno: Errno

  /// Describes one thing that is not as expected.
  public init(file: String, line: Int = 0, found: String, expected: String, errno: Errno) {
    self.file = file
    self.line = line
    self.found = found
    self.expected = expected
    self.errno = errno
  }

  /// A system call on `file` that failed.
  init(file: String, errno: Errno, expected: String) {
    let found =
      switch errno {
      case .noSuchFileOrDirectory: "no such file or directory"
      case .isDirectory: "a directory"
      case .notDirectory: "a file that is not a directory"
      case .permissionDenied, .notPermitted: "a file that this user may not access"
      default: "\(errno)"
      }
    self.init(file: file, found: found, expected: expected, errno: errno)
  }

  /// Whether the file is absent or not for this user to read, as opposed to damaged.
  public var isUnavailable: Bool {
    [.noSuchFileOrDirectory, .permissionDenied, .notPermitted].contains(errno)
  }
}

extension HostReadError: CustomStringConvertible {
  /// `FILE:LINE: found X, expected Y`.
  public var description: String {
    "\(file)\(line > 0 ? ":\(line)" : ""): found \(found), expected \(expected)"
  }
}
