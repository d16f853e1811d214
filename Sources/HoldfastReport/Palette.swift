internal import Rainbow

/// Decides whether text is coloured, and colours it.
///
/// Rainbow's own switches are process-wide and look at standard output themselves; a renderer must give the
/// same text for the same input, so that only Rainbow's codes are used here and the caller decides.
public struct Palette: Sendable {
  /// Whether anything is coloured.
  public let colored: Bool

  /// A palette that colours, or one that leaves everything plain.
  public init(colored: Bool) {
    self.colored = colored
  }

  /// Colours for a terminal, unless NO_COLOR is set to something or the terminal says it is dumb.
  public init(isTerminal: Bool, environment: [String: String]) {
    let refused = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
    colored = isTerminal && !refused && environment["TERM"] != "dumb"
  }

  /// The text in this ink, with the codes around it if the palette colours.
  func paint(_ text: String, _ ink: Ink) -> String {
    let codes = ink.codes
    guard colored, !text.isEmpty, !codes.isEmpty else { return text }
    return "\u{1B}[" + codes.map(String.init).joined(separator: ";") + "m" + text + "\u{1B}[0m"
  }
}

/// What a colour means.
enum Ink {
  case plain, title, name, good, bad, caution, quiet

  fileprivate var codes: [UInt8] {
    switch self {
    case .plain: []
    case .title: Style.bold.value
    case .name: NamedColor.cyan.value
    case .good: NamedColor.green.value
    case .bad: NamedColor.red.value + Style.bold.value
    case .caution: NamedColor.yellow.value
    case .quiet: Style.dim.value
    }
  }
}
