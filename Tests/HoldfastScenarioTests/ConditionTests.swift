import Foundation
import HoldfastScenario
import Testing

@Suite struct ConditionTests {
  @Test(
    "what was not seen decides nothing",
    arguments: [
      ([true, true], true), ([true, false], false), ([false, nil], false), ([true, nil], nil),
      ([nil, nil], nil),
    ] as [([Bool?], Bool?)])
  func unseen(atoms: [Bool?], both: Bool?) {
    let parts = atoms.indices.map { Condition.Formula.atom($0) }
    #expect(Condition.Formula.all(parts).truth { atoms[$0] } == both)
    // De Morgan, in three values.
    let denied = Condition.Formula.any(parts.map { .not($0) })
    #expect(Condition.Formula.not(denied).truth { atoms[$0] } == both)
  }

  private static let scenario = """
    scenario: conditions
    summary: combinations, policies and words
    machine: {memory: 64 frames, page-tables: 2, block: 16 frames, movable: 32 frames}
    actors:
      - name: one
        steps:
          - map: {region: ram, size: 1 pages}
            label: mapped
          - exit:
            label: gone
    expect:
      - {step: mapped, equals: ok}
    conditions:
      - never:
          or:
            - {step: gone, not: ok}
            - not: {step: mapped, equals: ok}
        under: {linux-5.5: sometimes, linux-5.10: skip}
        because: so it is
      - sometimes: [{step: mapped, equals: ENOMEM}, {step: gone, equals: ok}]
    """

  @Test("conditions keep their quantifiers, policies and words")
  func roundTrip() throws {
    let scenario = try Scenario(yaml: Self.scenario, file: "c.yaml")
    #expect(scenario.expectations.count == 1)
    #expect(scenario.looks.count == 5)
    let never = scenario.conditions[0]
    #expect(never.location.line == 14)
    #expect(never.because == "so it is")
    #expect(
      [PolicyName.linux61, .linux55, .linux510].map { never.quantifier(under: $0) } == [
        .never, .sometimes, nil,
      ])
    #expect(
      scenario.conditions.map { scenario.text(of: $0, under: .linux61) } == [
        "[result of step gone: not ok] or (not (result of step mapped: ok))",
        "[result of step mapped: ENOMEM] and [result of step gone: ok]",
      ])
  }

  @Test("one execution breaks never and always, and sees sometimes or not")
  func oneExecution() throws {
    let scenario = try Scenario(yaml: Self.scenario, file: "c.yaml")
    func states(_ looks: [Verdict.State], _ policy: PolicyName = .linux61) -> [Verdict.State] {
      scenario.conditionVerdicts(under: policy, looks).map(\.state)
    }
    #expect(states([.holds, .fails, .holds, .fails, .holds]) == [.holds, .skipped])
    #expect(states([.holds, .holds, .holds, .holds, .holds]) == [.fails, .holds])
    #expect(states([.holds, .skipped, .holds, .holds, .skipped]) == [.skipped, .skipped])
    #expect(states([.holds, .holds, .holds, .holds, .holds], .linux55) == [.holds, .holds])
    #expect(states([.holds, .holds, .holds, .holds, .holds], .linux510) == [.skipped, .holds])
  }

  @Test("a state with conditions is read as it is written")
  func stateText() throws {
    let scenario = try Scenario(yaml: Self.scenario, file: "c.yaml")
    let state = RunState(exploring: scenario, [], [.holds, .holds, .fails, .fails, .holds])
    #expect(state.description == "1 of 1 hold; true: line 14")
    #expect(state.conditions.map(\.line) == ["14", "20"])
    #expect(try JSONDecoder().decode(RunState.self, from: JSONEncoder().encode(state)) == state)
    #expect(state.projected(onto: state.observables).conditions.isEmpty)
  }
}
