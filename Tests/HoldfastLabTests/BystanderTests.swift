import HoldfastLab
import HoldfastScenario
import Testing

/// Short references of a bystander, and notifiers that refuse, at each point that asks for them.
@Suite struct BystanderTests {
  struct Case: CustomTestStringConvertible, Sendable {
    /// What is asked for.
    var fail: String
    var verb: String
    var result: String
    /// Passes, of an offline.
    var passes: Int?
    var testDescription: String { "\(fail): \(verb)" }
  }

  private static let offline = "offline: {blocks: [2], passes: 3}"
  private static let contiguous = "cma-alloc: {area: camera, size: 20 frames}"

  /// Chances come in this order: an offline's pass or a range's scan, then each attempt of the migration.
  static let cases = [
    Case(fail: "{of: notifier}", verb: offline, result: "EBUSY"),
    Case(fail: "{of: notifier, skip: 1}", verb: offline, result: "ok", passes: 1),
    Case(fail: "{of: reference}", verb: offline, result: "ok", passes: 2),
    Case(fail: "{of: reference, skip: 1}", verb: offline, result: "ok", passes: 1),
    Case(fail: "{of: reference, count: 1000}", verb: offline, result: "EINTR", passes: 3),
    Case(fail: "{of: reference}", verb: contiguous, result: "EBUSY"),
    Case(fail: "{of: reference, skip: 1}", verb: contiguous, result: "ok"),
    Case(fail: "{of: reference, count: 1000, skip: 1}", verb: contiguous, result: "EBUSY"),
  ]

  @Test("a bystander delays or defeats what compares references, and leaves nothing behind", arguments: cases)
  func each(_ example: Case) throws {
    let isOffline = example.verb == Self.offline
    let passes = example.passes.map { "\n  - {step: done, value: passes, equals: \($0)}" } ?? ""
    let scenario = try Scenario(
      yaml: """
        scenario: bystander
        summary: one chance is taken
        machine:
          memory: 64 frames
          page-tables: 2
          block: 16 frames
          movable: 32 frames
        \(isOffline ? "" : "  cma: [{name: camera, size: 20 frames, zone: movable}]")
        actors:
          - name: one
            steps:
              - map: {region: ram, size: 1 pages}
              - write: ram
                label: faulted
              - fail: \(example.fail)
              - \(example.verb)
                label: done
        expect:
          - {step: done, equals: \(example.result)}
          - {contents: ram, since: faulted, equals: unchanged}
          - {pages: ram, where: {references: 1}, equals: all}\(passes)
        """, file: "bystander.yaml")
    let report = try ScenarioRunner.run(scenario, RunOptions())
    #expect(report.outcome == .holds, "\(report.verdicts.filter { $0.state != .holds })")
    #expect(report.warnings.isEmpty, "\(report.warnings)")
  }
}
