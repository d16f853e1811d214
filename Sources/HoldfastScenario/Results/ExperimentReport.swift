/// What the runs of an experiment showed.
public struct ExperimentReport: Codable, Sendable, Equatable {
  /// The typical value of a measure at a point, and how far the runs lie apart.
  public struct Sample: Codable, Sendable, Equatable {
    /// The point of the axis.
    public var point: String
    /// Its place on the axis; nil if the points are cases without an order.
    public var number: Int?
    /// The share of the runs, from 0 to 1, or the median; nil if no run showed the measure.
    public var value: Double?
    /// The lower end of the 95 % interval of a share (Wilson), or the lower quartile.
    public var low: Double?
    /// The upper end, or the upper quartile.
    public var high: Double?
    /// How many runs showed the measure.
    public var runs: Int
    /// How many runs did not, because the step was not done.
    public var leftOut: Int

    /// Sums up values.
    ///
    /// - Parameters:
    ///   - point: the point of the axis.
    ///   - values: one for each run; nil where the run did not show the measure.
    ///   - isShare: whether they are 0 and 1.
    public init(_ point: Experiment.Point, _ values: [Double?], isShare: Bool) {
      self.point = point.name
      number = point.number
      let seen = values.compactMap(\.self).sorted()
      runs = seen.count
      leftOut = values.count - seen.count
      guard !seen.isEmpty else { return }
      if isShare {
        let share = seen.reduce(0, +) / Double(seen.count)
        value = share
        (low, high) = Self.wilson(share, of: Double(seen.count))
      } else {
        value = Self.quantile(seen, 0.5)
        low = Self.quantile(seen, 0.25)
        high = Self.quantile(seen, 0.75)
      }
    }

    /// The interval in which a share lies with 95 %, by the number of runs that it was seen in.
    static func wilson(_ share: Double, of count: Double) -> (Double, Double) {
      let z = 1.959964
      let denominator = 1 + z * z / count
      let middle = (share + z * z / (2 * count)) / denominator
      let half =
        z / denominator * (share * (1 - share) / count + z * z / (4 * count * count)).squareRoot()
      return (max(0, middle - half), min(1, middle + half))
    }

    /// A quantile of sorted values, between two of them by their distance.
    static func quantile(_ sorted: [Double], _ part: Double) -> Double {
      let place = part * Double(sorted.count - 1)
      let below = Int(place)
      let above = min(below + 1, sorted.count - 1)
      return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
    }

    private enum CodingKeys: String, CodingKey {
      case point, number, value, low, high, runs
      case leftOut = "left_out"
    }
  }

  /// A measure in one series, point by point.
  public struct Line: Codable, Sendable, Equatable {
    /// The series.
    public var series: String
    /// In the axis's order.
    public var samples: [Sample]

    /// A series with its samples.
    public init(series: String, samples: [Sample]) {
      self.series = series
      self.samples = samples
    }
  }

  /// A measure in all series.
  public struct Panel: Codable, Sendable, Equatable {
    /// The measure.
    public var measure: String
    /// What it is, in words.
    public var label: String
    /// Whether its values are shares of the runs.
    public var isShare: Bool
    /// In file order.
    public var lines: [Line]

    /// A measure with its lines.
    public init(_ measure: Experiment.Measure, lines: [Line]) {
      self.measure = measure.name
      label = measure.label
      isShare = measure.isShare
      self.lines = lines
    }

    private enum CodingKeys: String, CodingKey {
      case measure, label, lines
      case isShare = "is_share"
    }
  }

  /// Version of this form.
  public var schema = RunReport.currentSchema
  /// The experiment.
  public var experiment: String
  /// The mail whose claim it is.
  public var seed: String
  /// The claim.
  public var claim: String
  /// How it was tested.
  public var method: String
  /// What would refute it.
  public var refutedBy: String
  /// What the axis is, in words.
  public var axis: String
  /// Runs of each point of each series.
  public var runs: Int
  /// Where the random numbers began.
  public var randomSeed: UInt64
  /// One for each measure.
  public var panels: [Panel]
  /// What the claim says, and what was found.
  public var verdicts: [Verdict]

  /// Whether something refutes the claim.
  public var isRefuted: Bool { verdicts.contains { $0.state == .fails } }

  /// The report of an experiment whose runs have ended.
  public init(_ experiment: Experiment, runs: Int, randomSeed: UInt64, panels: [Panel]) {
    self.experiment = experiment.name
    seed = experiment.seed
    claim = experiment.claim
    method = experiment.method
    refutedBy = experiment.refutedBy
    axis = experiment.axis.label
    self.runs = runs
    self.randomSeed = randomSeed
    self.panels = panels
    verdicts = experiment.expected.map { Self.verdict($0, panels) }
  }

  private static func verdict(_ expected: Experiment.Expected, _ panels: [Panel]) -> Verdict {
    let line = panels.first { $0.measure == expected.measure }?.lines.first { $0.series == expected.series }
    let samples = (line?.samples ?? []).filter { expected.point == nil || $0.point == expected.point }
    let bound = Double(expected.thousandths) / 1000
    let (word, holds): (String, (Double) -> Bool) =
      switch expected.operation {
      case .atLeast: ("at least ", { $0 >= bound })
      case .atMost: ("at most ", { $0 <= bound })
      default: ("", { $0 == bound })
      }
    let place = expected.point.map { " at \($0)" } ?? ""
    var verdict = Verdict(
      expectation: "\(expected.measure) of \(expected.series)\(place)", location: expected.location,
      state: .holds, expected: word + text(bound))
    let values = samples.compactMap(\.value)
    if let other = values.first(where: { !holds($0) }) {
      verdict.state = .fails
      verdict.found = text(other)
    } else if values.count < samples.count {
      verdict.state = .skipped
      verdict.reason = "no run showed it"
    } else if let least = values.min(), let most = values.max() {
      verdict.found = least == most ? text(least) : "\(text(least)) to \(text(most))"
    }
    return verdict
  }

  /// Without a fraction that is none.
  private static func text(_ value: Double) -> String {
    Int64(exactly: value).map { "\($0)" } ?? "\(value)"
  }

  private enum CodingKeys: String, CodingKey {
    case schema, experiment, seed, claim, method
    case refutedBy = "refuted_by"
    case axis, runs
    case randomSeed = "random_seed"
    case panels, verdicts
  }
}
