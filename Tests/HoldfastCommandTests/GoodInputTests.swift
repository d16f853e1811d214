import Foundation
import Testing

@Suite struct GoodInputTests {
  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private func list(_ text: String) throws -> [[String: Any]] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
  }

  @Test(
    "help, version and listings are results, and say nothing else",
    arguments: [
      "--help", "--version", "help", "help run", "run --help", "policies", "scenarios", "invariants",
    ])
  func listings(_ line: String) throws {
    try withFixture { folder in
      let ending = try Command.run(line.split(separator: " ").map(String.init), in: folder)
      #expect(ending.exitCode == 0)
      #expect(!ending.output.isEmpty)
      #expect(ending.errors.isEmpty)
    }
  }

  @Test("the exit code of a run says whether its expectations hold")
  func exitCode() throws {
    try withFixture { folder in
      for (scenario, exitCode, outcome) in [("small", 0, "holds"), ("wrong.yaml", 1, "fails")] {
        let ending = try Command.run(["run", scenario, "--json"], in: folder)
        #expect(ending.exitCode == Int32(exitCode))
        let report = try object(ending.output)
        #expect(report["schema"] as? Int == 1)
        #expect(report["outcome"] as? String == outcome)
        let table = try Command.run(
          ["compare", scenario, "--policies", "linux-6.1,linux-5.10", "--json"], in: folder)
        #expect(table.exitCode == Int32(exitCode))
        #expect(try object(table.output)["policies"] as? [String] == ["linux-6.1", "linux-5.10"])
      }
    }
  }

  @Test("an exploration ends with 1 when an execution goes wrong, and its line repeats that one")
  func replay() throws {
    try withFixture { folder in
      let search = ["explore", "race.yaml", "--json"]
      let bounded = search + ["--strategy", "bounded", "--bound", "1"]
      let fine = try Command.run(bounded, in: folder)
      #expect(fine.exitCode == 0)
      let report = try object(fine.output)
      #expect(report["schema"] as? Int == 1)
      let flawed = try Command.run(bounded + ["--policy", "movable-v3"], in: folder)
      #expect(flawed.exitCode == 1)
      let findings = try #require(try object(flawed.output)["findings"] as? [[String: Any]])
      let line = try #require(findings.first?["replay"] as? String)
      let again = try Command.run(search + ["--policy", "movable-v3", "--replay", line], in: folder)
      #expect(again.exitCode == 1)
      let repeated = try #require(try object(again.output)["findings"] as? [[String: Any]])
      #expect(repeated.first?["text"] as? String == findings.first?["text"] as? String)
    }
  }

  @Test("what is not for a terminal has no colours and no progress bar")
  func noTerminal() throws {
    try withFixture { folder in
      let ending = try Command.run(["run", "small"], in: folder, environment: ["TERM": "xterm-256color"])
      #expect(ending.exitCode == 0)
      #expect(!ending.output.contains("\u{1B}"))
      #expect(ending.errors.isEmpty)
    }
  }

  @Test("a trace is a file of Chrome trace events, and replaces a longer one")
  func trace() throws {
    try withFixture { folder in
      let path = "\(folder)/trace.json"
      try Data(String(repeating: "x", count: 1 << 20).utf8).write(to: URL(filePath: path))
      let ending = try Command.run(["run", "small", "--trace", "trace.json"], in: folder)
      #expect(ending.exitCode == 0)
      let trace = try object(try String(contentsOfFile: path, encoding: .utf8))
      let events = try #require(trace["traceEvents"] as? [[String: Any]])
      #expect(events.contains { $0["ph"] as? String == "X" && $0["name"] as? String == "map mapped" })
    }
  }

  @Test("a policy given to a run is the one of the report")
  func policy() throws {
    try withFixture { folder in
      let ending = try Command.run(["run", "small", "--policy", "pin-exact", "--json"], in: folder)
      #expect(try object(ending.output)["policy"] as? String == "pin-exact")
    }
  }

  @Test("policies as JSON are all policies, with one default")
  func policies() throws {
    let ending = try Command.run(["policies", "--json"], in: Command.root)
    let policies = try list(ending.output)
    #expect(policies.count == 10)
    #expect(policies.count { $0["default"] as? Bool == true } == 1)
  }

  @Test("every shipped scenario can be read, and is called as its file")
  func shipped() throws {
    let ending = try Command.run(["scenarios", "--json"], in: Command.root)
    #expect(ending.exitCode == 0, "\(ending.errors)")
    let scenarios = try list(ending.output)
    #expect(!scenarios.isEmpty)
    for scenario in scenarios {
      let file = try #require(scenario["file"] as? String)
      #expect(scenario["name"] as? String == URL(filePath: file).deletingPathExtension().lastPathComponent)
    }
  }

  @Test("a listing names the files that cannot be read")
  func unreadable() throws {
    try withFixture { folder in
      let ending = try Command.run(["scenarios", "mixed", "--json"], in: folder)
      #expect(ending.exitCode == 2)
      let errors = try list(ending.output).compactMap { $0["error"] as? String }
      #expect(errors.count == 1)
      #expect(errors[0].hasPrefix("mixed/bad.yaml:2:1: "))
    }
  }

  @Test("a snapshot of this host is a machine that a scenario can run on")
  func snapshot() throws {
    try withFixture { folder in
      let saving = try Command.run(["snapshot", "here"], in: folder)
      // A host without memory blocks in sysfs has nothing to be saved, and says so.
      guard saving.exitCode == 0 else {
        #expect(saving.exitCode == 3)
        #expect(saving.errors.contains("/sys/devices/system/memory"))
        return
      }
      #expect(saving.output.contains("memory blocks of"))
      let ending = try Command.run(["run", "small", "--machine-from", "here", "--json"], in: folder)
      #expect(ending.exitCode == 0, "\(ending.errors)")
      let machine = try #require(try object(ending.output)["machine"] as? [String: Any])
      #expect(machine["origin"] as? String == "snapshot")
    }
  }
}
