import CLinux
import Glibc
import SystemPackage

/// Files by which root makes the running kernel do something.
enum KernelControls {
  /// Writes a word to a memory block's `state` (drivers/base/memory.c:state_store (6.1)), and waits for the end.
  ///
  /// The word is `offline` or one of `OnlineKind`'s. Offlining tries again without end while pages stay; a signal
  /// that `ProcessCalls.interruptCalls` covers ends it with `.interrupted`. `.resourceBusy` for a block that
  /// cannot go offline, `.invalidArgument` for a zone that does not fit.
  static func setBlock(_ index: Int, to request: String) throws(Errno) {
    try HostFiles.write(request, to: "/sys/devices/system/memory/memory\(index)/state")
  }

  /// Compacts every zone, or those of one node: mm/compaction.c:compact_nodes (6.1).
  static func compact(node: Int? = nil) throws(Errno) {
    let path = node.map { "/sys/devices/system/node/node\($0)/compact" } ?? "/proc/sys/vm/compact_memory"
    try HostFiles.write("1", to: path)
  }

  /// Moves pages from the per-CPU lists and batches to the buddy and LRU lists, so that states are settled.
  ///
  /// A write to `stat_refresh` also folds the counters of all processors: mm/vmstat.c:vmstat_refresh (6.1).
  static func settleCounters() throws(Errno) {
    try HostFiles.write("1", to: "/proc/sys/vm/stat_refresh")
  }

  /// Sets the number of huge pages of 2 MiB in the pool, in all or on one node.
  ///
  /// Returns the number it has then. The kernel makes as many as it can, and fewer is not an error:
  /// mm/hugetlb.c:set_max_huge_pages (6.1).
  static func setHugetlbPool(_ pages: Int, node: Int? = nil) throws(HostReadError) -> Int {
    let root = node.map { "/sys/devices/system/node/node\($0)/hugepages" } ?? "/sys/kernel/mm/hugepages"
    let path = "\(root)/hugepages-2048kB/nr_hugepages"
    do throws(Errno) {
      try HostFiles.write("\(pages)", to: path)
    } catch {
      throw HostReadError(file: path, errno: error, expected: "a pool of huge pages (CONFIG_HUGETLBFS)")
    }
    return Int(try HostFiles.number(at: path))
  }

  /// Makes a block device, or a file without holes, swap space: writes the signature and turns it on.
  ///
  /// The header is that of mm/swapfile.c:read_swap_header (6.1): version 1, last page, and a word at the
  /// page's end.
  static func enableSwap(on path: String) throws(Errno) {
    let page = HostFiles.pageSize
    let file = try FileDescriptor.opened(path, .readWrite)
    defer { try? file.close() }
    let size = lseek(file.rawValue, 0, SEEK_END)
    guard size >= 10 * page else { throw .invalidArgument }
    var header = [UInt8](repeating: 0, count: page)
    header.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(of: 1, toByteOffset: 1024, as: UInt32.self)
      bytes.storeBytes(of: UInt32(clamping: size / page - 1), toByteOffset: 1028, as: UInt32.self)
      let signature = "SWAPSPACE2".utf8
      for (offset, letter) in signature.enumerated() { bytes[page - signature.count + offset] = letter }
    }
    let written = header.withUnsafeBytes { hf_pwrite(file.rawValue, $0.baseAddress, $0.count, 0) }
    guard try systemCall(written) == page else { throw .ioError }
    fsync(file.rawValue)
    try systemCall(hf_swapon(path))
  }

  /// Turns swap space off, which brings all pages on it back into memory.
  static func disableSwap(on path: String) throws(Errno) {
    try systemCall(hf_swapoff(path))
  }
}
