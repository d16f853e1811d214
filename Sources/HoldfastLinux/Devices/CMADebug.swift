import SystemPackage

/// A CMA area of the running kernel as debugfs shows it: mm/cma_debug.c:cma_debugfs_add_one (6.1).
///
/// The kernel needs CONFIG_CMA_DEBUGFS.
struct CMADebug: Sendable, Hashable {
  /// The name of its directory.
  let name: String
  /// Its first frame.
  let baseFrame: UInt64
  /// Number of its frames.
  let frameCount: UInt64
  /// The order of the frames of one bit of its bitmap.
  let orderPerBit: UInt64

  private static let root = "/sys/kernel/debug/cma"

  /// Every area, sorted by name.
  static func areas() throws(HostReadError) -> [CMADebug] {
    var areas: [CMADebug] = []
    for name in try HostFiles.names(at: root) {
      let directory = "\(root)/\(name)"
      areas.append(
        CMADebug(
          name: name, baseFrame: try HostFiles.number(at: "\(directory)/base_pfn"),
          frameCount: try HostFiles.number(at: "\(directory)/count"),
          orderPerBit: try HostFiles.number(at: "\(directory)/order_per_bit")))
    }
    return areas
  }

  /// Its frames.
  var frames: Range<UInt64> { baseFrame..<baseFrame + frameCount }

  /// Number of frames that are allocated from it now.
  func usedFrames() throws(HostReadError) -> UInt64 {
    try HostFiles.number(at: "\(Self.root)/\(name)/used")
  }

  /// Number of frames of its longest free run.
  func longestFreeRun() throws(HostReadError) -> UInt64 {
    try HostFiles.number(at: "\(Self.root)/\(name)/maxchunk")
  }

  /// Allocates frames by mm/cma.c:cma_alloc (6.1), moving what is in them; the kernel keeps them for `free`.
  ///
  /// `.noMemory` where no run of that length could be emptied.
  func allocate(_ count: Int) throws(Errno) {
    try HostFiles.write("\(count)", to: "\(Self.root)/\(name)/alloc")
  }

  /// Frees that many of the frames that `allocate` got, the last first; too many is no error.
  func free(_ count: Int) throws(Errno) {
    try HostFiles.write("\(count)", to: "\(Self.root)/\(name)/free")
  }
}
