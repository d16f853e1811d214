/// A function of the kernel, as the repository cites it: `mm/gup.c:try_grab_folio (6.1)`.
struct Citation: Hashable {
  let file: String
  let function: String
  let version: String

  /// The citations of a text, and what looks like one and has another form.
  static func find(in text: String) -> (good: [Citation], bad: [String]) {
    var good: [Citation] = []
    var bad: [String] = []
    let bytes = Array(text.utf8)
    for colon in bytes.indices where bytes[colon] == UInt8(ascii: ":") {
      guard let file = path(in: bytes, endingAt: colon) else { continue }
      var end = colon + 1
      while end < bytes.count, isWord(bytes[end]) { end += 1 }
      guard end > colon + 1, !isDigit(bytes[colon + 1]) else { continue }
      let function = String(decoding: bytes[colon + 1..<end], as: UTF8.self)
      if let version = version(in: bytes, after: end) {
        good.append(Citation(file: file, function: function, version: version))
      } else {
        bad.append("\(file):\(function)")
      }
    }
    bad += olderForms(in: bytes)
    return (good, bad)
  }

  /// A path of the kernel's that ends before a colon: at least one folder, and a file of C.
  private static func path(in bytes: [UInt8], endingAt colon: Int) -> String? {
    guard colon >= 4, bytes[colon - 2] == UInt8(ascii: "."),
      bytes[colon - 1] == UInt8(ascii: "c") || bytes[colon - 1] == UInt8(ascii: "h")
    else { return nil }
    var start = colon
    while start > 0, isWord(bytes[start - 1]) || [45, 46, 47].contains(bytes[start - 1]) { start -= 1 }
    let path = String(decoding: bytes[start..<colon], as: UTF8.self)
    return path.contains("/") ? path : nil
  }

  private static func version(in bytes: [UInt8], after end: Int) -> String? {
    let known = ["mainline", "seed "]
    guard end + 1 < bytes.count, bytes[end] == UInt8(ascii: " "), bytes[end + 1] == UInt8(ascii: "("),
      let close = bytes[(end + 2)...].firstIndex(of: UInt8(ascii: ")"))
    else { return nil }
    let text = String(decoding: bytes[end + 2..<close], as: UTF8.self)
    let isNumber =
      text.contains(".") && text.allSatisfy { $0.isNumber || $0 == "." } && text.first?.isNumber == true
    return isNumber || known.contains { text.hasPrefix($0) } ? text : nil
  }

  /// Mentions such as `try_grab_folio, 6.1`: the name of a function or file, a comma, and the version.
  private static func olderForms(in bytes: [UInt8]) -> [String] {
    let old = Array(", 6.1".utf8)
    return bytes.indices.dropLast(old.count - 1).compactMap { at in
      guard at > 0, bytes[at] == old[0], isWord(bytes[at - 1]), !isDigit(bytes[at - 1]),
        bytes[at..<at + old.count].elementsEqual(old)
      else { return nil }
      var start = at
      while start > 0, bytes[start - 1] != UInt8(ascii: " ") { start -= 1 }
      let mention = String(decoding: bytes[start..<at + old.count], as: UTF8.self)
      return mention.contains { "_/".contains($0) } ? mention : nil
    }
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte == 95 || (65...90).contains(byte) || (97...122).contains(byte)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
}
