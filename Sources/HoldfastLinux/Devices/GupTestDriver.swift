import CLinux
import HoldfastScenario
import SystemPackage

/// The kernel's own test of get_user_pages: an ioctl gets or pins a range, checks it, and puts it back.
///
/// The kernel's side is mm/gup_test.c:gup_test_ioctl (6.1). The kernel needs CONFIG_GUP_TEST, and debugfs
/// must be mounted, or else opening it fails with `.noSuchFileOrDirectory`. Pages are held only during the
/// call.
struct GupTestDriver: ~Copyable {
  /// The function to call; the raw value is the ioctl's number.
  enum Command: UInt8, Sendable, CaseIterable {
    /// get_user_pages_fast.
    case getFast = 1
    /// pin_user_pages_fast.
    case pinFast = 2
    /// pin_user_pages with FOLL_LONGTERM added.
    case pinLongterm = 3
    /// get_user_pages.
    case get = 4
    /// pin_user_pages.
    case pin = 5
    /// get_user_pages or, with `dumpUsesPin`, pin_user_pages; then dump_page of the pages asked for.
    case dump = 6
  }

  /// The kernel's answer.
  struct Outcome: Sendable, Hashable {
    /// How long getting took, in microseconds.
    var getMicroseconds: UInt64
    /// How long putting back took, in microseconds.
    var putMicroseconds: UInt64
    /// Bytes that the loop stepped over: a failure of GUP is no error but a size below the one requested.
    ///
    /// A short positive count of the last call still counts the whole step.
    var byteCount: UInt64
    /// The pages to dump as the kernel leaves them: 0 where the number was beyond the pages held.
    var whichPages: [UInt32]
  }

  /// How many pages one call can dump.
  static let dumpSlots = 8

  // The layout of `struct gup_test` in mm/gup_test.h.
  private struct Argument {
    var getMicroseconds: UInt64 = 0
    var putMicroseconds: UInt64 = 0
    var address: UInt64
    var byteCount: UInt64
    var pagesPerCall: UInt32
    var flags: UInt32
    var testFlags: UInt32
    var pages: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0, 0, 0, 0)
  }

  private let file: FileDescriptor

  /// Opens the test's file.
  init(path: String = "/sys/kernel/debug/gup_test") throws(Errno) {
    file = try FileDescriptor.opened(path, .readWrite)
  }

  deinit { try? file.close() }

  /// Runs one test over a range.
  ///
  /// `whichPages` are page numbers from 1 up, at most eight; 0 means none. With `pagesPerCall` nil, one call
  /// gets the whole range. Fails with `.noMemory` if the array of pages does not fit, and with `.interrupted`
  /// if killed while waiting for mmap_lock.
  func run(
    _ command: Command, address: UInt64, byteCount: UInt64, pagesPerCall: UInt32? = nil,
    flags: PinFlags = .write,
    dumpUsesPin: Bool = false, whichPages: [UInt32] = []
  ) throws(Errno) -> Outcome {
    guard whichPages.count <= Self.dumpSlots else { throw .invalidArgument }
    let whole = UInt32(clamping: byteCount / UInt64(HostFiles.pageSize))
    var argument = Argument(
      address: address, byteCount: byteCount, pagesPerCall: pagesPerCall ?? whole, flags: flags.rawValue,
      testFlags: dumpUsesPin ? 1 : 0)
    withUnsafeMutableBytes(of: &argument.pages) { slots in
      for (index, page) in whichPages.enumerated() {
        slots.storeBytes(of: page, toByteOffset: index * 4, as: UInt32.self)
      }
    }
    try DeviceRequest.readWrite("g", command.rawValue, size: MemoryLayout<Argument>.stride)
      .perform(on: file, &argument)
    return Outcome(
      getMicroseconds: argument.getMicroseconds, putMicroseconds: argument.putMicroseconds,
      byteCount: argument.byteCount,
      whichPages: withUnsafeBytes(of: argument.pages) { Array($0.bindMemory(to: UInt32.self)) })
  }
}
