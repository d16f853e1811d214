/// A state of a real kernel that the engine does not allow, written up with the place in the kernel that explains it.
public struct KnownDifference: Codable, Sendable, Equatable {
  /// What the entry is about.
  public enum Form: Sendable, Equatable {
    /// A whole state, as it is printed.
    case state(String)
    /// One thing that a state says: `gone=EINTR`, `line 17 fails`.
    case observable(String)
  }

  /// The scenario's identifier.
  public var scenario: String
  /// What is different.
  public var form: Form
  /// Where the kernel does so: file and function, with a colon between them.
  public var kernel: String
  /// The kernels that do so: `6.1` means every 6.1.
  public var version: String
  /// Why the engine does otherwise, in a sentence or two.
  public var why: String
  /// The place of the entry.
  public var location: SourceLocation

  /// Makes an entry.
  init(
    scenario: String, form: Form, kernel: String, version: String, why: String, location: SourceLocation
  ) {
    self.scenario = scenario
    self.form = form
    self.kernel = kernel
    self.version = version
    self.why = why
    self.location = location
  }

  /// What is different, as it is printed.
  public var text: String {
    switch form {
    case .state(let text), .observable(let text): text
    }
  }

  /// Whether the entry is about this kernel.
  public func covers(release: String) -> Bool {
    guard release.hasPrefix(version) else { return false }
    guard let next = release.dropFirst(version.count).first else { return true }
    return !next.isNumber
  }

  private enum CodingKeys: String, CodingKey {
    case scenario, state, observable, kernel, version, why, location
  }

  /// Reads the flat form, with either a state or an observable.
  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    scenario = try fields.decode(String.self, forKey: .scenario)
    if let state = try fields.decodeIfPresent(String.self, forKey: .state) {
      form = .state(state)
    } else {
      form = .observable(try fields.decode(String.self, forKey: .observable))
    }
    kernel = try fields.decode(String.self, forKey: .kernel)
    version = try fields.decode(String.self, forKey: .version)
    why = try fields.decode(String.self, forKey: .why)
    location = try fields.decode(SourceLocation.self, forKey: .location)
  }

  /// Writes the flat form.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(scenario, forKey: .scenario)
    switch form {
    case .state(let text): try fields.encode(text, forKey: .state)
    case .observable(let text): try fields.encode(text, forKey: .observable)
    }
    try fields.encode(kernel, forKey: .kernel)
    try fields.encode(version, forKey: .version)
    try fields.encode(why, forKey: .why)
    try fields.encode(location, forKey: .location)
  }
}

extension RunState {
  /// What the state says, one text per observable: `gone=EINTR`, `line 17 fails`.
  var statements: [(observable: Observable, text: String)] {
    endings.map { (.step($0.step), "\($0.step)=\($0.result)") }
      + checks.map { (.expectation($0.line), "line \($0.line) \($0.holds ? "holds" : "fails")") }
  }
}
