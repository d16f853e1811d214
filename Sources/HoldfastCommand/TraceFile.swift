import Glibc
import HoldfastReport
import HoldfastScenario

/// The file for trace events, opened before a run, so that a path that cannot be written is refused at once.
struct TraceFile: ~Copyable {
  private let path: String
  private let descriptor: Int32
  private let isNew: Bool

  init(_ path: String) throws(Failure) {
    self.path = path
    var descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    isNew = descriptor >= 0
    // What is there already stays until there is something to replace it with.
    if descriptor < 0, errno == EEXIST { descriptor = open(path, O_WRONLY | O_CLOEXEC) }
    guard descriptor >= 0 else {
      throw .badInput("cannot write the trace to \(path): \(Console.describe(errno))")
    }
    self.descriptor = descriptor
  }

  deinit {
    close(descriptor)
  }

  /// Writes the events of a run, or of an explored execution.
  consuming func write(_ render: () throws -> String) throws(Failure) {
    let text: String
    do {
      text = try render()
    } catch {
      throw .internalError("cannot render the trace: \(error)")
    }
    // Pipes and terminals have no length; EINVAL says no more than that.
    if ftruncate(descriptor, 0) != 0, errno != EINVAL { throw unwritten(errno) }
    let error = Console.put(text, to: descriptor)
    guard error == 0 else { throw unwritten(error) }
  }

  /// Leaves no empty file behind after a run that did not happen.
  consuming func discard() {
    if isNew { unlink(path) }
  }

  private borrowing func unwritten(_ error: Int32) -> Failure {
    .unwritten("cannot write the trace to \(path): \(Console.describe(error))")
  }
}
