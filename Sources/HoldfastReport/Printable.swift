extension String {
  /// The text without what a terminal would obey: control characters are written as `\u{1b}`.
  ///
  /// Names and messages may hold any character of a file that was read. Line feeds, tabs and, if `keepsColours`, the
  /// sequences that choose a colour stay.
  public func printable(keepsColours: Bool = false) -> String {
    guard unicodeScalars.contains(where: Self.isControl) else { return self }
    var printable = ""
    var rest = self[...].unicodeScalars
    while let scalar = rest.first {
      if keepsColours, scalar == "\u{1b}", let length = Self.colourLength(rest) {
        printable.unicodeScalars.append(contentsOf: rest.prefix(length))
        rest = rest.dropFirst(length)
        continue
      }
      rest = rest.dropFirst()
      if Self.isControl(scalar) {
        printable += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        printable.unicodeScalars.append(scalar)
      }
    }
    return printable
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    (scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)) && scalar != "\n" && scalar != "\t"
  }

  /// Length of the sequence that begins here, if all that it does is to choose colours: ESC [ digits m.
  private static func colourLength(_ text: Substring.UnicodeScalarView) -> Int? {
    guard text.dropFirst().first == "[" else { return nil }
    let digits = text.dropFirst(2).prefix { ("0"..."9").contains($0) || $0 == ";" }
    return text.dropFirst(2 + digits.count).first == "m" ? digits.count + 3 : nil
  }
}
