public import SystemPackage

/// Why a machine cannot be made from a configuration.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The field at fault.
  public let field: String
  /// What was found.
  public let found: String
  /// What would be right.
  public let expected: String

  /// A fault of a field.
  public init(field: String, found: String, expected: String) {
    self.field = field
    self.found = found
    self.expected = expected
  }

  /// The kernel's word for it.
  public var errno: Errno { .invalidArgument }

  /// One sentence.
  public var description: String { "\(field): found \(found), expected \(expected)" }
}
