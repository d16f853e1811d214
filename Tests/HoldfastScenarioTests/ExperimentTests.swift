import Foundation
import HoldfastScenario
import Testing

@Suite("Experiments are read")
struct ExperimentTests {
  private static func yaml(_ change: (String, String)...) -> String {
    var yaml = """
      experiment: one
      seed: "001"
      claim: A claim.
      method: A method.
      refuted-by: A result.
      axis: {name: pages, label: pages, values: [1, 4]}
      draw: {more: [2, 3]}
      series: [linux-6.1, {name: other, policy: linux-5.10}]
      measure: [{name: done, label: it is done, step: touched, value: succeeds}]
      expect: [{measure: done, series: other, at: "4", at-least: 0.5}]
      scenario: |
        scenario: one
        summary: s
        machine: {memory: 64 frames, page-tables: 2, block: 16 frames}
        actors:
          - name: one
            steps:
              - map: {region: ram, size: "{{pages}} pages"}
              - touch: ram
                repeat: {{more}}
                label: touched

      """
    for (old, new) in change { yaml = yaml.replacing(old, with: new) }
    return yaml
  }

  @Test("a place is filled with the point, the series and the draws")
  func filled() throws {
    let experiment = try Experiment(
      yaml: Self.yaml(
        ("values: [1, 4]", "cases: {few: \"{{more}}\", many: \"9\"}"), ("at: \"4\"", "at: many")),
      file: "e.yaml")
    let few = try experiment.scenario(0, 1) { $0.upperBound }
    let many = try experiment.scenario(1, 0) { $0.lowerBound }
    #expect(few.actors[0].steps.map(\.verb.summary)[0].contains("12 KiB"), "3 pages")
    #expect(many.actors[0].steps.map(\.verb.summary)[0].contains("36 KiB"), "9 pages")
    #expect(few.actors[0].steps[1].repeats == 3 && many.actors[0].steps[1].repeats == 2)
    #expect(experiment.series.map(\.policy) == [.linux61, .linux510])
    #expect(experiment.expected.map(\.thousandths) == [500])
  }

  @Test(
    "a malformed experiment is refused with its line",
    arguments: [
      (("seed: \"001\"", "seed: \"7\""), 2, "unknown seed \"7\""),
      (("values: [1, 4]", "values: []"), 6, "an axis has 1 to 64 points; found 0"),
      (("values: [1, 4]", "values: [1, 1]"), 6, "two points of the axis are the same"),
      (("[2, 3]", "[3, 2]"), 7, "must be a list of the least and the greatest number"),
      (("name: other", "name: linux-6.1"), 8, "two series are called \"linux-6.1\""),
      (("policy: linux-5.10", "policy: linux-5"), 8, "unknown policy"),
      (("step: touched", "step: untouched"), 11, "step \"untouched\", which the scenario has not"),
      (("value: succeeds", "value: luck"), 9, "allowed: succeeds, pages"),
      (("step: touched, value: succeeds", "expectation: 1"), 11, "of expectation 1, the scenario has 0"),
      (("at-least: 0.5", "at-least: 0.5, at-most: 1"), 10, "an expectation has one operator"),
      (("at: \"4\"", "at: \"5\""), 10, "unknown point \"5\"; did you mean"),
      (("{{more}}", "{{less}}"), 20, "unknown place \"{{less}}\"; allowed: more, pages"),
      (("touch: ram", "tuch: ram"), 19, "unknown verb \"tuch\"; did you mean \"touch\"?"),
    ] as [((String, String), Int, String)])
  func malformed(change: (String, String), line: Int, message: String) throws {
    let error = #expect(throws: ScenarioError.self) {
      try Experiment(yaml: Self.yaml(change), file: "e.yaml")
    }
    let text = error?.description ?? ""
    #expect(text.hasPrefix("e.yaml:\(line):") && text.contains(message), "\(text)")
  }

  @Test("a share has Wilson's interval, other measures the quartiles")
  func samples() throws {
    let point = try Experiment(yaml: Self.yaml(), file: "e").axis.points[0]
    let share = ExperimentReport.Sample(point, [1, 1, 1, nil, 0], isShare: true)
    #expect(share.value == 0.75 && share.runs == 4 && share.leftOut == 1)
    // By R's binom::binom.confint(3, 4, method = "wilson").
    #expect(abs((share.low ?? 0) - 0.300642) < 1e-5 && abs((share.high ?? 0) - 0.954413) < 1e-5)
    let number = ExperimentReport.Sample(point, [5, 1, 2, 4, 3], isShare: false)
    #expect([number.low, number.value, number.high] == [2, 3, 4])
    let none = ExperimentReport.Sample(point, [nil], isShare: false)
    #expect(none.value == nil && none.leftOut == 1)
  }
}
