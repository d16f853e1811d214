import CLinux
import Glibc

/// A program that runs on the host, and ends at the latest with the thread that started it.
///
/// The kernel kills it when that thread ends, so that nothing is left behind even if this process is killed.
/// The thread that makes a `HostProgram` must therefore live as long as the program.
struct HostProgram: ~Copyable {
  /// How a program ended.
  enum Ending: Sendable, Equatable, CustomStringConvertible {
    case status(Int32)
    case signal(Int32)

    init(waited status: Int32) {
      self = status & 0x7f == 0 ? .status(status >> 8 & 0xff) : .signal(status & 0x7f)
    }

    var description: String {
      switch self {
      case .status(let status): "exit status \(status)"
      case .signal(let signal): "signal \(signal)"
      }
    }
  }

  private let process: Int32
  private var ending: Ending?

  /// Starts a program; `descriptors` become its descriptors 0, 1, 2 and so on; nil becomes /dev/null.
  init(_ path: String, _ arguments: [String], descriptors: [Int32?]) throws(GuestError) {
    var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    let result = hf_guest_spawn(path, words, descriptors.map { $0 ?? -1 }, Int32(descriptors.count))
    guard result >= 0 else { throw .host("cannot start \(path): \(HostFile.describe(-result))") }
    process = result
  }

  deinit {
    if ending == nil { _ = Self.end(process) }
  }

  /// Waits for its end.
  mutating func wait() -> Ending {
    if let ending { return ending }
    let result = Self.wait(process)
    ending = result
    return result
  }

  /// Kills it if it still runs; returns how it ended.
  mutating func kill() -> Ending {
    if let ending { return ending }
    let result = Self.end(process)
    ending = result
    return result
  }

  /// Whether it has ended, or ends within `seconds`.
  mutating func hasEnded(within seconds: Double) -> Bool {
    let limit = ContinuousClock.now + .seconds(seconds)
    while ending == nil {
      var status: Int32 = 0
      if waitpid(process, &status, WNOHANG) == process {
        ending = Ending(waited: status)
      } else if ContinuousClock.now >= limit {
        return false
      } else {
        usleep(5000)
      }
    }
    return true
  }

  private static func end(_ process: Int32) -> Ending {
    Glibc.kill(process, SIGKILL)
    return wait(process)
  }

  private static func wait(_ process: Int32) -> Ending {
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    return Ending(waited: status)
  }

  /// Runs a program to its end: how it ended and what it wrote to standard output.
  static func output(of path: String, _ arguments: [String]) throws(GuestError) -> (Ending, String) {
    let file = try HostFile.memory("output")
    var program = try HostProgram(path, arguments, descriptors: [nil, file.descriptor, nil])
    let ending = program.wait()
    return (ending, String(decoding: try file.bytes(), as: UTF8.self))
  }

  /// The path of a program, looked up as a shell does.
  static func find(_ name: String) -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    for folder in path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"] {
      let candidate = "\(folder)/\(name)"
      if access(candidate, X_OK) == 0 { return candidate }
    }
    return nil
  }
}

extension HostProgram {
  /// The path of the program that this process runs.
  static func ownPath() throws(GuestError) -> String {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let capacity = buffer.count
    let count = buffer.withUnsafeMutableBytes { bytes in
      bytes.baseAddress.map { readlink("/proc/self/exe", $0, capacity) } ?? -1
    }
    guard count > 0 else { throw .host("cannot read /proc/self/exe: \(HostFile.describe(errno))") }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }
}
