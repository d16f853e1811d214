/// Why a scenario was not run.
public enum RunFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// The scenario, the machine or a file cannot be used: exit code 2.
  case badInput(String)
  /// Something is missing here: exit code 3.
  case cannotRun(String)
  /// The program is wrong: exit code 4.
  case internalError(String)

  /// The sentence.
  public var description: String {
    switch self {
    case .badInput(let text), .cannotRun(let text), .internalError(let text): text
    }
  }
}
