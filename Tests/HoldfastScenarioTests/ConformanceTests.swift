import Foundation
import HoldfastScenario
import Testing

/// States of runs, recordings of them, and the judgement on them.
@Suite struct ConformanceTests {
  // MARK: States

  @Test(
    "a state says what was seen, and nothing of what was skipped",
    arguments: [
      (
        "ok ok ok ok EINTR / holds holds fails",
        "line 8=ok; pinned=ok; let-go=ok; gone=EINTR; 2 of 3 hold (line 23 fails)"
      ),
      ("ok cannot ok ok ok / holds holds holds", "line 8=ok; pinned=ok; let-go=ok; gone=ok; 3 of 3 hold"),
      (
        "ok ok ok cannot ok / fails skipped fails",
        "line 8=ok; pinned=ok; gone=ok; 0 of 2 hold (lines 21, 23 fail)"
      ),
      ("ENOMEM never never never never / skipped skipped skipped", "line 8=ENOMEM"),
      ("cannot cannot cannot cannot cannot", "nothing was seen"),
    ])
  func states(run: String, text: String) throws {
    let state = try Conforming.state(run)
    #expect(state.description == text)
    let coded = try JSONEncoder().encode(state)
    #expect(try JSONDecoder().decode(RunState.self, from: coded) == state)
  }

  @Test(
    "states agree if they say the same wherever both say something",
    arguments: [
      ("ok ok ok ok ok / holds holds holds", "ok ok ok ok ok / holds holds holds", true),
      ("ok ok ok ok ok / holds holds holds", "ok ok ok cannot ok / holds skipped skipped", true),
      ("ok ok ok ok ok / holds holds holds", "ok ok ok ok EINTR / holds holds holds", false),
      ("ok ok ok ok ok / holds holds holds", "ok ok ok ok ok / holds holds fails", false),
      ("ok ok ok ok ok", "cannot cannot cannot cannot cannot", true),
    ])
  func agreement(one: String, other: String, agree: Bool) throws {
    let (one, other) = (try Conforming.state(one), try Conforming.state(other))
    #expect(one.agrees(with: other) == agree && other.agrees(with: one) == agree)
    #expect(one.projected(onto: []).description == "nothing was seen")
  }

  // MARK: Recordings

  private static let runs = [
    "ok cannot ok ok ok / holds holds skipped", "ok cannot ok ok EINTR / fails holds skipped",
    "ok cannot ok ok ok / holds holds skipped",
  ]

  @Test("a recording gives back what was recorded")
  func roundTrip() throws {
    let log = try #require(try Conforming.log(Self.runs))
    #expect(log.states.map(\.count) == [2, 1])
    #expect(log.states[1].witness == (try Conforming.report(Self.runs[1]).steps))
    #expect(log.states[0].beyondGround.map(\.verb) == [.isolate])
    let text = try log.text()
    #expect(text.split(separator: "\n").count == 1 + 2 + 10)
    #expect(try ConformanceLog(text: text, file: "gone.jsonl") == log)
    let refused = ConformanceLog(
      refused: "no two nodes", scenario: try Conforming.scenario(), policy: .linux61, on: Conforming.kernel,
      recorded: "2026-11-21")
    #expect(try ConformanceLog(text: try refused.text(), file: "gone.jsonl") == refused)
  }

  @Test(
    "a damaged recording is refused with its line",
    arguments: [
      (1, "", "1:1: found something that is not JSON, expected the header"),
      (1, "{\"schema\":2}", "1:1: found schema 2, expected 1"),
      (1, "{\"schema\":1}", "1:1: found no \"scenario\", expected the header"),
      (
        2, "{\"count\":0,\"state\":{\"steps\":[],\"holds\":[],\"fails\":[]}}",
        "2:1: found a state without runs"
      ),
      (
        2, "{\"count\":2,\"state\":{\"steps\":[\"a\"],\"holds\":[],\"fails\":[]}}",
        "\"a\", expected STEP=RESULT"
      ),
      (
        2, "{\"count\":7,\"state\":{\"steps\":[],\"holds\":[\"9\"],\"fails\":[]}}",
        "1:1: found 8 runs in the states, expected 3"
      ),
      (4, "{\"witness\":3}", "4:1: found no \"step\", expected {\"step\": ..., \"witness\": ...}"),
      (5, "cut", "5:1: found something that is not JSON"),
    ])
  func damaged(line: Int, text: String, message: String) throws {
    let log = try #require(try Conforming.log(Self.runs))
    var lines = try log.text().split(separator: "\n").map(String.init)
    lines[line - 1] = text
    do throws(ScenarioError) {
      _ = try ConformanceLog(text: lines.joined(separator: "\n"), file: "gone.jsonl")
      Issue.record("it was read")
    } catch {
      #expect(error.description.hasPrefix("gone.jsonl:"))
      #expect(error.description.contains(message), "\(error)")
    }
  }

  // MARK: Differences

  @Test(
    "a malformed list of differences is refused",
    arguments: [
      ("a: b", "1:1: list of differences must be a list; found a mapping"),
      ("- {scenario: a}", "difference needs \"state\" or \"observable\""),
      ("- {scenario: a, state: x, observable: gone=ok}", "state or observable, not both"),
      (
        "- {scenario: a, observable: gone}", "must be such as gone=EINTR or \"line 17 fails\"; found \"gone\""
      ),
      (
        "- {scenario: a, observable: gone=ok, kernel: gup.c}",
        "such as mm/gup.c:try_grab_folio; found \"gup.c\""
      ),
      (
        "- {scenario: a, observable: gone=ok, kernel: \"mm/gup.c:f\", version: six}", "such as 6.1 or 6.1.192"
      ),
      ("- {scenario: a, observable: gone=ok, kernel: \"mm/gup.c:f\", version: 6.1}", "needs \"why\""),
      ("- {scenario: a, obsrvable: b}", "did you mean \"observable\"?"),
      (
        "- &d {scenario: a, observable: gone=ok, kernel: \"mm/gup.c:f\", version: 6.1, why: so}\n- *d",
        "gone=ok of a is already listed, in line 1"
      ),
    ])
  func malformedDifferences(yaml: String, message: String) throws {
    do throws(ScenarioError) {
      _ = try KnownDifference.list(yaml: yaml, file: "differences.yaml")
      Issue.record("it was read")
    } catch {
      #expect(error.description.hasPrefix("differences.yaml:"))
      #expect(error.description.contains(message), "\(error)")
    }
  }

  @Test("a difference covers its release, or all releases of its series")
  func releases() throws {
    let list = try KnownDifference.list(
      yaml: "- {scenario: a, observable: b=ok, kernel: \"mm/gup.c:f\", version: 6.1, why: so}", file: "d.yaml"
    )
    #expect(["6.1", "6.1.192", "6.1-rc1"].allSatisfy(list[0].covers))
    #expect(!["6.12", "6.10.3", "5.10"].contains(where: list[0].covers))
    #expect(try KnownDifference.list(yaml: "# nothing\n[]\n", file: "d.yaml") == [])
    #expect(try KnownDifference.list(yaml: "", file: "d.yaml") == [])
  }

  // MARK: Judgements

  struct Case: CustomTestStringConvertible, Sendable {
    var testDescription: String
    /// What the kernel showed, and what the engine allows.
    var kernel: [String]
    var engine = ["ok ok ok ok ok / holds holds holds"]
    /// `form: text` of known differences.
    var known: [String] = []
    var verdict: ConformReport.Verdict
    var relations: [ConformReport.Relation]
    var stale = 0
  }

  static let cases = [
    Case(
      testDescription: "the same", kernel: ["ok cannot ok ok ok / holds holds skipped"], verdict: .same,
      relations: [.allowed]),
    Case(
      testDescription: "one of two is forbidden", kernel: runs, verdict: .forbidden,
      relations: [.allowed, .forbidden]),
    Case(
      testDescription: "a must that fails is seen", kernel: ["ENOMEM never never never never"],
      verdict: .forbidden,
      relations: [.forbidden]),
    Case(
      testDescription: "observables that are written up, both needed", kernel: runs,
      known: ["observable: gone=EINTR", "observable: line 21 fails"], verdict: .known,
      relations: [.allowed, .known]),
    Case(
      testDescription: "one of the two is not enough", kernel: runs, known: ["observable: gone=EINTR"],
      verdict: .forbidden, relations: [.allowed, .forbidden], stale: 1),
    Case(
      testDescription: "a state that is written up, and an entry for nothing", kernel: runs,
      known: [
        "state: line 8=ok; pinned=ok; let-go=ok; gone=EINTR; 1 of 2 hold (line 21 fails)",
        "observable: pinned=ENOMEM",
      ], verdict: .known, relations: [.allowed, .known], stale: 1),
    Case(
      testDescription: "what the engine allows needs no entry", kernel: [runs[0]],
      known: ["observable: gone=EINTR"], verdict: .same, relations: [.allowed], stale: 1),
    Case(
      testDescription: "nothing in common", kernel: ["cannot cannot cannot cannot cannot"],
      verdict: .notComparable, relations: [.unjudged]),
  ]

  @Test("a kernel's states are allowed, known, forbidden or unjudged", arguments: cases)
  func judgement(example: Case) throws {
    let yaml = example.known.map {
      "- {scenario: gone, \($0.replacing(": ", with: ": \"", maxReplacements: 1))\", kernel: \"mm/gup.c:f\", version: 6.1, why: so}"
    }.joined(separator: "\n")
    var judge = ConformJudge(try KnownDifference.list(yaml: yaml, file: "differences.yaml"))
    let log = try #require(try Conforming.log(example.kernel))
    let allowed = StateHistogram(try example.engine.map(Conforming.state))
    var asked: [Set<StepPlace>] = []
    let entry = judge.judge(log, of: try Conforming.scenario()) { leftOut in
      asked.append(leftOut)
      return .allowed(allowed)
    }
    #expect(entry.verdict == example.verdict)
    #expect(entry.states.map(\.relation) == example.relations)
    let stale = judge.staleDifferences(scenarios: ["gone"])
    #expect(stale.count == example.stale)
    let report = ConformReport(entries: [entry], staleDifferences: stale)
    #expect(report.exitCode == (example.verdict == .forbidden ? 1 : example.stale > 0 ? 2 : 0))
    let skipped = log.states[0].beyondGround.map { StepPlace($0.location) }
    #expect(asked.first == Set(skipped), "the engine leaves out what the kernel skipped")
  }

  @Test("what the engine allows and the kernel never showed is listed")
  func neverShown() throws {
    var judge = ConformJudge([])
    let log = try #require(try Conforming.log([Self.runs[0]]))
    let allowed = StateHistogram(
      try ["ok ok ok ok ok / holds holds holds", "ok ok ok ok EBUSY / fails holds fails"].map(
        Conforming.state))
    let entry = judge.judge(log, of: try Conforming.scenario()) { _ in .allowed(allowed) }
    #expect(entry.orders == 2 && entry.allowed.count == 2)
    #expect(
      entry.unseen.map(\.description) == [
        "line 8=ok; pinned=ok; let-go=ok; gone=EBUSY; 1 of 2 hold (line 21 fails)"
      ])
  }

  @Test("a changed text is stale, a lacking verb or a refusal leaves states unjudged")
  func staleOrUnjudged() throws {
    let log = try #require(try Conforming.log(Self.runs))
    let scenario = try Conforming.scenario()
    let changed = try Scenario(yaml: Conforming.yaml + "\n# more\n", file: "gone.yaml")
    var judge = ConformJudge([])
    let stale = judge.judge(log, of: changed) { _ in .refuses("never asked") }
    #expect(stale.verdict == .stale)
    #expect(stale.reason?.hasPrefix("run holdfast conform --record gone") == true)
    #expect(ConformReport(entries: [stale], staleDifferences: []).exitCode == 2)
    let lacking = judge.judge(log, of: scenario) { _ in .notModelled(["fork", "remap"]) }
    #expect(lacking.verdict == .notModelled && lacking.reason == "fork, remap")
    #expect(lacking.states.map(\.relation) == [.unjudged, .unjudged])
    let refused = judge.judge(log, of: scenario) { _ in .refuses("no memory") }
    #expect(refused.verdict == .notComparable && refused.reason == "the engine refuses: no memory")
  }
}
