/// A place in a scenario file, so that a message about a step or an expectation can point at it.
public struct SourceLocation: Sendable, Hashable, Codable, CustomStringConvertible {
  /// The file as the user named it.
  public var file: String
  /// Counted from 1.
  public var line: Int
  /// Counted from 1.
  public var column: Int

  /// Points at a line and column of a file.
  public init(file: String, line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }

  /// The form that editors and terminals turn into a link.
  public var description: String { "\(file):\(line):\(column)" }
}

/// Why a scenario cannot be used: where, what was found there and what is allowed there.
///
/// A reader stops at the first one, because what follows a mistake is usually its echo.
public struct ScenarioError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The place of the word that is wrong, or of the mapping in which something is missing.
  public var location: SourceLocation
  /// What is wrong, in one sentence without a full stop; names the word that was found.
  public var problem: String
  /// The words that are allowed there; empty if they are not a fixed list.
  public var allowed: [String]
  /// The allowed word that was probably meant.
  public var suggestion: String?

  init(_ problem: String, at location: SourceLocation, allowed: [String] = [], suggestion: String? = nil) {
    self.location = location
    self.problem = problem
    self.allowed = allowed
    self.suggestion = suggestion
  }

  /// The message on one line.
  public var description: String {
    var text = "\(location): \(problem)"
    if let suggestion { text += "; did you mean \"\(suggestion)\"?" }
    if !allowed.isEmpty {
      text += (suggestion == nil ? "; " : " ") + "allowed: " + allowed.joined(separator: ", ")
    }
    return text
  }
}
