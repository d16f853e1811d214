import SystemPackage

/// What the kernel reports about one page of an address space: a word of /proc/PID/pagemap.
public struct PagemapWord: RawRepresentable, Sendable, Hashable {
  /// The word as read.
  public let rawValue: UInt64

  /// A word from its bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Bit 63: a frame is mapped here.
  public var isPresent: Bool { bit(63) }
  /// Bit 62: a swap entry, which migration, device-private and device-exclusive entries count as.
  public var isSwapped: Bool { bit(62) }
  /// Bit 61: of a file, or shared anonymous memory.
  public var isFileOrShared: Bool { bit(61) }
  /// Bit 57: write-protected through userfaultfd.
  public var isWriteProtected: Bool { bit(57) }
  /// Bit 56: mapped exactly once.
  public var isExclusive: Bool { bit(56) }
  /// Bit 55: written since soft-dirty was last cleared.
  public var isSoftDirty: Bool { bit(55) }

  /// The frame, if one is mapped; nil also where the kernel hides it because CAP_SYS_ADMIN is missing.
  public var frame: UInt64? {
    let number = rawValue & (1 << 55 - 1)
    return isPresent && number != 0 ? number : nil
  }

  /// The type and the offset of a swap entry.
  public var swapEntry: (type: Int, offset: UInt64)? {
    isSwapped ? (Int(rawValue & 0x1f), (rawValue & (1 << 55 - 1)) >> 5) : nil
  }

  private func bit(_ number: UInt64) -> Bool { rawValue >> number & 1 == 1 }

  /// The words in bytes of /proc/PID/pagemap.
  public static func parse(pagemap bytes: [UInt8], file: String) throws(HostReadError) -> [PagemapWord] {
    guard bytes.count.isMultiple(of: 8) else {
      throw HostReadError(
        file: file, found: "\(bytes.count) bytes", expected: "words of 8 bytes (the file is truncated)",
        errno: truncated)
    }
    return bytes.withUnsafeBytes { raw in
      stride(from: 0, to: raw.count, by: 8).map {
        PagemapWord(rawValue: raw.loadUnaligned(fromByteOffset: $0, as: UInt64.self))
      }
    }
  }
}

extension PagemapWord: CustomStringConvertible {
  /// The frame or the swap entry, and the names of the bits that are set.
  public var description: String {
    var parts: [String] = []
    if let frame { parts.append("pfn:0x\(String(frame, radix: 16))") }
    if let swapEntry { parts.append("swap:\(swapEntry.type):0x\(String(swapEntry.offset, radix: 16))") }
    let names = [
      (isPresent, "present"), (isSwapped, "swapped"), (isFileOrShared, "file-or-shared"),
      (isWriteProtected, "write-protected"), (isExclusive, "exclusive"), (isSoftDirty, "soft-dirty"),
    ]
    parts += names.filter(\.0).map(\.1)
    return parts.isEmpty ? "none" : parts.joined(separator: " ")
  }
}
