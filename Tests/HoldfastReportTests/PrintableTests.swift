import HoldfastReport
import Testing

@Suite("What a terminal would obey is written in words")
struct PrintableTests {
  @Test(
    "control characters are escaped; line feeds, tabs and, of results, colours stay",
    arguments: [
      ("plain\n\ttext", "plain\n\ttext", "plain\n\ttext"),
      ("a\u{1b}]0;title\u{7}b", "a\\u{1b}]0;title\\u{7}b", "a\\u{1b}]0;title\\u{7}b"),
      ("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m", "\u{1b}[31mred\u{1b}[0m"),
      ("\u{1b}[2Jgone", "\\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
      (
        "over\rwritten\u{7f}\u{9b}1m", "over\\u{d}written\\u{7f}\\u{9b}1m",
        "over\\u{d}written\\u{7f}\\u{9b}1m"
      ),
      ("ends \u{1b}[3", "ends \\u{1b}[3", "ends \\u{1b}[3"),
    ])
  func escapes(text: String, message: String, result: String) {
    #expect(text.printable() == message)
    #expect(text.printable(keepsColours: true) == result)
  }
}
