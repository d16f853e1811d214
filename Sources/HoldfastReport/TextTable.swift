/// Columns of text under headings, as wide as they need to be.
struct TextTable {
  /// One entry: its text, and its ink, which its width must not count.
  struct Cell {
    let text: String
    let ink: Ink

    init(_ text: String, _ ink: Ink = .plain) {
      self.text = text
      self.ink = ink
    }
  }

  /// Numbers are aligned to the right, words to the left.
  enum Alignment {
    case left, right
  }

  private let headings: [(title: String, alignment: Alignment)]
  private var rows: [[Cell]] = []

  init(_ headings: [(title: String, alignment: Alignment)]) {
    self.headings = headings
  }

  mutating func add(_ cells: [Cell]) {
    rows.append(cells)
  }

  func render(indent: Int, palette: Palette) -> String {
    let titles = headings.map { Cell($0.title, .quiet) }
    let widths = headings.indices.map { column in
      ([titles] + rows).map { $0[column].text.count }.max() ?? 0
    }
    let hasTitles = headings.contains { !$0.title.isEmpty }
    return (hasTitles ? [titles] + rows : rows).map { row in
      var line = String(repeating: " ", count: indent)
      for (column, cell) in row.enumerated() {
        let space = String(repeating: " ", count: widths[column] - cell.text.count)
        let last = column == row.count - 1
        switch headings[column].alignment {
        case .left: line += palette.paint(cell.text, cell.ink) + (last ? "" : space + "  ")
        case .right: line += space + palette.paint(cell.text, cell.ink) + (last ? "" : "  ")
        }
      }
      return Self.trimmed(line) + "\n"
    }.joined()
  }

  private static func trimmed(_ line: String) -> String {
    var line = Substring(line)
    while line.last == " " { line.removeLast() }
    return String(line)
  }
}
