import HoldfastReport
import HoldfastScenario
import Testing

/// What people read of conditions.
@Suite struct ConditionTextTests {
  private static let yaml = """
    scenario: conditions
    summary: one of each
    machine: {memory: 64 frames, page-tables: 2, block: 16 frames}
    actors:
      - name: one
        steps:
          - map: {region: ram, size: 1 pages}
            label: mapped
    conditions:
      - never: {step: mapped, equals: ok}
      - always: {step: mapped, equals: ok}
      - sometimes: {step: mapped, equals: ENOMEM}
      - {sometimes: {step: mapped, equals: ok}, under: {linux-6.1: skip}}
    """

  @Test("an exploration says how often each was true, and whether that is as it should be")
  func exploration() throws {
    let scenario = try Scenario(yaml: Self.yaml, file: "c.yaml")
    var record = StepRecord(sequence: 1, actor: "one", step: scenario.actors[0].steps[0], begin: 0)
    var histogram = StateHistogram()
    record.status = .ok
    histogram.add(RunState(exploring: scenario, [record], [.holds, .holds, .fails, .holds]), count: 7)
    var report = ExploreReport(scenario, policy: .linux61, stateBytes: 24_576)
    var pass = try #require(Sample.exploration().passes.last)
    pass.end = .exhausted
    pass.states = histogram.rows
    report.passes = [pass]
    report.summarise(scenario)
    #expect(report.conditions.map(\.isMet) == [false, true, false, nil])
    let isWitness = report.noteWitness(ExploreReport.witnessName(0), "v1:0:0*3")
    #expect(isWitness)
    let isAnother = report.noteWitness("pin-placement", "v1:0:0*3")
    #expect(!isAnother)
    let text = ExploreText.render(report, palette: Palette(colored: false))
    for line in [
      "No       Never      7 of 7  line 10  result of step mapped: ok",
      "Ok       Always     7 of 7  line 11  result of step mapped: ok",
      "No       Sometimes  0 of 7  line 12  result of step mapped: ENOMEM",
      "Skipped  -          7 of 7  line 13  result of step mapped: ok",
      "line 10 is seen by: --replay v1:0:0*3", "no finding, 2 conditions not met; space exhausted",
    ] {
      #expect(text.contains(line), "\(line) is not in\n\(text)")
    }
    #expect(report.exitCode == 1)
  }
}
