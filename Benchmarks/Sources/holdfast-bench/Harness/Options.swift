/// The command line.
struct Options {
  static let usage = """
    usage: holdfast-bench [--row NAME]... [--floors] [--repetitions N] [--json FILE] [--check]
           holdfast-bench --list | --self-test
           holdfast-bench --workload ROW SIDE ROUNDS

      --row NAME         only this row, or the rows whose names start with NAME/; may be repeated
      --floors           also the rows that measure C twins alone
      --repetitions N    samples of each side (21)
      --json FILE        also write every sample to FILE
      --check            exit 1 if a stable row exceeds its bar
      --list             the rows and their sides
      --self-test        checks the C twins and exits
      --workload         does a fixed amount of one side's work and measures nothing (instructions.sh)
    """

  /// What to do.
  enum Action {
    case measure
    case list
    case selfTest
    case workload(row: String, side: String, rounds: Int)
    case help
  }

  /// What was found on the command line, and what was expected.
  struct Problem: Error, CustomStringConvertible {
    var description: String
  }

  var action = Action.measure
  var rows: [String] = []
  var floors = false
  var repetitions = 21
  var json: String?
  var check = false

  init(_ arguments: [String]) throws(Problem) {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--row": rows.append(try Self.value(of: argument, &rest))
      case "--floors": floors = true
      case "--repetitions": repetitions = try Self.positive(argument, &rest)
      case "--json": json = try Self.value(of: argument, &rest)
      case "--check": check = true
      case "--list": action = .list
      case "--self-test": action = .selfTest
      case "--workload":
        action = .workload(
          row: try Self.value(of: argument, &rest), side: try Self.value(of: argument, &rest),
          rounds: try Self.positive(argument, &rest))
      case "--help", "-h": action = .help
      default: throw Problem(description: "unknown argument '\(argument)'")
      }
    }
  }

  /// Whether `row` is to be measured.
  func selects(_ row: Row) -> Bool {
    rows.isEmpty
      ? floors || !row.isFloor
      : rows.contains { row.name == $0 || row.name.hasPrefix($0 + "/") }
  }

  private static func value(
    of option: String, _ rest: inout ArraySlice<String>
  ) throws(Problem) -> String {
    guard let value = rest.popFirst() else { throw Problem(description: "\(option) needs a value") }
    return value
  }

  private static func positive(
    _ option: String, _ rest: inout ArraySlice<String>
  ) throws(Problem) -> Int {
    let text = try value(of: option, &rest)
    guard let number = Int(text), number > 0 else {
      throw Problem(description: "\(option) needs a number of at least 1, found '\(text)'")
    }
    return number
  }
}
