import HoldfastScenario
import Testing

@Suite struct GeneratorTests {
  @Test(
    "every generated scenario decodes, under a name of its own",
    arguments: [(1, 1), (2, 1), (2, 2)], ScenarioGenerator.Memory.allCases)
  func decodes(size: (actors: Int, pages: Int), memory: ScenarioGenerator.Memory) throws {
    let actors = size.actors
    let scenarios = ScenarioGenerator(actors: actors, pages: size.pages, memory: memory).scenarios
    #expect(scenarios.count >= (actors == 1 ? 48 : 1100))
    #expect(Set(scenarios.map(\.name)).count == scenarios.count)
    for generated in scenarios {
      #expect(throws: Never.self, "\(generated.yaml)") {
        let scenario = try Scenario(yaml: generated.yaml, file: "\(generated.name).yaml")
        #expect(scenario.actors.count == actors + 1)
      }
    }
  }

  @Test("a sample is the same for the same seed, in the order of all, and of three operations each")
  func sample() throws {
    let generator = ScenarioGenerator(actors: 3)
    let all = generator.scenarios.map(\.name)
    let sample = generator.sample(50, seed: 7)
    #expect(sample == generator.sample(50, seed: 7))
    #expect(sample != generator.sample(50, seed: 8))
    #expect(sample.count == 50)
    #expect(sample.map(\.name) == all.filter(Set(sample.map(\.name)).contains))
    for generated in sample { _ = try Scenario(yaml: generated.yaml, file: generated.name) }
  }

  @Test("no operation is of a process that has ended")
  func endedProcess() {
    let names = ScenarioGenerator(actors: 2).scenarios.map(\.name)
    #expect(names.contains("exit+offline"))
    #expect(!names.contains("unmap+exit") && !names.contains("exit+exit"))
    #expect(!names.contains("exit+fork") && names.contains("exit+child-write"))
    #expect(names.contains("pin-longterm+pin-longterm"))
  }
}
