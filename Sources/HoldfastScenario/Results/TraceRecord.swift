/// Something that happened during a run, for a trace viewer.
public struct TraceRecord: Codable, Sendable, Equatable {
  /// How it is drawn.
  public enum Shape: Sendable, Equatable {
    /// From a beginning to an end.
    case slice(end: UInt64)
    /// A moment.
    case instant
    /// Values of a series from now on.
    case counter([String: Int64])
  }

  /// What happened: a verb, a kernel event, or a counter's name.
  public var name: String
  /// `step`, `fault`, `pin`, `unpin`, `isolate`, `migrate`, `offline`, ...
  public var category: String
  /// The actor; nil for what belongs to the machine.
  public var track: String?
  /// The ground's logical clock.
  public var time: UInt64
  /// How it is drawn.
  public var shape: Shape
  /// What a viewer shows when it is selected.
  public var arguments: [String: String]

  /// Makes an event.
  public init(
    name: String, category: String, track: String?, time: UInt64, shape: Shape,
    arguments: [String: String] = [:]
  ) {
    self.name = name
    self.category = category
    self.track = track
    self.time = time
    self.shape = shape
    self.arguments = arguments
  }

  private enum CodingKeys: String, CodingKey {
    case name, category, track, time, end, values, arguments
  }

  /// Reads the flat form, in which `end` marks a slice and `values` a counter.
  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    name = try fields.decode(String.self, forKey: .name)
    category = try fields.decode(String.self, forKey: .category)
    track = try fields.decodeIfPresent(String.self, forKey: .track)
    time = try fields.decode(UInt64.self, forKey: .time)
    arguments = try fields.decodeIfPresent([String: String].self, forKey: .arguments) ?? [:]
    if let values = try fields.decodeIfPresent([String: Int64].self, forKey: .values) {
      shape = .counter(values)
    } else if let end = try fields.decodeIfPresent(UInt64.self, forKey: .end) {
      shape = .slice(end: end)
    } else {
      shape = .instant
    }
  }

  /// Writes the flat form.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(name, forKey: .name)
    try fields.encode(category, forKey: .category)
    try fields.encodeIfPresent(track, forKey: .track)
    try fields.encode(time, forKey: .time)
    if !arguments.isEmpty { try fields.encode(arguments, forKey: .arguments) }
    switch shape {
    case .slice(let end): try fields.encode(end, forKey: .end)
    case .counter(let values): try fields.encode(values, forKey: .values)
    case .instant: break
    }
  }
}
