import CLinux
import SystemPackage

/// QEMU's educational PCI device, driven through VFIO: it copies memory by DMA.
///
/// It has a buffer of a page, and moves half a page at a time between that and memory; each move takes it a
/// tenth of a second. With its usual DMA mask it reaches the first 256 MiB of I/O addresses.
/// Valid as long as the container it comes from.
struct EduDevice: Sendable {
  /// How far the device reaches.
  static let reach: UInt64 = 1 << 28

  private static let bufferAddress: UInt64 = 0x40000
  // Half the buffer: QEMU 7.2 ends itself over a move up to the buffer's very end.
  private static let piece = 2048

  private enum Register: UInt64 {
    case identification = 0
    case source = 0x80
    case destination = 0x88
    case count = 0x90
    case command = 0x98
  }

  private struct Command: OptionSet {
    let rawValue: UInt32
    static let run = Command(rawValue: 1)
    /// From the buffer to memory.
    static let toMemory = Command(rawValue: 2)
  }

  private let file: FileDescriptor
  private let registers: UInt64

  /// Checks that it is such a device, and lets it master the bus.
  init(_ file: FileDescriptor) throws(Errno) {
    var registers: UInt64 = 0
    var configuration: UInt64 = 0
    try systemCall(hf_vfio_registers(file.rawValue, &registers))
    try systemCall(hf_vfio_configuration(file.rawValue, &configuration))
    self.file = file
    self.registers = registers
    // The command register: answer to memory accesses (bit 1) and make them (bit 2).
    var command: UInt16 = 0
    try systemCall(hf_pread(file.rawValue, &command, 2, configuration + 4))
    command |= 6
    try systemCall(hf_pwrite(file.rawValue, &command, 2, configuration + 4))
    guard try read(.identification) & 0xff == 0xed else { throw .noDevice }
  }

  /// Lets the device read memory at one I/O address and write it at another.
  ///
  /// The IOMMU drops an access that no mapping allows, without an error here; the kernel's log has it.
  /// `.invalidArgument` for addresses beyond the reach of the device.
  func copy(fromIova source: UInt64, toIova destination: UInt64, byteCount: Int) throws(Errno) {
    guard byteCount >= 0, source <= Self.reach, destination <= Self.reach,
      UInt64(byteCount) <= Self.reach - max(source, destination)
    else { throw .invalidArgument }
    var done = 0
    while done < byteCount {
      let count = min(byteCount - done, Self.piece)
      try move(from: source + UInt64(done), to: Self.bufferAddress, count, [])
      try move(from: Self.bufferAddress, to: destination + UInt64(done), count, .toMemory)
      done += count
    }
  }

  private func move(from: UInt64, to: UInt64, _ count: Int, _ direction: Command) throws(Errno) {
    try write(.source, UInt32(truncatingIfNeeded: from))
    try write(.destination, UInt32(truncatingIfNeeded: to))
    try write(.count, UInt32(truncatingIfNeeded: count))
    try write(.command, direction.union(.run).rawValue)
    for _ in 0..<2000 {
      if try read(.command) & Command.run.rawValue == 0 { return }
      hf_sleep_microseconds(5000)
    }
    throw .timedOut
  }

  private func read(_ register: Register) throws(Errno) -> UInt32 {
    var value: UInt32 = 0
    let count = try systemCall(hf_pread(file.rawValue, &value, 4, registers + register.rawValue))
    guard count == 4 else { throw .ioError }
    return value
  }

  private func write(_ register: Register, _ value: UInt32) throws(Errno) {
    var value = value
    let count = try systemCall(hf_pwrite(file.rawValue, &value, 4, registers + register.rawValue))
    guard count == 4 else { throw .ioError }
  }
}
