public import HoldfastScenario

/// Runs experiments on the engine.
public enum ExperimentRunner {
  /// Runs every point of every series as often as `runs` says.
  ///
  /// A run draws the same numbers in every series, and is the same whenever it is run from the same random seed;
  /// real time is not.
  ///
  /// - Parameters:
  ///   - experiment: what is run.
  ///   - runs: of each point of each series; nil for as many as the experiment says.
  ///   - seed: where the random numbers begin.
  ///   - progress: told before each run how many there are and how many have ended.
  /// - Throws: `RunFailure` if a run cannot begin, or never ends.
  public static func run(
    _ experiment: Experiment, runs: Int? = nil, seed: UInt64 = 1, progress: (RunProgress) -> Void = { _ in }
  ) throws(RunFailure) -> ExperimentReport {
    let runs = runs ?? experiment.runs
    // By measure, series and point.
    var values = experiment.measures.map { _ in
      experiment.series.map { _ in experiment.axis.points.map { _ in [Double?]() } }
    }
    var done = 0
    for (point, axis) in experiment.axis.points.enumerated() {
      for run in 0..<runs {
        for (number, series) in experiment.series.enumerated() {
          progress(
            RunProgress(
              stepsDone: done, steps: runs * experiment.axis.points.count * experiment.series.count,
              current: "\(experiment.axis.name) \(axis.name), \(series.name)"))
          var random = SplitMix(state: seed)
          random.state ^= SplitMix(state: UInt64(point) << 32 | UInt64(run)).first
          let report = try report(experiment, point, number, &random)
          for (place, measure) in experiment.measures.enumerated() {
            values[place][number][point].append(Self.value(measure.source, report))
          }
          done += 1
        }
      }
    }
    let panels = experiment.measures.enumerated().map { place, measure in
      ExperimentReport.Panel(
        measure,
        lines: experiment.series.enumerated().map { number, series in
          ExperimentReport.Line(
            series: series.name,
            samples: experiment.axis.points.enumerated().map { point, axis in
              ExperimentReport.Sample(axis, values[place][number][point], isShare: measure.isShare)
            })
        })
    }
    return ExperimentReport(experiment, runs: runs, randomSeed: seed, panels: panels)
  }

  private static func report(
    _ experiment: Experiment, _ point: Int, _ series: Int, _ random: inout SplitMix
  ) throws(RunFailure) -> RunReport {
    let scenario: Scenario
    do throws(ScenarioError) {
      scenario = try experiment.scenario(point, series) { random.next(in: $0) }
    } catch {
      throw .badInput(error.description)
    }
    var options = RunOptions()
    options.policy = experiment.series[series].policy
    options.ground = experiment.ground
    // Real time is measured.
    options.checkInvariants = experiment.ground == .model
    return try ScenarioRunner.run(scenario, options)
  }

  private static func value(_ source: Experiment.Measure.Source, _ report: RunReport) -> Double? {
    switch source {
    case .outcome:
      switch report.outcome {
      case .holds: return 1
      case .fails: return 0
      case .unchecked: return nil
      }
    case .expectation(let number):
      // `512 of 512 pages` and `512` are both the number 512.
      return report.verdicts[number - 1].found.flatMap { Double($0.prefix { $0.isNumber || $0 == "-" }) }
    case .step(let label, let quantity):
      guard let step = report.steps.first(where: { $0.label == label }), step.status != .skipped else {
        return nil
      }
      switch quantity {
      case .succeeds: return step.status == .ok ? 1 : 0
      case .pages: return step.pages.map(Double.init)
      case .migrated: return step.migrated.map(Double.init)
      case .failures: return step.failures.map(Double.init)
      case .retries: return step.retries.map(Double.init)
      case .repeats: return step.repeats.map(Double.init)
      case .nanosecondsPerPage:
        guard let pages = step.requested, pages > 0 else { return nil }
        return Double(step.wallNanoseconds) / Double(pages)
      }
    }
  }
}

extension SplitMix {
  /// The first number.
  fileprivate var first: UInt64 {
    var copy = self
    return copy.next()
  }
}
