import CLinux
import SystemPackage

/// Allocations of pages that the running kernel makes fail (lib/fault-inject.c, mm/page_alloc.c:fail_page_alloc).
///
/// The kernel needs CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAULT_INJECTION_DEBUG_FS.
struct AllocationFault: Sendable, Hashable {
  /// How many allocations fail.
  var times: Int

  private static let root = "/sys/kernel/debug/fail_page_alloc"

  /// Puts it in force for the whole system, replacing what was in force.
  private func install() throws(Errno) {
    try Self.remove()
    // All orders, and all allocations that may reclaim or are for user memory, of marked threads alone. The last
    // one comes last, as nothing fails while it is 0.
    let values = [
      ("task-filter", "Y"), ("times", "\(times)"), ("space", "0"), ("interval", "1"), ("min-order", "0"),
      ("ignore-gfp-wait", "N"), ("ignore-gfp-highmem", "N"), ("verbose", "0"), ("probability", "100"),
    ]
    for (name, value) in values { try HostFiles.write(value, to: "\(Self.root)/\(name)") }
  }

  /// Lets no allocation fail any more.
  static func remove() throws(Errno) {
    try HostFiles.write("0", to: "\(root)/probability")
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
