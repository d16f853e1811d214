extension Exploration {
  /// The same flaw in an execution with as few preemptions as can be found, and then as few steps.
  ///
  /// First, preemptions of the schedule are removed one after the other, as long as the flaw stays. Then executions
  /// with fewer preemptions are searched, from none upwards, and at last shorter executions with as many.
  ///
  /// - Parameters:
  ///   - executions: most executions for each number of preemptions.
  /// - Throws: `ExplorationError` as `run` does.
  public static func minimise(
    _ finding: Finding, of program: ExploredProgram, settings: ExplorationSettings = .init(),
    executions: Int = 20_000, check: @escaping (Moment) -> Violation? = { _ in nil }
  ) throws(ExplorationError) -> Finding {
    var settings = settings
    settings.stopsAtFinding = true
    settings.mergesEqualStates = false
    var best = finding
    best = try withoutSwitches(best, program, settings, check)

    settings.executions = executions
    for bound in 0..<max(best.preemptions, 1) {
      let report = try run(
        program, strategy: .preemptionBounded(bound), settings: settings, check: check)
      if let found = report.findings.first, found.name == finding.name, isSmaller(found, best) {
        best = found
        break
      }
    }
    best.execution = finding.execution
    return best
  }

  private static func isSmaller(_ one: Finding, _ other: Finding) -> Bool {
    (choices(one), one.preemptions, one.steps.count) < (choices(other), other.preemptions, other.steps.count)
  }

  private static func choices(_ finding: Finding) -> Int {
    finding.schedule.decisions.count {
      if case .choice(let value) = $0 { value != 0 } else { false }
    }
  }

  /// Removes runs of one actor from the schedule, one after the other, as long as that makes it smaller.
  private static func withoutSwitches(
    _ finding: Finding, _ program: ExploredProgram, _ settings: ExplorationSettings,
    _ check: @escaping (Moment) -> Violation?
  ) throws(ExplorationError) -> Finding {
    var best = finding
    var didShrink = true
    while didShrink {
      didShrink = false
      let runs = runs(of: best.schedule.decisions)
      for index in runs.indices {
        // Without the run, and with it only after the next one.
        var without = runs
        without.remove(at: index)
        var swapped = runs
        if index + 1 < runs.count { swapped.swapAt(index, index + 1) }
        for candidate in [without, swapped] {
          let decisions = Array(candidate.joined())
          if let found = try follow(decisions, of: finding, program, settings, check), isSmaller(found, best)
          {
            best = found
            didShrink = true
            break
          }
        }
        if didShrink { break }
      }
    }
    return best
  }

  private static func runs(of decisions: [Schedule.Decision]) -> [[Schedule.Decision]] {
    var runs: [[Schedule.Decision]] = []
    for decision in decisions {
      if runs.last?.last == decision {
        runs[runs.count - 1].append(decision)
      } else {
        runs.append([decision])
      }
    }
    return runs
  }

  /// Follows decisions as far as they can be followed; nil if the flaw is not found.
  private static func follow(
    _ decisions: [Schedule.Decision], of finding: Finding, _ program: ExploredProgram,
    _ settings: ExplorationSettings, _ check: @escaping (Moment) -> Violation?
  ) throws(ExplorationError) -> Finding? {
    let schedule = Schedule(programHash: finding.schedule.programHash, decisions: decisions)
    let job = ExplorationJob(program, check: check)
    let explorer = try Explorer(job, .replay(schedule), settings, isLenient: true)
    let found = try explorer.run().findings.first
    return found?.name == finding.name ? found : nil
  }
}
