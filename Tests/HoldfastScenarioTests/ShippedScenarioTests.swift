import Foundation
import HoldfastScenario
import Testing

/// The scenarios that the repository ships.
@Suite struct ShippedScenarioTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Scenarios")

  private static func paths() throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".yaml") }.sorted()
  }

  /// Whether the scenario asks a real kernel, shows a row of the catalogue, or is about faults on the pool of huge pages,
  /// of which no mail speaks: it answers none, and is about the one policy that it names.
  private static func isOfOnePolicy(_ path: String) -> Bool {
    ["kernel/", "catalogue/", "devices/", "pool/"].contains(where: path.hasPrefix)
  }

  @Test("every shipped scenario decodes, with seed, rules and expectations")
  func decodes() throws {
    let paths = try Self.paths()
    #expect(paths.count >= 15)
    var names: Set<String> = []
    for path in paths {
      let scenario: Scenario
      do throws(ScenarioError) {
        scenario = try Scenario.load(path: Self.folder.appending(path: path).path)
      } catch {
        Issue.record("\(error)")
        continue
      }
      #expect(scenario.seed != nil || Self.isOfOnePolicy(path), "\(path)")
      #expect(!scenario.looks.isEmpty, "\(path)")
      #expect(!scenario.rules.isEmpty, "\(path) names no rule of the kernel")
      if Self.isOfOnePolicy(path) {
        #expect(scenario.name == URL(filePath: path).deletingPathExtension().lastPathComponent)
      }
      #expect(names.insert(scenario.name).inserted, "\(path) has the name of another scenario")
    }
  }

  @Test("every shipped scenario says what to expect under every policy")
  func everyPolicy() throws {
    for path in try Self.paths() {
      let scenario = try Scenario.load(path: Self.folder.appending(path: path).path)
      let policies = Self.isOfOnePolicy(path) ? [scenario.policy] : PolicyName.allCases
      for policy in policies {
        let said = scenario.looks.contains { $0.terms(under: policy) != .skip }
        #expect(said, "\(path) under \(policy)")
      }
    }
  }
}
