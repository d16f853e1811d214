/// A command for QEMU's monitor (QMP).
///
/// `device_del` is answered when the device is removed, or the guest has refused to release it.
public struct MonitorRequest: Codable, Sendable, Equatable {
  /// The command's name, `device_add`.
  public var execute: String
  /// Its arguments.
  public var arguments: [String: JSONValue]?

  /// A command.
  public init(_ execute: String, _ arguments: [String: JSONValue]? = nil) {
    self.execute = execute
    self.arguments = arguments
  }
}

/// What the monitor answered.
public enum MonitorReply: Codable, Sendable, Equatable {
  /// The command's result.
  case result(JSONValue)
  /// Why it was refused.
  case error(String)

  private enum CodingKeys: String, CodingKey {
    case result = "return"
    case error
  }

  /// Reads the form that is sent.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    if let text = try values.decodeIfPresent(String.self, forKey: .error) {
      self = .error(text)
    } else {
      self = .result(try values.decode(JSONValue.self, forKey: .result))
    }
  }

  /// Writes the form that is sent.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .result(let value): try values.encode(value, forKey: .result)
    case .error(let text): try values.encode(text, forKey: .error)
    }
  }
}

/// Any JSON.
public enum JSONValue: Codable, Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// Reads the form that is sent.
  public init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let integer = try? value.decode(Int64.self) {
      self = .integer(integer)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else if let string = try? value.decode(String.self) {
      self = .string(string)
    } else if let array = try? value.decode([JSONValue].self) {
      self = .array(array)
    } else {
      self = .object(try value.decode([String: JSONValue].self))
    }
  }

  /// Writes the form that is sent.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    }
  }

  /// The member of an object.
  public subscript(key: String) -> JSONValue? {
    if case .object(let members) = self { members[key] } else { nil }
  }

  /// The text of a string.
  public var text: String? {
    if case .string(let text) = self { text } else { nil }
  }
}
