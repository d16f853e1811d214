import CLinux
import Glibc
import SystemPackage

/// The running kernel's log in /dev/kmsg, from the moment of opening on.
///
/// The kernel's side is kernel/printk/printk.c:devkmsg_read (6.1).
struct KernelLog: ~Copyable, Sendable {
  /// A record.
  struct Record: Sendable, Hashable {
    /// 0 emergency to 7 debug.
    var level: Int
    /// Counts all records since boot.
    var sequence: UInt64
    /// Since boot.
    var microseconds: UInt64
    /// The text, which may have several lines; without its `KEY=value` lines.
    var text: String

    /// A record as the file has it: `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS...;TEXT`; nil for anything else.
    init?(_ raw: some Collection<UInt8>) {
      guard let semicolon = raw.firstIndex(of: UInt8(ascii: ";")) else { return nil }
      let fields = String(decoding: raw[..<semicolon], as: UTF8.self).split(separator: ",")
      guard fields.count >= 3, let priority = Int(fields[0]), let sequence = UInt64(fields[1]),
        let time = UInt64(fields[2])
      else { return nil }
      level = priority & 7
      self.sequence = sequence
      microseconds = time
      // Lines that start with a blank are the dictionary; the text's own line breaks are escaped.
      let body = raw[raw.index(after: semicolon)...].split(separator: UInt8(ascii: "\n"))
      text = body.first.map { Self.unescaped(Array($0)) } ?? ""
    }

    /// The kernel writes what is not printable, and the backslash, as `\xHH`.
    private static func unescaped(_ bytes: [UInt8]) -> String {
      var result: [UInt8] = []
      var index = 0
      while index < bytes.count {
        if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count, bytes[index + 1] == UInt8(ascii: "x"),
          let value = UInt8(String(decoding: bytes[index + 2...index + 3], as: UTF8.self), radix: 16)
        {
          result.append(value)
          index += 4
        } else {
          result.append(bytes[index])
          index += 1
        }
      }
      return String(decoding: result, as: UTF8.self)
    }
  }

  private let file: FileDescriptor

  /// Opens the log at its end: earlier records are not read.
  init() throws(Errno) {
    let file = try FileDescriptor.opened("/dev/kmsg", .readOnly, options: .nonBlocking)
    guard lseek(file.rawValue, 0, SEEK_END) >= 0 else {
      let error = Errno(rawValue: errno)
      try? file.close()
      throw error
    }
    self.file = file
  }

  deinit { try? file.close() }

  /// The records since the last call, or since opening; records that were overwritten meanwhile are lost.
  func newRecords() throws(Errno) -> [Record] {
    var records: [Record] = []
    var buffer = [UInt8](repeating: 0, count: 8192)
    while true {
      let count = buffer.withUnsafeMutableBytes { read(file.rawValue, $0.baseAddress, $0.count) }
      if count >= 0 {
        if count == 0 { return records }
        if let record = Record(buffer[..<count]) { records.append(record) }
        continue
      }
      switch Errno(rawValue: errno) {
      case .wouldBlock: return records
      // The record was overwritten before it was read: the next call continues with the oldest one left.
      case .brokenPipe, .interrupted: continue
      case let error: throw error
      }
    }
  }
}
