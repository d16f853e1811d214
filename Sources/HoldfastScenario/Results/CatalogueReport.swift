/// What came of running the catalogue of bugs and disputes: each entry without its safeguard, and with it.
public struct CatalogueReport: Codable, Sendable, Equatable {
  /// The version of this form.
  public static let currentSchema = 1

  /// What the two explorations of an entry say together.
  public enum Verdict: String, Codable, Sendable, Hashable {
    /// Found without the safeguard, and not with it.
    case fixed
    /// Found with everything on, as the kernel has it.
    case open
    /// Found with everything on, and meant to be so.
    case byDesign = "by-design"
    /// Not found where it has to be.
    case notFound = "not-found"
    /// Found where it must not be.
    case notCleared = "not-cleared"
    /// The exploration that has to clear it did not come to its end.
    case unfinished
    /// The run was interrupted before.
    case notRun = "not-run"

    /// Whether this is one of the verdicts that an entry can be meant to have.
    public var isExpected: Bool {
      switch self {
      case .fixed, .open, .byDesign: true
      case .notFound, .notCleared, .unfinished, .notRun: false
      }
    }
  }

  /// One exploration of an entry's scenario.
  public struct Search: Codable, Sendable, Equatable {
    /// The policy whose rules hold.
    public var policy: PolicyName
    /// The safeguards that the machine lacked.
    public var without: [String]
    /// How the last executions were chosen, in words.
    public var search: String
    /// Why it ended.
    public var end: ExploreReport.End
    /// Executions of all its searches.
    public var executions: Int
    /// The name of what was found first.
    public var finding: String?
    /// Real time.
    public var seconds: Double

    /// A search.
    public init(
      policy: PolicyName, without: [String], search: String, end: ExploreReport.End, executions: Int,
      finding: String?, seconds: Double
    ) {
      self.policy = policy
      self.without = without
      self.search = search
      self.end = end
      self.executions = executions
      self.finding = finding
      self.seconds = seconds
    }
  }

  /// One safeguard of a row, or one way in which a row stays open.
  public struct Entry: Codable, Sendable, Equatable {
    /// The number of the row.
    public var row: Int
    /// The row's name.
    public var name: String
    /// The properties that it breaks.
    public var properties: [String]
    /// The CVE, commit or mail.
    public var reference: String?
    /// The safeguard that is taken out, unless the entry is found with everything on.
    public var safeguard: String?
    /// The scenario that shows it.
    public var scenario: String
    /// What the explorations say.
    public var verdict: Verdict
    /// The exploration that has to find it; nil if it was not run.
    public var find: Search?
    /// The exploration that has to clear it; nil if it was not run, or if nothing clears it.
    public var clear: Search?

    /// An entry.
    public init(
      row: Int, name: String, properties: [String], reference: String?, safeguard: String?, scenario: String,
      verdict: Verdict, find: Search?, clear: Search?
    ) {
      self.row = row
      self.name = name
      self.properties = properties
      self.reference = reference
      self.safeguard = safeguard
      self.scenario = scenario
      self.verdict = verdict
      self.find = find
      self.clear = clear
    }
  }

  /// A row, or a part of one, for which the engine lacks something.
  public struct Waiting: Codable, Sendable, Equatable {
    /// The number of the row.
    public var row: Int
    /// The row's name.
    public var name: String
    /// The properties that it breaks.
    public var properties: [String]
    /// What is missing.
    public var needs: [String]
    /// Which work brings it.
    public var comesWith: String
    /// Whether a part of the row is among the entries.
    public var isPart: Bool

    /// A row that waits.
    public init(
      row: Int, name: String, properties: [String], needs: [String], comesWith: String, isPart: Bool
    ) {
      self.row = row
      self.name = name
      self.properties = properties
      self.needs = needs
      self.comesWith = comesWith
      self.isPart = isPart
    }

    private enum CodingKeys: String, CodingKey {
      case row, name, properties, needs
      case comesWith = "comes_with"
      case isPart = "part"
    }
  }

  /// The version of this form.
  public var schema = CatalogueReport.currentSchema
  /// What was explored, by row.
  public var entries: [Entry] = []
  /// What waits, by row.
  public var waiting: [Waiting] = []

  /// A report of nothing yet.
  public init() {}

  /// 1 if an entry does not have the verdict that it is meant to have.
  public var exitCode: Int32 { entries.allSatisfy(\.verdict.isExpected) ? 0 : 1 }
}
