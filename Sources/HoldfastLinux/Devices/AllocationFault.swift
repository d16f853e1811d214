import CLinux
import SystemPackage

/// Allocations of pages that the running kernel makes fail (lib/fault-inject.c, mm/page_alloc.c:fail_page_alloc).
///
/// The kernel needs CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAULT_INJECTION_DEBUG_FS.
struct AllocationFault: Sendable, Hashable {
  /// How many allocations fail, or nil for all.
  var times: Int? = 1
  /// How many pages can still be had before the first one fails.
  var space = 0
  /// Only every so manieth allocation fails.
  var interval = 1
  /// How many of a hundred allocations that could fail do so.
  var probability = 100
  /// Smaller orders never fail.
  var minimumOrder = 0
  /// Whether allocations that may sleep and reclaim fail too.
  var failsReclaimable = true
  /// Whether allocations for user pages (which may be in high memory) fail too.
  var failsUserPages = true
  /// Whether only threads fail that are marked, see `during`.
  var onlyMarkedThreads = true

  private static let root = "/sys/kernel/debug/fail_page_alloc"

  /// Puts it in force for the whole system, replacing what was in force.
  func install() throws(Errno) {
    try Self.remove()
    let values: [(String, String)] = [
      ("task-filter", onlyMarkedThreads ? "Y" : "N"),
      ("times", "\(times ?? -1)"),
      ("space", "\(space)"),
      ("interval", "\(interval)"),
      ("min-order", "\(minimumOrder)"),
      ("ignore-gfp-wait", failsReclaimable ? "N" : "Y"),
      ("ignore-gfp-highmem", failsUserPages ? "N" : "Y"),
      ("verbose", "0"),
      // The last one, as nothing fails while it is 0.
      ("probability", "\(probability)"),
    ]
    for (name, value) in values { try HostFiles.write(value, to: "\(Self.root)/\(name)") }
  }

  /// Lets no allocation fail any more.
  static func remove() throws(Errno) {
    try HostFiles.write("0", to: "\(root)/probability")
  }

  /// How many more allocations will fail; nil without a bound.
  static func remainingTimes() throws(HostReadError) -> Int? {
    let path = "\(root)/times"
    let text = String(decoding: try HostFiles.bytes(at: path), as: UTF8.self)
    guard let word = text.split(separator: "\n").first, let value = Int(word) else {
      throw HostReadError(
        file: path, line: 1, found: "'\(text.prefix(40))'", expected: "a number", errno: .invalidArgument)
    }
    return value < 0 ? nil : value
  }

  /// Lets allocations fail in the pinning calls that `body` makes on this thread, and in nothing else.
  func during<Result: ~Copyable>(_ body: () throws(Errno) -> Result) throws(Errno) -> Result {
    try install()
    let mark = try FileDescriptor.opened("/proc/thread-self/make-it-fail", .readWrite)
    hf_mark_calls(mark.rawValue)
    defer {
      hf_mark_calls(-1)
      try? mark.close()
      try? Self.remove()
    }
    return try body()
  }
}
