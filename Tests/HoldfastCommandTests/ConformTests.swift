import Foundation
import Testing

/// The engine against recordings, from the command line.
@Suite struct ConformTests {
  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private func line(_ object: Any) throws -> String {
    String(
      decoding: try JSONSerialization.data(withJSONObject: object, options: .sortedKeys), as: UTF8.self)
  }

  /// Writes a recording of one run of `small` that ended so.
  private func record(_ result: String, in folder: String) throws {
    let run = try object(try Command.run(["run", "small", "--json"], in: folder).output)
    let scenario = try #require(run["scenario"] as? [String: Any])
    let header: [String: Any] = [
      "schema": 1, "scenario": "small", "file": "Scenarios/room/small.yaml",
      "hash": try #require(scenario["hash"]), "policy": "linux-6.1",
      "kernel": ["release": "6.1.192", "config": "c0ffee", "qemu": "7.2.22"],
      "machine": try #require(run["machine"]), "warnings": [String](), "runs": 1, "recorded": "2026-11-21",
    ]
    let state: [String: Any] = ["steps": ["mapped=\(result)"], "holds": [String](), "fails": [String]()]
    let steps = try #require(run["steps"] as? [[String: Any]])
    let lines =
      [header, ["count": 1, "state": state] as [String: Any]] + steps.map { ["step": $0, "witness": 1] }
    try FileManager.default.createDirectory(
      atPath: "\(folder)/Conformance", withIntermediateDirectories: true)
    try lines.map { try line($0) + "\n" }.joined()
      .write(toFile: "\(folder)/Conformance/small.jsonl", atomically: true, encoding: .utf8)
  }

  @Test("the exit code says whether the engine allows what was recorded")
  func exitCode() throws {
    try withFixture { folder in
      let nothing = try Command.run(["conform", "--recorded"], in: folder)
      #expect(nothing.exitCode == 0 && nothing.output == "No scenario has a recording.\n")

      try record("ok", in: folder)
      let same = try Command.run(["conform", "--recorded"], in: folder)
      #expect(same.exitCode == 0, "\(same.errors)")
      #expect(same.output.contains("1    :>mapped=ok\n"))
      #expect(
        same.output.contains("Observation small Allowed 1 0\nSource: engine (1 order) | linux-6.1.192/qemu\n")
      )

      try record("EBUSY", in: folder)
      let forbidden = try Command.run(["conform", "--recorded", "small", "--json"], in: folder)
      #expect(forbidden.exitCode == 1)
      let entries = try #require(try object(forbidden.output)["entries"] as? [[String: Any]])
      #expect(entries.map { $0["verdict"] as? String } == ["forbidden"])

      let list =
        "- {scenario: small, observable: mapped=EBUSY, kernel: 'mm/mmap.c:do_mmap', version: 6.1, why: so}"
      try list.write(toFile: "\(folder)/Conformance/differences.yaml", atomically: true, encoding: .utf8)
      let known = try Command.run(["conform", "--table"], in: folder)
      #expect(known.exitCode == 0)
      #expect(known.output.contains("| - | small | 1 x mapped=EBUSY | known difference: mapped=EBUSY |"))

      try record("ok", in: folder)
      let needless = try Command.run(["conform", "--recorded"], in: folder)
      #expect(needless.exitCode == 2)
      #expect(needless.errors.contains("Conformance/differences.yaml:1:3: mapped=EBUSY of small"))
    }
  }

  @Test("a recording of another text is stale, and one that cannot be read is bad input")
  func staleOrDamaged() throws {
    try withFixture { folder in
      try record("ok", in: folder)
      let scenario = "\(folder)/Scenarios/room/small.yaml"
      try (try String(contentsOfFile: scenario, encoding: .utf8) + "# changed\n")
        .write(toFile: scenario, atomically: true, encoding: .utf8)
      let stale = try Command.run(["conform", "--recorded", "small"], in: folder)
      #expect(stale.exitCode == 2)
      #expect(stale.output.contains("Stale: run holdfast conform --record small"))
      try "cut".write(toFile: "\(folder)/Conformance/small.jsonl", atomically: true, encoding: .utf8)
      let damaged = try Command.run(["conform", "--recorded"], in: folder)
      #expect(damaged.exitCode == 2)
      #expect(damaged.errors.contains("Conformance/small.jsonl:1:1: found something that is not JSON"))
    }
  }

  @Test("runs that are repeated are counted by the states they end in")
  func repeated() throws {
    try withFixture { folder in
      let text = try Command.run(["run", "small", "--repeat", "3"], in: folder)
      #expect(text.exitCode == 0)
      #expect(text.output.hasSuffix("Histogram (1 state)\n3    :>mapped=ok; 1 of 1 hold\n"))
      let json = try object(try Command.run(["run", "small", "--repeat", "3", "--json"], in: folder).output)
      #expect(json["runs"] as? Int == 3)
      #expect((json["first"] as? [String: Any])?["outcome"] as? String == "holds")
      #expect((json["states"] as? [[String: Any]])?.first?["count"] as? Int == 3)
    }
  }

  @Test("the page on conformance is what the recordings and the engine say now")
  func page() throws {
    let path = "\(Command.root)/Documentation/Conformance.md"
    let ending = try Command.run(["conform", "--table"], in: Command.root)
    #expect(ending.exitCode == 0, "\(ending.errors)")
    if ProcessInfo.processInfo.environment["HOLDFAST_RECORD"] != nil {
      try ending.output.write(toFile: path, atomically: true, encoding: .utf8)
    }
    let page = try String(contentsOfFile: path, encoding: .utf8)
    #expect(page == ending.output, "HOLDFAST_RECORD=1 swift test records it")
  }
}
