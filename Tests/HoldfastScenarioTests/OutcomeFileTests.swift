import HoldfastScenario
import Testing

@Suite struct OutcomeFileTests {
  private static let head = """
    # a remark
    holdfast outcomes, version 1
    scenario: two
    policy: movable-v3
    search: at most 2 preemptions
    covered: whatever

    """

  @Test("a file says its policy and its search")
  func header() throws {
    let file = try OutcomeFile(text: Self.head, file: "two.expected")
    #expect(file == OutcomeFile(policy: .movableV3, search: .bounded(2)))
    #expect(OutcomeFile.path(beside: "a/two.yaml") == "a/two.expected")
    #expect(OutcomeFile.scenarioPath(beside: "a/two.expected") == "a/two.yaml")
  }

  @Test(
    "a file that cannot be used is refused with its line",
    arguments: [
      ("", 1, "found \"\", expected \"holdfast outcomes, version 1\""),
      ("holdfast outcomes, version 2\n", 1, "version 1"),
      ("holdfast outcomes, version 1\nsearch: exhaustive\n", 1, "no line \"policy: ...\""),
      (
        "holdfast outcomes, version 1\npolicy: linux-6.3\nsearch: exhaustive\n", 2,
        "found policy \"linux-6.3\""
      ),
      ("holdfast outcomes, version 1\npolicy: linux-6.1\nsearch: all\n", 3, "\"at most N preemptions\""),
    ])
  func refusals(text: String, line: Int, message: String) {
    do throws(ScenarioError) {
      _ = try OutcomeFile(text: text, file: "two.expected")
      Issue.record("read:\n\(text)")
    } catch {
      #expect(error.location.line == line)
      #expect(error.description.contains(message), "\(error)")
    }
  }

  @Test("differences are the lines that went and came")
  func differences() {
    #expect(
      OutcomeFile.differences(from: "a\nb\nc\n", to: "a\nc\nd\n") == ["-b", "+d"])
    #expect(OutcomeFile.differences(from: "a\n", to: "a\n") == [])
  }
}
