/// A claim, and the runs of a scenario that bear it out or refute it.
///
/// The scenario is a text with places such as `{{pages}}`, which the point of the axis, the series and each run's draws
/// fill.
public struct Experiment: Sendable, Equatable {
  /// A point of the axis.
  public struct Point: Sendable, Equatable {
    /// What tables and plots call it.
    public var name: String
    /// The text that replaces the axis's place in the scenario.
    public var text: String
    /// Its place on the axis; nil if the points are cases without an order.
    public var number: Int?
  }

  /// What is varied.
  public struct Axis: Sendable, Equatable {
    /// Its name in the scenario.
    public var name: String
    /// What it is, in words.
    public var label: String
    /// In file order.
    public var points: [Point]
  }

  /// A number that each run draws.
  public struct Draw: Sendable, Equatable {
    /// Its name in the scenario.
    public var name: String
    /// All of it are equally likely.
    public var range: ClosedRange<Int>
  }

  /// What is compared: the same points and draws under another policy or with other words.
  public struct Series: Sendable, Equatable {
    /// What tables and plots call it.
    public var name: String
    /// The policy, if not the scenario's.
    public var policy: PolicyName?
    /// The texts that replace places in the scenario, by their names.
    public var texts: [String: String] = [:]
  }

  /// What is read from a step.
  public enum Quantity: String, Sendable, Hashable, Codable, CaseIterable {
    /// Whether it succeeded.
    case succeeds
    /// Pages, or frames, done.
    case pages
    /// Pages moved to other frames.
    case migrated
    /// Attempts at moving a page that failed.
    case failures
    /// Times that it began again.
    case retries
    /// How often it was done.
    case repeats
    /// Real time spent in it, a page that was asked for.
    case nanosecondsPerPage = "nanoseconds-per-page"
  }

  /// What is measured in every run.
  public struct Measure: Sendable, Equatable {
    /// Where it is read.
    public enum Source: Sendable, Equatable {
      /// Whether every expectation holds.
      case outcome
      /// What the expectation of this number, from 1, found.
      case expectation(Int)
      /// What the labelled step did.
      case step(String, Quantity)
    }

    /// Its name.
    public var name: String
    /// What it is, in words.
    public var label: String
    /// Where it is read.
    public var source: Source

    /// Whether a run has it or not, so that a share of the runs is what counts.
    public var isShare: Bool {
      switch source {
      case .outcome, .step(_, .succeeds): true
      default: false
      }
    }
  }

  /// What the claim says of a measure; if it does not hold, the claim is refuted.
  public struct Expected: Sendable, Equatable {
    /// Which measure.
    public var measure: String
    /// Which series.
    public var series: String
    /// At which point; nil for all of them.
    public var point: String?
    /// How the typical value compares.
    public var operation: Comparison.Operator
    /// With what, in thousandths.
    public var thousandths: Int
    /// Where it stands.
    public var location: SourceLocation
  }

  /// The identifier.
  public var name: String
  /// The file it was read from, as the user named it.
  public var file: String
  /// The mail whose claim it is, `000` to `004`.
  public var seed: String
  /// What is claimed.
  public var claim: String
  /// How it is tested.
  public var method: String
  /// What would refute it.
  public var refutedBy: String
  /// How many runs each point of each series has, unless the command line says.
  public var runs: Int
  /// Whether frames hold real memory.
  public var ground: RunReport.Ground
  /// What is varied.
  public var axis: Axis
  /// What each run draws, the same in every series.
  public var draws: [Draw]
  /// What is compared.
  public var series: [Series]
  /// What is measured.
  public var measures: [Measure]
  /// What the claim says of it.
  public var expected: [Expected]
  /// The scenario with its places.
  public var template: String
}
