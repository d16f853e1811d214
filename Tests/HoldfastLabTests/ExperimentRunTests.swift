import Foundation
import HoldfastLab
import HoldfastScenario
import Testing

@Suite("Experiments are run")
struct ExperimentRunTests {
  static let files: [String] = {
    let folder = ShippedScenarioTests.root.appending(path: "Experiments").path
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasSuffix(".yaml") }.sorted().map { folder + "/" + $0 }
  }()

  @Test("the claims hold, in few runs too", arguments: files)
  func shipped(file: String) throws {
    let experiment = try Experiment.load(path: file)
    #expect(file.hasSuffix("/\(experiment.name).yaml"))
    let report = try ExperimentRunner.run(experiment, runs: min(experiment.runs, 2), seed: 7)
    #expect(!report.verdicts.isEmpty)
    for verdict in report.verdicts where verdict.state != .holds {
      Issue.record("\(verdict.location): \(verdict.expectation), found \(verdict.found ?? "nothing")")
    }
  }

  @Test("every seed has an experiment but 003, which waits for devices' exclusive access")
  func seeds() throws {
    let seeds = Set(try Self.files.map { try Experiment.load(path: $0).seed })
    #expect(seeds == ["000", "001", "002", "004"])
  }

  @Test("runs are the same from the same random seed, and a claim that is not so is refuted")
  func repeats() throws {
    let file = try #require(Self.files.first { $0.hasSuffix("maybe-pinned.yaml") })
    var experiment = try Experiment.load(path: file)
    let first = try ExperimentRunner.run(experiment, runs: 6, seed: 3)
    #expect(try ExperimentRunner.run(experiment, runs: 6, seed: 3) == first)
    let other = try ExperimentRunner.run(experiment, runs: 6, seed: 4)
    #expect(other.panels != first.panels)
    #expect(!first.isRefuted)
    experiment.expected[0].thousandths = 0
    #expect(try ExperimentRunner.run(experiment, runs: 6, seed: 3).isRefuted)
  }
}
