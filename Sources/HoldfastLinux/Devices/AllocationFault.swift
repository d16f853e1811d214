import CLinux
import SystemPackage

/// Allocations of pages that the running kernel makes fail.
///
/// Its side is mm/page_alloc.c:__should_fail_alloc_page (6.1) and lib/fault-inject.c:should_fail (6.1). The
/// kernel needs CONFIG_FAIL_PAGE_ALLOC and CONFIG_FAULT_INJECTION_DEBUG_FS.
struct AllocationFault: Sendable, Hashable {
  /// Number of allocations that fail.
  var times: Int

  private static let root = "/sys/kernel/debug/fail_page_alloc"

  /// Puts it in force for the whole system, replacing an earlier one.
  private func install() throws(Errno) {
    try Self.remove()
    // All orders, and all allocations that may reclaim or are for user memory, of marked threads alone.
    // `times` is written last, because no allocation fails while it is 0.
    let values = [
      ("task-filter", "Y"), ("times", "\(times)"), ("space", "0"), ("interval", "1"), ("min-order", "0"),
      ("ignore-gfp-wait", "N"), ("ignore-gfp-highmem", "N"), ("verbose", "0"), ("probability", "100"),
    ]
    for (name, value) in values { try HostFiles.write(value, to: "\(Self.root)/\(name)") }
  }

  /// Makes no allocation fail any more.
  static func remove() throws(Errno) {
    try HostFiles.write("0", to: "\(root)/probability")
  }

  /// Makes allocations fail in the pinning calls that `body` makes on this thread, and in no others.
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
