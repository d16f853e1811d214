/// A policy, as `holdfast policies` lists it.
public struct PolicyDescription: Codable, Sendable, Equatable {
  /// Its name.
  public var name: PolicyName
  /// Its rule in one sentence.
  public var rule: String
  /// Where it comes from.
  public var origin: String
  /// Whether a scenario that names no policy gets it.
  public var isDefault: Bool

  /// All policies, oldest first.
  public static var all: [PolicyDescription] {
    PolicyName.allCases.map {
      PolicyDescription(name: $0, rule: $0.rule, origin: $0.origin, isDefault: $0 == .standard)
    }
  }

  private enum CodingKeys: String, CodingKey {
    case name, rule, origin
    case isDefault = "default"
  }
}

/// A scenario file, as `holdfast scenarios` lists it.
public struct ScenarioListing: Codable, Sendable, Equatable {
  /// The file.
  public var file: String
  /// The scenario's identifier; nil if the file cannot be read.
  public var name: String?
  /// The mail it answers.
  public var seed: String?
  /// Its sentence.
  public var summary: String?
  /// Its policy.
  public var policy: PolicyName?
  /// How many actors it has.
  public var actors: Int
  /// How many steps they take.
  public var steps: Int
  /// How many expectations it has.
  public var expectations: Int
  /// Why it cannot be read.
  public var error: String?

  /// Lists a scenario.
  public init(_ scenario: Scenario) {
    file = scenario.file
    name = scenario.name
    seed = scenario.seed
    summary = scenario.summary
    policy = scenario.policy
    actors = scenario.actors.count
    steps = scenario.actors.reduce(0) { $0 + $1.steps.count }
    expectations = scenario.expectations.count
    error = nil
  }

  /// Lists a file that cannot be read.
  public init(file: String, error: ScenarioError) {
    self.file = file
    name = nil
    seed = nil
    summary = nil
    policy = nil
    actors = 0
    steps = 0
    expectations = 0
    self.error = error.description
  }
}

/// An invariant, as `holdfast invariants` lists it.
public struct InvariantListing: Codable, Sendable, Equatable {
  /// Its name.
  public var name: String
  /// Its numbers in the lists that it comes from.
  public var source: String
  /// When it must hold: `always`; `quiesced`, when no call is in progress; or what else must be the case.
  public var moment: String
  /// When it is checked: `at rest`, or `each step` of an explored execution that touches what it is about.
  public var checked: String
  /// What holds, in one line.
  public var statement: String

  /// Lists an invariant.
  public init(name: String, source: String, moment: String, checked: String, statement: String) {
    self.name = name
    self.source = source
    self.moment = moment
    self.checked = checked
    self.statement = statement
  }
}

/// A safeguard, as `holdfast safeguards` lists it.
public struct SafeguardListing: Codable, Sendable, Equatable {
  /// Its name, as `--without` takes it.
  public var name: String
  /// The row of the catalogue.
  public var row: Int
  /// The CVE, commit or mail.
  public var reference: String?
  /// The properties that break without it.
  public var properties: [String]
  /// What the engine does with it on.
  public var statement: String
  /// The scenario that shows it.
  public var scenario: String

  /// Lists a safeguard.
  public init(
    name: String, row: Int, reference: String?, properties: [String], statement: String, scenario: String
  ) {
    self.name = name
    self.row = row
    self.reference = reference
    self.properties = properties
    self.statement = statement
    self.scenario = scenario
  }
}
