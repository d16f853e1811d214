import Foundation
import Testing

/// Explorations that are stopped, go on, and leave files.
@Suite struct ExploreTests {
  private static let search = ["explore", "race.yaml", "--strategy", "random"]

  @Test("ctrl-C ends an exploration with all it has, and the checkpoint goes on from there")
  func interrupted() throws {
    try withFixture { folder in
      let stopped = try Command.run(
        Self.search + ["--time", "600", "--checkpoint", "kept"], in: folder, interruptAfter: 3)
      #expect(stopped.exitCode == 0, "\(stopped.errors)")
      #expect(stopped.output.contains("interrupted") && stopped.output.contains("not everything was covered"))
      #expect(stopped.errors.contains("--resume kept continues"))
      let kept = try Data(contentsOf: URL(filePath: "\(folder)/kept"))
      let more = try Command.run(
        Self.search + ["--executions", "5", "--resume", "kept", "--json"], in: folder)
      #expect(more.exitCode == 0, "\(more.errors)")
      let report = try #require(
        try JSONSerialization.jsonObject(with: Data(more.output.utf8)) as? [String: Any])
      let passes = try #require(report["passes"] as? [[String: Any]])
      let before = try #require(
        stopped.errors.split(separator: " ").compactMap { Int($0) }.first, "\(stopped.errors)")
      #expect(passes.first?["executions"] as? Int == before + 5)
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/kept")) == kept)
      let other = try Command.run(Self.search + ["--seed", "2", "--resume", "kept"], in: folder)
      #expect(other.exitCode == 2 && other.errors.contains("is of another exploration: found search"))
    }
  }

  @Test("an exploration that ends has no checkpoint, and one that finds something a trace")
  func filesLeft() throws {
    try withFixture { folder in
      let bounded = [
        "explore", "race.yaml", "--strategy", "bounded", "--bound", "1", "--trace", "trace.json",
      ]
      let fine = try Command.run(bounded + ["--checkpoint", "kept"], in: folder)
      #expect(fine.exitCode == 0)
      #expect(fine.errors.contains("nothing is left to do") && fine.errors.contains("nothing was found"))
      for name in ["kept", "kept.new", "trace.json"] {
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/\(name)"), "\(name)")
      }
      let flawed = try Command.run(bounded + ["--policy", "movable-v3"], in: folder)
      #expect(flawed.exitCode == 1)
      let trace = try #require(
        try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: "\(folder)/trace.json")))
          as? [String: Any])
      let events = try #require(trace["traceEvents"] as? [[String: Any]])
      #expect(Set(events.compactMap { $0["cat"] as? String }) == ["step", "operation"])
    }
  }
}
