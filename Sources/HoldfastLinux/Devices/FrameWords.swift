import CLinux
import SystemPackage

/// What the running kernel reports about frames in /proc/kpageflags and /proc/kpagecount.
///
/// The kernel's side is fs/proc/page.c:kpageflags_read (6.1) and fs/proc/page.c:kpagecount_read (6.1).
enum FrameWords {
  /// The bits of one frame; none of them shows pins.
  struct Flags: OptionSet, Sendable, Hashable, CustomStringConvertible {
    let rawValue: UInt64

    static let locked = Flags(bit: 0)
    static let error = Flags(bit: 1)
    static let referenced = Flags(bit: 2)
    static let upToDate = Flags(bit: 3)
    static let dirty = Flags(bit: 4)
    static let lru = Flags(bit: 5)
    static let active = Flags(bit: 6)
    static let slab = Flags(bit: 7)
    static let writeback = Flags(bit: 8)
    static let reclaim = Flags(bit: 9)
    static let buddy = Flags(bit: 10)
    static let mapped = Flags(bit: 11)
    static let anonymous = Flags(bit: 12)
    static let swapCache = Flags(bit: 13)
    static let swapBacked = Flags(bit: 14)
    static let compoundHead = Flags(bit: 15)
    static let compoundTail = Flags(bit: 16)
    static let huge = Flags(bit: 17)
    static let unevictable = Flags(bit: 18)
    static let hardwarePoison = Flags(bit: 19)
    /// The frame does not exist, or is offline.
    static let absent = Flags(bit: 20)
    static let ksm = Flags(bit: 21)
    static let transparentHuge = Flags(bit: 22)
    static let offline = Flags(bit: 23)
    static let zeroPage = Flags(bit: 24)
    static let idle = Flags(bit: 25)
    static let pageTable = Flags(bit: 26)
    static let reserved = Flags(bit: 32)
    static let mlocked = Flags(bit: 33)

    private static let names: [(Int, String)] =
      [
        "locked", "error", "referenced", "uptodate", "dirty", "lru", "active", "slab", "writeback", "reclaim",
        "buddy", "mmap", "anonymous", "swapcache", "swapbacked", "compound_head", "compound_tail", "huge",
        "unevictable", "hwpoison", "nopage", "ksm", "thp", "offline", "zero_page", "idle_page", "pgtable",
      ].enumerated().map { ($0.offset, $0.element) } + [
        (32, "reserved"), (33, "mlocked"), (34, "mappedtodisk"), (35, "private"), (36, "private_2"),
        (37, "owner_private"), (38, "arch"), (39, "uncached"), (40, "softdirty"), (41, "arch_2"),
      ]

    init(rawValue: UInt64) { self.rawValue = rawValue }
    private init(bit: UInt64) { rawValue = 1 << bit }

    /// The names of the bits that are set, as the kernel's own tool has them, joined by commas.
    var description: String {
      let set = Self.names.filter { rawValue >> UInt64($0.0) & 1 == 1 }
      return set.isEmpty ? "none" : set.map(\.1).joined(separator: ",")
    }
  }

  /// The bits of every frame asked for, in the same order.
  static func flags(of frames: [UInt64]) throws(HostReadError) -> [Flags] {
    try words("/proc/kpageflags", frames).map(Flags.init(rawValue:))
  }

  /// How often every frame asked for is mapped, in the same order.
  static func mapCounts(of frames: [UInt64]) throws(HostReadError) -> [UInt64] {
    try words("/proc/kpagecount", frames)
  }

  // Runs of frames are read at once, in pieces of at most this many words.
  private static let piece = 4096

  private static func words(_ path: String, _ frames: [UInt64]) throws(HostReadError) -> [UInt64] {
    if frames.isEmpty { return [] }
    do throws(Errno) {
      let file = try FileDescriptor.opened(path, .readOnly)
      defer { try? file.close() }
      var result: [UInt64] = []
      result.reserveCapacity(frames.count)
      var buffer = [UInt64](repeating: 0, count: piece)
      var index = 0
      while index < frames.count {
        var end = index + 1
        while end < frames.count, end - index < piece, frames[end] == frames[end - 1] &+ 1 { end += 1 }
        guard frames[index] < 1 << 52 else { throw .invalidArgument }
        let size = (end - index) * 8
        let read = buffer.withUnsafeMutableBytes {
          hf_pread(file.rawValue, $0.baseAddress, size, frames[index] * 8)
        }
        let words = Int(try systemCall(read)) / 8
        // The file ends after the last frame.
        result += buffer[..<words]
        result += Array(repeating: Flags.absent.rawValue, count: end - index - words)
        index = end
      }
      return result
    } catch {
      throw HostReadError(file: path, errno: error, expected: "words of frames, for root to read")
    }
  }
}
