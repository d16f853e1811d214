import Foundation
import Testing

/// Scenarios of which the interpreter decides everything: the engine and this host's kernel have to agree.
@Suite struct GroundsTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var name: String
    /// The steps of one actor, each a YAML item.
    var steps: [String]
    var expectations: [String] = []
    /// By label: how the step ends, as `status` or `status reason`.
    var endings: [String: String] = [:]
    /// By label: how often the step was done.
    var repeats: [String: Int] = [:]
    /// By label: pages done.
    var pages: [String: Int] = [:]
    /// States of the verdicts, in order.
    var verdicts: [String] = []
    var testDescription: String { name }
  }

  private static let notHeld = "was not taken, or was given back"

  /// A pin of a hole, which every kernel refuses.
  private static let untaken = [
    "map: {region: ram, size: 2 pages}",
    "unmap: ram",
    "pin: {as: dma, region: ram, flags: [write, longterm], purpose: io-uring}",
  ]

  static let cases = [
    Case(
      name: "a step that has nothing to be done to in its second round was done once",
      steps: [
        "map: {region: ram, size: 2 pages, populate: true}", "get: {as: refs, region: ram}",
        "{put: refs, repeat: 3, label: put}",
      ],
      endings: ["put": "skipped refs \(notHeld)"], repeats: ["put": 1], pages: ["put": 2]),
    Case(
      name: "a repeated step takes more under one name, and all of it is looked at and given back",
      steps: [
        "map: {region: ram, size: 2 pages}", "{write: {region: ram, pattern: {sequence: 3}}}",
        "{get: {as: refs, region: ram}, repeat: 2, label: got}",
        "{check: {reference: refs, size: 2 pages, pattern: {sequence: 3}}, label: first}",
        "{check: {reference: refs, pattern: {sequence: 3}}, label: both}",
        "{check: {reference: refs, offset: 3 pages, size: 2 pages}, label: beyond}",
        "{put: refs, label: put}",
      ],
      endings: [
        "got": "ok", "first": "ok", "both": "failed EIO", "beyond": "failed EINVAL", "put": "ok",
      ],
      repeats: ["got": 2], pages: ["got": 4, "first": 2, "both": 2, "put": 4]),
    Case(
      name: "giving back a pin that was never taken is not done",
      steps: untaken + ["{unpin: dma, label: unpinned}"],
      endings: ["unpinned": "skipped dma \(notHeld)"]),
    Case(
      name: "a device cannot look through a pin that was never taken",
      steps: untaken + [
        "{write: {pin: dma, pattern: 1}, label: written}", "{check: {pin: dma, pattern: 1}, label: checked}",
      ],
      endings: ["written": "skipped dma \(notHeld)", "checked": "skipped dma \(notHeld)"]),
    Case(
      name: "of the pages of a pin that was never taken nothing can be said, not even none",
      steps: untaken + ["{touch: ram, label: touched}"],
      expectations: [
        "{pin: dma, where: {zone: movable}, equals: none}", "{pin: dma, where: {present: true}, equals: all}",
        "{pin: dma, where: {zone: normal}, at: touched, equals: 0}",
      ],
      verdicts: ["skipped", "skipped", "skipped"]),
    Case(
      name: "a page without a frame has not moved, and nothing else is true of it",
      steps: [
        "{map: {region: ram, size: 2 pages}, label: mapped}", "{touch: {region: ram, size: 1 pages}}",
      ],
      expectations: [
        "{pages: ram, where: {moved: true}, since: mapped, equals: 1}",
        "{pages: ram, where: {moved: false}, since: mapped, equals: 1}",
        "{pages: ram, where: {present: false, moved: true}, since: mapped, equals: none}",
      ],
      verdicts: ["holds", "holds", "holds"]),
    Case(
      name: "conditions are judged",
      steps: ["{map: {region: ram, size: 2 pages, populate: true}, label: mapped}"],
      expectations: [
        "{step: mapped, equals: ok}", "never: {step: mapped, not: ok}",
        "always: {pages: ram, where: {present: false}, equals: all}",
        "sometimes: {pages: ram, where: {present: true}, equals: all}",
      ],
      verdicts: ["holds", "holds", "fails", "holds"]),
  ]

  @Test("both grounds tell the same", arguments: cases, [[], ["--on", "linux", "--host"]])
  func sameOnBoth(_ example: Case, _ ground: [String]) throws {
    let expectations = example.expectations.filter { $0.hasPrefix("{") }
    let conditions = example.expectations.filter { !$0.hasPrefix("{") }
    var text = """
      scenario: grounds
      summary: what the interpreter decides
      machine: {memory: 1GiB}
      actors:
        - name: one
          steps:

      """
    for step in example.steps { text += "      - \(step)\n" }
    if !expectations.isEmpty { text += "expect:\n" }
    for line in expectations { text += "  - \(line)\n" }
    if !conditions.isEmpty { text += "conditions:\n" }
    for line in conditions { text += "  - \(line)\n" }
    let report = try withFixture { folder in
      let path = "\(folder)/grounds.yaml"
      try Data(text.utf8).write(to: URL(filePath: path))
      let ending = try Command.run(["run", path, "--json"] + ground, in: folder)
      #expect(ending.exitCode <= 1, "\(ending.errors)")
      let report = try JSONSerialization.jsonObject(with: Data(ending.output.utf8))
      return try #require(report as? [String: Any])
    }
    var steps: [String: [String: Any]] = [:]
    for step in try #require(report["steps"] as? [[String: Any]]) {
      if let label = step["label"] as? String { steps[label] = step }
    }
    for (label, expected) in example.endings {
      let step = try #require(steps[label])
      let reason = (step["error"] as? [String: Any])?["errno"] ?? step["skipped"]
      let words = [step["status"] as? String, reason as? String].compactMap(\.self)
      #expect(words.joined(separator: " ") == expected)
    }
    for (label, expected) in example.repeats { #expect(steps[label]?["repeats"] as? Int == expected) }
    for (label, expected) in example.pages { #expect(steps[label]?["pages"] as? Int == expected) }
    let verdicts = try #require(report["verdicts"] as? [[String: Any]])
    #expect(verdicts.compactMap { $0["state"] as? String } == example.verdicts)
  }
}
