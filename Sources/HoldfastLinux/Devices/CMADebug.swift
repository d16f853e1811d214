import SystemPackage

/// A CMA area of the running kernel as debugfs shows it (mm/cma_debug.c); the kernel needs CONFIG_CMA_DEBUGFS.
struct CMADebug: Sendable, Hashable {
  /// The name of its directory.
  let name: String
  /// Its first frame.
  let baseFrame: UInt64
  /// How many frames it has.
  let frameCount: UInt64
  /// The order of the frames that one bit of its bitmap stands for.
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

  /// How many frames are allocated from it now.
  func usedFrames() throws(HostReadError) -> UInt64 {
    try HostFiles.number(at: "\(Self.root)/\(name)/used")
  }

  /// How many frames its longest free run has.
  func longestFreeRun() throws(HostReadError) -> UInt64 {
    try HostFiles.number(at: "\(Self.root)/\(name)/maxchunk")
  }

  /// Allocates frames, moving what is there (cma_alloc); the kernel remembers them for `free`.
  ///
  /// `.noMemory` where no run of that length could be emptied.
  func allocate(_ count: Int) throws(Errno) {
    try HostFiles.write("\(count)", to: "\(Self.root)/\(name)/alloc")
  }

  /// Frees that many of the frames that `allocate` got, last in first out; too many is no error.
  func free(_ count: Int) throws(Errno) {
    try HostFiles.write("\(count)", to: "\(Self.root)/\(name)/free")
  }
}
