import Foundation
import Glibc
import HoldfastLinux
import Testing

/// A saved host with one thing wrong, and what the error must say.
struct Damage: Sendable, CustomTestStringConvertible {
  var name: String
  var file: String
  var line: Int
  var says: [String]
  var edit: @Sendable (String) -> String

  init(
    _ name: String, _ file: String, line: Int = 0, says: [String],
    edit: @escaping @Sendable (String) -> String
  ) {
    (self.name, self.file, self.line, self.says, self.edit) = (name, file, line, says, edit)
  }

  var testDescription: String { name }

  static let zoneinfo = "proc/zoneinfo"
  static let blockSize = "sys/devices/system/memory/block_size_bytes"
  static let block = "sys/devices/system/memory/memory33"

  /// An edit of the zone Movable, which starts in line 168.
  static func movable(
    _ name: String, line: Int, _ old: String, _ new: String, says: [String]
  ) -> Damage {
    Damage(name, zoneinfo, line: line, says: says) {
      $0.replacing(old, with: new, after: "zone  Movable")
    }
  }

  static func blockSize(_ text: String, says: [String]) -> Damage {
    Damage("block size \(text.debugDescription)", blockSize, line: text.hasSuffix("\n") ? 1 : 0, says: says) {
      _ in text
    }
  }

  static let all: [Damage] = [
    Damage(
      "cut within a line", zoneinfo, line: 176,
      says: ["the end of the file after 'managed  2377'", "a whole line (the file is truncated)"]
    ) { String($0.prefix(upTo: $0.range(of: "managed  2377")?.upperBound ?? $0.endIndex)) },
    Damage(
      "cut within a zone", zoneinfo, line: 170, says: ["end of the file", "'high' of Node 0, zone Movable"]
    ) {
      String(
        $0.prefix(
          upTo: $0.range(
            of: "        boost", options: .backwards,
            range: $0.startIndex..<($0.range(of: "zone   Device")?.lowerBound ?? $0.endIndex))?.lowerBound
            ?? $0.endIndex))
    },
    Damage(
      "cut before start_pfn", zoneinfo, line: 208,
      says: ["'Node 0, zone   Device'", "'start_pfn' of Node 0, zone Movable"]
    ) {
      $0.replacing("  start_pfn:           1310720\n", with: "", after: "Movable")
    },
    Damage(
      "cut between zones", zoneinfo,
      says: ["no pages in Node 0, zone Movable", "proc/buddyinfo has a row for it"]
    ) { String($0.prefix(upTo: $0.range(of: "Node 0, zone  Movable")?.lowerBound ?? $0.endIndex)) },
    Damage("empty", zoneinfo, says: ["an empty file"]) { _ in "" },
    Damage("binary", zoneinfo, line: 1, says: ["'???", "'Node N, zone NAME'"]) { _ in "\u{1}\u{2}\u{3}\u{4}\n"
    },
    Damage("zone twice", zoneinfo, line: 168, says: ["a second Node 0, zone Normal after line 127", "once"]) {
      $0.replacingOccurrences(of: "zone  Movable", with: "zone   Normal")
    },
    movable("letters", line: 176, "237709", "2377x9", says: ["'2377x9'", "a decimal number for managed"]),
    movable("negative", line: 176, "237709", "-1", says: ["'-1'", "a decimal number for managed"]),
    movable(
      "2^64", line: 175, "262144\n        managed", "18446744073709551616\n        managed",
      says: ["'18446744073709551616'", "a number below 2^64 for present"]),
    movable(
      "2^63 pages", line: 174, "262144", "9223372036854775808",
      says: ["'9223372036854775808'", "a number below 1099511627776 for spanned"]),
    movable(
      "start beyond the machine", line: 208, "1310720", "1099511627775",
      says: ["Node 0, zone Movable ending at frame 1099511889919", "an end at most at frame 1099511627776"]),
    movable(
      "present > spanned", line: 175, "262144\n        managed", "262145\n        managed",
      says: ["present 262145 of Node 0, zone Movable", "at most its spanned 262144"]),
    movable(
      "managed > present", line: 176, "237709", "262145",
      says: ["managed 262145 of Node 0, zone Movable", "at most its present 262144"]),
    movable(
      "zone overlap", line: 168, "1310720", "1179648",
      says: [
        "Node 0, zone Movable at pfn:0x120000...pfn:0x15ffff, which overlaps",
        "Node 0, zone Normal at pfn:0x100000...pfn:0x13ffff", "zones apart",
      ]),
    movable(
      "zone outside memory", line: 168, "1310720", "13107200",
      says: [
        "Node 0, zone Movable at pfn:0xc80000...pfn:0xcbffff, outside any memory", "end at pfn:0x17ffff",
      ]),
    movable(
      "garbage line", line: 170, "boost    0", "boost!   0", says: ["'boost!   0'", "a name and a number"]),
    blockSize("8000001\n", says: ["a block size of 134217729 bytes", "a power of two"]),
    blockSize("0\n", says: ["a block size of 0 bytes", "a power of two of at least a page (4096 bytes)"]),
    blockSize("800\n", says: ["a block size of 2048 bytes"]),
    blockSize("8g\n", says: ["'8g'", "a hexadecimal number for the block size"]),
    blockSize("10000000000000000\n", says: ["'10000000000000000'", "below 2^64"]),
    blockSize("8000000000000000\n", says: ["'8000000000000000'", "below 4503599627370496"]),
    blockSize("", says: ["an empty file"]),
    Damage(
      "unknown state", "\(block)/state", line: 1, says: ["'onlin'", "'online', 'offline', 'going-offline'"]
    ) {
      _ in "onlin\n"
    },
    Damage("other index", "\(block)/phys_index", line: 1, says: ["index 34", "33, as in the name"]) { _ in
      "00000022\n"
    },
    Damage("no zone name", "\(block)/valid_zones", line: 1, says: ["'!'", "names of zones, or 'none'"]) { _ in
      "!\n"
    },
    Damage(
      "row lost", "proc/buddyinfo", says: ["no row for Node 0, zone Movable", "zoneinfo has pages there"]
    ) {
      String($0.prefix(upTo: $0.range(of: "Node 0, zone  Movable")?.lowerBound ?? $0.endIndex))
    },
    Damage(
      "count beyond memory", "proc/buddyinfo", line: 1, says: ["'9999999999'", "1073741824 for order 10"]
    ) {
      $0.replacing("3 \n", with: "9999999999 \n", after: "DMA")
    },
    Damage("order lost", "proc/buddyinfo", line: 4, says: ["10 orders", "11, as in the first line"]) {
      $0.replacing(" 117 ", with: "", after: "Movable")
    },
    Damage(
      "pageblock size", "proc/pagetypeinfo", line: 2, says: ["511 pages per block", "512, as the order is 9"]
    ) {
      $0.replacing("512", with: "511", after: "Pages")
    },
    Damage("no pageblocks", "proc/pagetypeinfo", says: ["the end of the file", "a count per type"]) {
      String($0.prefix(upTo: $0.range(of: "\nNumber")?.lowerBound ?? $0.endIndex))
    },
    Damage("name twice", "proc/vmstat", line: 2, says: ["a second 'nr_free_pages'", "each name once"]) {
      $0.replacingOccurrences(of: "nr_zone_inactive_anon", with: "nr_free_pages")
    },
    Damage("size beyond 2^64 bytes", "proc/meminfo", line: 1, says: ["'18446744073709551'", "2^54 kB"]) {
      $0.replacing("5033192", with: "18446744073709551", after: "MemTotal:")
    },
    Damage("page size", "captured", line: 4, says: ["a page size of 3000 bytes", "a power of two"]) {
      $0.replacingOccurrences(of: "4096", with: "3000")
    },
  ]
}

/// The same numbers in every run, so that a failure repeats.
private struct Sequence: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state ^ state >> 29) &* 0xbf58_476d_1ce4_e5b9
  }
}

@Suite struct DamageTests {
  @Test("a damaged file is an error that names the file, the line and both sides", arguments: Damage.all)
  func damaged(damage: Damage) throws {
    try withScratchDirectory { root in
      try HostSnapshot.save(from: Saved.qemu.files, to: root)
      let path = "\(root)/\(damage.file)"
      let old = try Saved.qemu.text(damage.file)
      let new = damage.edit(old)
      try #require(new != old)
      try new.write(toFile: path, atomically: false, encoding: .utf8)
      let error = try #require(readError { _ = try HostSnapshot.read(from: .directory(root)) })
      let text = "\(error)"
      let prefix = damage.line > 0 ? "\(path):\(damage.line): found " : "\(path)"
      #expect(text.hasPrefix(prefix))
      for part in damage.says { #expect(text.contains(part)) }
    }
  }

  @Test("files that are missing, directories or pipes are errors, and so is a wrong root")
  func wrongFiles() throws {
    try withScratchDirectory { root in
      try HostSnapshot.save(from: Saved.qemu.files, to: root)
      let files = FileManager.default
      let path = "\(root)/proc/zoneinfo"
      func error(_ directory: String) -> String {
        readError { _ = try HostSnapshot.read(from: .directory(directory)) }?.description ?? "no error"
      }
      try files.removeItem(atPath: path)
      #expect(error(root) == "\(path): found no such file or directory, expected a readable file")
      try files.createDirectory(atPath: path, withIntermediateDirectories: false)
      #expect(error(root) == "\(path): found a directory, expected a readable file")
      try files.removeItem(atPath: path)
      mkfifo(path, 0o600)
      #expect(error(root) == "\(path): found an empty file, expected text of the kernel")
      let wanted = "expected a directory that 'holdfast snapshot' has written"
      #expect(error("\(root)/none") == "\(root)/none: found no such file or directory, \(wanted)")
      #expect(
        error("\(root)/captured") == "\(root)/captured: found a file that is not a directory, \(wanted)")
    }
  }

  @Test("zones may interleave if the blocks say which is where, and an unlabelled block is then an error")
  func interleavedZones() throws {
    try withScratchDirectory { root in
      try HostSnapshot.save(from: Saved.qemu.files, to: root)
      func write(_ text: String, _ file: String) throws {
        try text.write(toFile: "\(root)/\(file)", atomically: false, encoding: .utf8)
      }
      // Movable gives its last block to Normal, whose span then covers Movable's.
      let zoneinfo = try Saved.qemu.text("proc/zoneinfo")
        .replacing("262144", with: "524288", after: "zone   Normal")
        .replacing("spanned  262144", with: "spanned  229376", after: "zone  Movable")
        .replacing("present  262144", with: "present  229376", after: "zone  Movable")
        .replacing("managed  237709", with: "managed  229376", after: "zone  Movable")
      try write(zoneinfo, "proc/zoneinfo")
      try write("Normal\n", "sys/devices/system/memory/memory47/valid_zones")
      let host = try HostSnapshot.read(from: .directory(root))
      #expect(host.blocks.filter { host.zone(of: $0)?.name == "Movable" }.map(\.index) == Array(40..<47))
      try write("none\n", "sys/devices/system/memory/memory44/valid_zones")
      let error = readError { _ = try HostSnapshot.read(from: .directory(root)) }
      #expect(error?.found.contains("Node 0, zone Movable") == true && error?.line == 168)
      #expect(error?.found.contains("overlaps Node 0, zone Normal") == true)
    }
  }

  @Test("no prefix and no changed byte of a file traps a parser; a prefix of zoneinfo is never accepted")
  func noTraps() throws {
    let zoneinfo = try Saved.qemu.text("proc/zoneinfo")
    let stop =
      zoneinfo.utf8.count
      - (zoneinfo.range(of: "Node 0, zone   Device").map { zoneinfo[$0.lowerBound...].utf8.count } ?? 0)
    for length in stride(from: 0, to: stop - 1, by: 61) {
      let text = String(decoding: zoneinfo.utf8.prefix(length), as: UTF8.self)
      #expect(throws: HostReadError.self) { try HostZone.parse(zoneinfo: text, file: "zoneinfo") }
    }
    let parsers: [(String, (String) throws -> Void)] = [
      (zoneinfo, { _ = try HostZone.parse(zoneinfo: $0, file: "f") }),
      (
        try Saved.qemu.text("proc/buddyinfo"),
        { _ = try HostFreeBlocks.parse(buddyinfo: $0, file: "f").map(\.pages) }
      ),
      (
        try Saved.qemu.text("proc/pagetypeinfo"), { _ = try HostPageTypes.parse(pagetypeinfo: $0, file: "f") }
      ),
      (try HostFiles.live.text(of: "proc/self/smaps"), { _ = try HostArea.parse(smaps: $0, file: "f") }),
    ]
    let bytes = Array("0 9\n-:,()>xz\u{ff}".utf8)
    var random = Sequence(state: 1)
    for (text, parse) in parsers {
      for _ in 0..<150 {
        var changed = Array(text.utf8)
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          changed[Int.random(in: 0..<changed.count, using: &random)] =
            bytes[Int.random(in: 0..<bytes.count, using: &random)]
        }
        do { try parse(String(decoding: changed, as: UTF8.self)) } catch { #expect(error is HostReadError) }
      }
    }
  }
}
