import Foundation
import HoldfastScenario
import Testing

/// Every example of the manual decodes.
@Suite struct DocumentationTests {
  private static func manual() throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try String(contentsOf: root.appending(path: "Documentation/Scenarios.md"), encoding: .utf8)
  }

  /// The fenced examples: the word behind `yaml`, and the text.
  private static func examples() throws -> [(kind: String, text: String, line: Int)] {
    var examples: [(kind: String, text: String, line: Int)] = []
    var open: (kind: String, lines: [Substring], line: Int)?
    let lines = try manual().split(separator: "\n", omittingEmptySubsequences: false)
    for (number, line) in lines.enumerated() {
      if line.hasPrefix("```") {
        if let block = open {
          examples.append((block.kind, block.lines.joined(separator: "\n"), block.line))
          open = nil
        } else {
          try #require(line.hasPrefix("```yaml"), "line \(number + 1) opens a fence that is not YAML")
          open = (line.dropFirst(7).trimmingCharacters(in: .whitespaces), [], number + 1)
        }
      } else {
        open?.lines.append(line)
      }
    }
    return examples
  }

  private static func indented(_ text: String, _ count: Int) -> String {
    text.split(separator: "\n").map { String(repeating: " ", count: count) + $0 }.joined(separator: "\n")
  }

  private static func scenario(_ kind: String, _ text: String) throws -> String {
    switch kind {
    case "": return text
    case "machine":
      return """
        scenario: example
        summary: example
        actors: [{name: one, steps: [exit]}]
        machine:
        \(indented(text, 2))
        """
    case "steps":
      return """
        scenario: example
        summary: example
        machine: {memory: 1GiB, movable: 512MiB, cma: [{name: camera, size: 64MiB}]}
        actors:
          - name: one
            steps:
        \(indented(text, 6))
        """
    case "expect", "conditions":
      return """
        scenario: example
        summary: example
        machine: {memory: 1GiB, movable: 512MiB, cma: [{name: camera, size: 64MiB}]}
        actors:
          - name: vmm
            steps:
              - map: {region: ram, size: 64MiB}
              - touch: ram
                label: faulted
              - pin: {as: dma, region: ram, flags: [write, longterm]}
                label: pinned
          - name: host
            after: [pinned]
            steps:
              - offline: {zone: movable}
                label: gone
        \(kind == "expect" ? "expect" : "conditions"):
        \(indented(text, 2))
        """
    default: throw ExampleError(kind: kind)
    }
  }

  private struct ExampleError: Error { let kind: String }

  @Test("every fenced example decodes")
  func examples() throws {
    let examples = try Self.examples()
    #expect(examples.count >= 8)
    for example in examples {
      #expect(throws: Never.self, "example of line \(example.line)") {
        try Scenario(yaml: try Self.scenario(example.kind, example.text), file: "Scenarios.md")
      }
    }
  }

  @Test("every word of the language is in the manual")
  func words() throws {
    let text = try Self.manual()
    var words = Verb.Word.allCases.map(\.rawValue) + Subject.Word.allCases.map(\.rawValue)
    words += PinFlag.allCases.map(\.rawValue) + PinEntry.allCases.map(\.rawValue)
    words += PinPurpose.allCases.map(\.rawValue) + GFPWord.allCases.map(\.rawValue)
    words += RegionKind.allCases.map(\.rawValue) + Advice.allCases.map(\.rawValue)
    words += FailurePoint.allCases.map(\.rawValue) + FailureStage.allCases.map(\.rawValue)
    words += PolicyName.allCases.map(\.rawValue) + ZoneKind.allCases.map(\.rawValue)
    words += MigrateType.allCases.map(\.rawValue) + BlockState.allCases.map(\.rawValue)
    words += Subject.StepValue.allCases.map(\.rawValue) + Subject.ZoneValue.allCases.map(\.rawValue)
    for word in words {
      #expect(text.contains("`\(word)`") || text.contains("`\(word):"), "\(word) is not in the manual")
    }
  }

  @Test("the examples of the manual use every verb and every subject")
  func coverage() throws {
    var verbs: Set<Verb.Word> = []
    var subjects = ""
    for example in try Self.examples() {
      let scenario = try Scenario(yaml: try Self.scenario(example.kind, example.text), file: "Scenarios.md")
      verbs.formUnion(scenario.actors.flatMap(\.steps).map(\.verb.word))
      if !scenario.expectations.isEmpty { subjects += example.text }
    }
    #expect(Set(Verb.Word.allCases).subtracting(verbs).isEmpty)
    for subject in Subject.Word.allCases { #expect(subjects.contains("\(subject.rawValue): ")) }
  }
}
