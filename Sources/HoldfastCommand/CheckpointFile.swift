import Glibc

/// The file in which an exploration saves its checkpoint.
struct CheckpointFile {
  private let path: String
  private var temporary: String { path + ".new" }

  /// Checks that the file can be written, before any work is done for it.
  init(_ path: String) throws(Failure) {
    self.path = path
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    guard access(folder, W_OK | X_OK) == 0 else { throw failure("cannot write to its folder", errno) }
    var information = stat()
    if stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR {
      throw failure("cannot write", EISDIR)
    }
  }

  /// Replaces the file as a whole: after an interruption it holds the old contents or the new ones.
  func write(_ contents: [UInt8]) throws(Failure) {
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw unwritten(errno) }
    var error = contents.withUnsafeBytes { Console.put($0, to: descriptor) }
    if error == 0, fsync(descriptor) != 0 { error = errno }
    if close(descriptor) != 0, error == 0 { error = errno }
    if error == 0, rename(temporary, path) != 0 { error = errno }
    guard error == 0 else {
      unlink(temporary)
      throw unwritten(error)
    }
  }

  /// The contents of a file that was written so.
  static func read(_ path: String) throws(Failure) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unread(path, errno) }
    defer { close(descriptor) }
    var contents: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count == 0 { return contents }
      if count > 0 {
        contents += buffer[..<count]
      } else if errno != EINTR {
        throw unread(path, errno)
      }
    }
  }

  private static func unread(_ path: String, _ error: Int32) -> Failure {
    .badInput("cannot read the checkpoint \(path): \(Console.describe(error))")
  }

  private func failure(_ what: String, _ error: Int32) -> Failure {
    .badInput("checkpoint \(path): \(what): \(Console.describe(error))")
  }

  private func unwritten(_ error: Int32) -> Failure {
    .unwritten("cannot write the checkpoint to \(path): \(Console.describe(error))")
  }
}
