import HoldfastScenario
import SystemPackage

/// The kernel's own description of a page, which gup_test has it log.
enum PageDumps {
  /// The lines that dump_page writes for the page at an address, which is faulted in if it is not there.
  static func take(_ address: UInt64) throws(Errno) -> [String] {
    let log = try KernelLog()
    let test = try GupTestDriver()
    _ = try test.run(
      .dump, address: address, byteCount: 4096, pagesPerCall: 1, flags: [], whichPages: [1])
    return try log.newRecords().map(\.text).filter { !$0.hasPrefix("---- page") }
  }

  /// The counts in the first line of a dump, less the reference that the dump itself held.
  ///
  /// mm/debug.c:__dump_page (6.1) writes `page:... refcount:2 mapcount:1 ...` for the page, and for a large folio
  /// a second line `head:... order:9 compound_mapcount:... compound_pincount:...`.
  static func counts(in lines: [String]) -> WorkerReply.PageCounts? {
    func number(after key: String) -> Int? {
      for line in lines {
        guard let range = line.firstRange(of: key) else { continue }
        let digits = line[range.upperBound...].prefix { $0.isNumber || $0 == "-" }
        if let value = Int(digits) { return value }
      }
      return nil
    }
    guard let references = number(after: "refcount:") else { return nil }
    return WorkerReply.PageCounts(
      references: references - 1, mappings: number(after: "mapcount:") ?? 0,
      pins: number(after: "compound_pincount:") ?? 0)
  }
}

extension String {
  fileprivate func firstRange(of part: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
      start = index(after: start)
    }
    return nil
  }
}
