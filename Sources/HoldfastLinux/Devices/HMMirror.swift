import CLinux
import Glibc
import SystemPackage

/// The mirror of this process's page tables that the kernel's hmm_dmirror driver keeps, as a GPU would.
///
/// The kernel's side is lib/test_hmm.c:dmirror_fops_unlocked_ioctl (6.1); it needs CONFIG_TEST_HMM. The
/// mirror belongs to the process that opened it, so a child must open its own. It takes no references to the
/// pages it maps.
struct HMMirror: ~Copyable {
  /// The numbers that a request returns beside its data.
  struct Outcome: Sendable, Hashable {
    /// How many pages were copied, migrated or looked at.
    var pages: UInt64
    /// How many times the device had to fault the range in, for `read` and `write`; else 0.
    var faults: UInt64
  }

  /// What the device can do with one page without faulting.
  struct PageState: Sendable, Hashable, CustomStringConvertible {
    /// Which accesses the device may make.
    enum Access: UInt8, Sendable {
      case none = 0
      case read = 1
      case write = 2
    }
    /// Where the page is.
    enum Place: UInt8, Sendable {
      /// Ordinary memory, or nothing.
      case system = 0x00
      /// The zero page.
      case zero = 0x10
      /// Memory of the device that was asked, which the processor cannot reach.
      case privateLocal = 0x20
      /// Such memory of another device.
      case privateRemote = 0x30
      /// Memory of the device that was asked, which the processor can reach.
      case coherentLocal = 0x40
      /// Such memory of another device.
      case coherentRemote = 0x50
    }

    var access: Access
    var place: Place
    /// Mapped whole by an entry of the second level.
    var isPMD = false
    /// Mapped whole by an entry of the third level.
    var isPUD = false
    /// No area there, or one that cannot be read.
    var isError = false

    /// Decodes one byte of HMM_DMIRROR_SNAPSHOT; nil for one that 6.1 does not produce.
    init?(byte: UInt8) {
      if byte == 0xff {
        (access, place, isError) = (.none, .system, true)
        return
      }
      guard let access = Access(rawValue: byte & 3), let place = Place(rawValue: byte & 0xf0) else {
        return nil
      }
      (self.access, self.place) = (access, place)
      (isPMD, isPUD) = (byte & 4 != 0, byte & 8 != 0)
    }

    /// Such as `private-local write` or `error`.
    var description: String {
      if isError { return "error" }
      let places: [Place: String] = [
        .zero: "zero", .privateLocal: "private-local", .privateRemote: "private-remote",
        .coherentLocal: "coherent-local", .coherentRemote: "coherent-remote",
      ]
      let parts = [places[place], "\(access)", isPMD ? "pmd" : nil, isPUD ? "pud" : nil]
      return parts.compactMap(\.self).joined(separator: " ")
    }
  }

  private enum Request: UInt8 {
    case read, write, migrateToDevice, migrateToSystem, snapshot, exclusive, checkExclusive
  }

  // The layout of `struct hmm_dmirror_cmd` in lib/test_hmm_uapi.h.
  private struct Argument {
    var address: UInt64
    var data: UInt64
    var pages: UInt64
    var copied: UInt64 = 0
    var faults: UInt64 = 0
  }

  private let file: FileDescriptor

  /// Opens device 0 or 1, which have private memory, and lets it mirror this process.
  ///
  /// `.noSuchFileOrDirectory` where the kernel lacks the driver.
  init(device: Int = 0) throws(Errno) {
    file = try FileDescriptor.opened("/dev/hmm_dmirror\(device)", .readWrite)
  }

  deinit { try? file.close() }

  /// Lets the device read the range, faulting it in: lib/test_hmm.c:dmirror_read (6.1).
  ///
  /// `.badAddress` where it may not read, `.resourceBusy` after a second of invalidations.
  func read(address: UInt64, pages: Int) throws(Errno) -> (bytes: [UInt8], outcome: Outcome) {
    try data(.read, address, pages)
  }

  /// Lets the device write bytes, whole pages of them, to the range: lib/test_hmm.c:dmirror_write (6.1).
  ///
  /// `.notPermitted` where the area is read-only.
  func write(_ bytes: [UInt8], address: UInt64) throws(Errno) -> Outcome {
    guard bytes.count.isMultiple(of: HostFiles.pageSize) else { throw .invalidArgument }
    var copy = bytes
    return try request(.write, address, bytes.count / HostFiles.pageSize, &copy)
  }

  /// Migrates the range to the device's private memory, and reads it there.
  ///
  /// The kernel's side is lib/test_hmm.c:dmirror_migrate_to_device (6.1). `.noSuchFileOrDirectory` (ENOENT)
  /// where a page did not migrate, `.invalidArgument` where an area is missing or unreadable.
  func migrateToDevice(address: UInt64, pages: Int) throws(Errno) -> (bytes: [UInt8], outcome: Outcome) {
    try data(.migrateToDevice, address, pages)
  }

  /// Migrates the pages of the range that the device holds back; returns their number.
  ///
  /// The kernel's side is lib/test_hmm.c:dmirror_migrate_to_system (6.1).
  func migrateToSystem(address: UInt64, pages: Int) throws(Errno) -> Outcome {
    var none: [UInt8] = []
    return try request(.migrateToSystem, address, pages, &none)
  }

  /// The device's access to every page without faulting: lib/test_hmm.c:dmirror_snapshot (6.1).
  func snapshot(address: UInt64, pages: Int) throws(Errno) -> [PageState] {
    var bytes = [UInt8](repeating: 0, count: max(pages, 0))
    let outcome = try request(.snapshot, address, pages, &bytes)
    var states: [PageState] = []
    for byte in bytes.prefix(Int(outcome.pages)) {
      guard let state = PageState(byte: byte) else { throw .protocolError }
      states.append(state)
    }
    return states
  }

  /// Gives the device exclusive access to every page, and reads them: lib/test_hmm.c:dmirror_exclusive (6.1).
  ///
  /// `.resourceBusy` where a page did not become exclusive; pages of earlier groups of 64 then stay
  /// exclusive.
  func makeExclusive(address: UInt64, pages: Int) throws(Errno) -> (bytes: [UInt8], outcome: Outcome) {
    try data(.exclusive, address, pages)
  }

  /// Whether the device has exclusive access to any page of the range.
  ///
  /// The kernel's side is lib/test_hmm.c:dmirror_check_atomic (6.1).
  func isExclusive(address: UInt64, pages: Int) throws(Errno) -> Bool {
    var none: [UInt8] = []
    do throws(Errno) {
      _ = try request(.checkExclusive, address, pages, &none)
      return false
    } catch {
      guard error == .notPermitted else { throw error }
      return true
    }
  }

  private func data(
    _ kind: Request, _ address: UInt64, _ pages: Int
  ) throws(Errno) -> (bytes: [UInt8], outcome: Outcome) {
    guard pages > 0 else { throw .invalidArgument }
    var bytes = [UInt8](repeating: 0, count: pages * HostFiles.pageSize)
    let outcome = try request(kind, address, pages, &bytes)
    return (bytes, outcome)
  }

  private func request(
    _ kind: Request, _ address: UInt64, _ pages: Int, _ data: inout [UInt8]
  ) throws(Errno) -> Outcome {
    guard pages > 0 else { throw .invalidArgument }
    var argument = Argument(address: address, data: 0, pages: UInt64(pages))
    let number = DeviceRequest.readWrite("H", kind.rawValue, size: MemoryLayout<Argument>.stride)
    let result = data.withUnsafeMutableBytes { buffer in
      argument.data = UInt64(UInt(bitPattern: buffer.baseAddress))
      return withUnsafeMutablePointer(to: &argument) { hf_ioctl(file.rawValue, number.rawValue, $0) }
    }
    try systemCall(result)
    return Outcome(pages: argument.copied, faults: argument.faults)
  }
}
