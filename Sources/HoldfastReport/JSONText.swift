internal import Foundation
public import HoldfastScenario

/// Reports for programs: stable keys in alphabetical order, `schema` says which form.
public enum JSONText {
  /// Any report or listing as indented JSON with a line break at its end.
  public static func render(_ report: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(report), as: UTF8.self) + "\n"
  }

  /// A run's report from its JSON; refuses another schema.
  public static func parseRun(_ text: String) throws -> RunReport {
    struct Version: Decodable { var schema: Int }
    let data = Data(text.utf8)
    let decoder = JSONDecoder()
    let version = try decoder.decode(Version.self, from: data).schema
    guard version == RunReport.currentSchema else {
      throw SchemaError(found: version, expected: RunReport.currentSchema)
    }
    return try decoder.decode(RunReport.self, from: data)
  }

  /// The text was written in another form than this build reads.
  public struct SchemaError: Error, Equatable, CustomStringConvertible {
    /// What the text says.
    public var found: Int
    /// What this build reads.
    public var expected: Int

    /// The message.
    public var description: String { "the report has schema \(found); this build reads schema \(expected)" }
  }
}
