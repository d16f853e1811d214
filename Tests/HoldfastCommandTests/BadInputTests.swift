import Foundation
import Testing

/// A command line that cannot work, and what the command must say about it.
struct BadInput: Sendable, CustomTestStringConvertible {
  var arguments: [String]
  var exitCode: Int32 = 2
  /// All of them stand in standard error.
  var says: [String]

  var testDescription: String { arguments.joined(separator: " ") }

  init(_ line: String, _ says: String..., exitCode: Int32 = 2) {
    arguments = line.split(separator: " ").map(String.init)
    self.says = says
    self.exitCode = exitCode
  }

  static let all: [BadInput] = [
    // Words
    BadInput("rnu small", "unknown command \"rnu\"", "did you mean \"run\"?", "scenarios"),
    BadInput("run", "<scenario>"),
    BadInput("run small --polcy linux-6.1", "--polcy", "--policy"),
    BadInput(
      "run small --policy linux-6.2", "unknown policy \"linux-6.2\"", "did you mean", "linux-mainline"),
    BadInput("compare small --policies linux-6.1,linux-5", "unknown policy \"linux-5\"", "linux-5.5"),
    BadInput("compare small --policies linux-6.1,", "unknown policy \"\""),
    BadInput("compare small --policies linux-6.1,linux-6.1", "linux-6.1 is given twice"),
    BadInput("run small --frames hugetlb", "hugetlb", "none", "memfd"),
    BadInput("run small --machine dead", "dead", "live"),
    BadInput("run small --machine live --machine-from truncated", "exclude each other"),
    BadInput("policies all", "all"),
    BadInput("snapshot", "<dir>"),
    BadInput("run small --on mars", "mars", "model", "linux"),
    BadInput("run small --host", "--host needs --on linux"),
    BadInput("run small --on linux --frames memfd", "--on linux excludes them"),
    BadInput(
      "run small --repeat 0", "'0' is invalid for '--repeat <n>': expected a whole number from 1 to 100000"),
    BadInput(
      "conform small --repeat 0",
      "'0' is invalid for '--repeat <n>': expected a whole number from 1 to 100000"),
    BadInput("conform small --record --recorded", "--record excludes --recorded"),
    BadInput("conform small --table", "it excludes scenarios"),
    BadInput("explore small --bound 1", "--bound needs --strategy bounded or pct"),
    BadInput("explore small --seed 1", "--seed needs --strategy random or pct"),
    BadInput("explore small --strategy pct --bound 0", "--bound must be from 1 with pct; found 0"),
    BadInput("explore small --strategy lucky", "lucky", "bounded", "exhaustive"),
    BadInput("explore small --executions 0", "'--executions <n>': expected a whole number from 1"),
    BadInput("explore small --time 0", "'--time <seconds>': expected seconds above 0, at most 1000000"),
    BadInput("explore small --time -1", "'-1' is invalid for '--time <seconds>'"),
    BadInput("explore small --bound -1", "'--bound <n>': expected a whole number from 0 to 1000"),
    BadInput(
      "explore small --executions 99999999999999999999",
      "expected a whole number from 1 to 9223372036854775807"),
    BadInput("generate --actors 4", "'--actors <n>': expected a whole number from 1 to 3"),
    BadInput("guest shell --memory 1", "'--memory <MiB>': expected a whole number from 128 to 16384"),
    BadInput("explore", "needs a <scenario>, or --catalogue"),
    BadInput("explore small --catalogue", "--catalogue goes with --row and --json only"),
    BadInput("explore --catalogue --faults 1", "--catalogue goes with --row and --json only"),
    BadInput("explore small --row 1", "--row needs --catalogue"),
    BadInput("explore --catalogue --row 3", "--row: found 3, expected one of 1, 2, 4,"),
    BadInput("explore --catalogue --row 6", "unknown scenario \"06-folio-reused\""),
    BadInput("safeguards all", "all"),
    BadInput("explore small --executions 1", "bytes, expected at most 65536 to explore it"),
    BadInput("explore small --jobs 0", "'--jobs <n>': expected a whole number from 1 to 64"),
    BadInput("explore small --merge --checkpoint c", "--merge excludes --checkpoint and --resume"),
    BadInput("explore small --merge --strategy pct", "--merge needs a bounded search"),
    BadInput("explore small --replay x --resume c", "--replay excludes --checkpoint and --resume"),
    BadInput("explore race.yaml --resume missing", "cannot read the checkpoint missing", "No such file"),
    BadInput("explore race.yaml --resume race.yaml", "race.yaml: found \"", "expected a checkpoint"),
    BadInput("explore race.yaml --checkpoint no/where", "checkpoint no/where", "No such file"),
    BadInput("explore race.yaml --replay v1:12:0", "found hash \"12\", expected 16 hexadecimal digits"),
    BadInput("explore race.yaml --replay v1:0000000000000012:0", "found one of program 12, expected"),
    BadInput("experiment", "needs an <experiment>, or --list"),
    BadInput("experiment --list --runs 2", "--list goes with nothing else"),
    BadInput(
      "experiment missing", "no experiment \"missing\": no such file, and there is no Experiments/ here"),
    BadInput("experiment small.yaml", "small.yaml", "No such file or directory"),
    BadInput("experiment wrong.yaml --runs 0", "'--runs <n>': expected a whole number from 1 to 100000"),
    BadInput(
      "experiment wrong.yaml", "wrong.yaml:2:", "unknown key of experiment \"summary\"",
      "allowed: experiment, seed"),
    // Scenarios
    BadInput("run missing.yaml", "missing.yaml", "No such file or directory"),
    BadInput("run Scenarios/", "Scenarios/", "Is a directory"),
    BadInput("run smal", "unknown scenario \"smal\"", "did you mean \"small\"?"),
    BadInput("run twice", "several scenarios", "room/one/twice.yaml", "room/two/twice.yaml"),
    BadInput("run malformed.yaml", "malformed.yaml:2:", "this is not YAML"),
    BadInput("run verb.yaml", "verb.yaml:7:", "\"mapp\"", "did you mean \"map\"?"),
    BadInput("run policy.yaml", "policy.yaml:11:", "\"linux-6.2\"", "did you mean"),
    BadInput("compare missing.yaml", "missing.yaml"),
    BadInput("scenarios missing", "missing", "expected a folder"),
    BadInput("scenarios wrong.yaml", "wrong.yaml", "expected a folder"),
    BadInput("scenarios mixed", "1 of 2 scenarios"),
    BadInput("conform smal --recorded", "unknown scenario \"smal\"", "did you mean \"small\"?"),
    BadInput("conform small small --recorded", "\"small\" is given twice"),
    BadInput(
      "conform small --recorded", "no recording Conformance/small.jsonl", "holdfast conform --record small"),
    // Machines
    BadInput("run nothing.yaml", "nothing.yaml:3:", "memory"),
    BadInput("run huge.yaml", "huge.yaml:3:", "9223372036854775808"),
    BadInput("run block.yaml", "block.yaml:3:", "power of two"),
    BadInput("run cma.yaml", "cma.yaml:3:", "camera"),
    BadInput("run movable.yaml", "movable.yaml:3:", "movable"),
    BadInput("run small --machine-from missing", "missing", "holdfast snapshot"),
    BadInput("run small --machine-from wrong.yaml", "wrong.yaml", "not a directory"),
    BadInput("run small --machine-from empty", "zoneinfo", "no such file"),
    BadInput("run small --machine-from truncated", "truncated/proc/zoneinfo"),
    BadInput("compare small --machine-from truncated", "truncated/proc/zoneinfo"),
    // Places to write to
    BadInput("run small --trace missing/trace.json", "missing/trace.json", "No such file or directory"),
    BadInput("run small --trace mixed", "mixed", "Is a directory"),
    BadInput("snapshot mixed", "mixed", "expected an empty one"),
    BadInput("snapshot missing/deeper", "missing/deeper", "writable"),
  ]
}

@Suite struct BadInputTests {
  @Test("bad input ends with its exit code and a message on standard error", arguments: BadInput.all)
  func badInput(_ input: BadInput) throws {
    try withFixture { folder in
      let ending = try Command.run(input.arguments, in: folder)
      #expect(ending.exitCode == input.exitCode)
      #expect(ending.errors.hasPrefix("holdfast: "))
      for text in input.says { #expect(ending.errors.contains(text)) }
      // A listing is a result even if a file of it is bad; otherwise nothing looks like one.
      if input.arguments != ["scenarios", "mixed"] { #expect(ending.output.isEmpty) }
    }
  }

  @Test(
    "output that cannot be written is an error of its own",
    arguments: ["gup-test -m 1", "run small", "policies", "--help"])
  func fullOutput(_ line: String) throws {
    try withFixture { folder in
      let ending = try Command.run(line.split(separator: " ").map(String.init), in: folder, isFull: true)
      #expect(ending.exitCode == 4)
      #expect(ending.errors.contains("No space left on device"))
    }
  }

  @Test("a message shows the control characters of what was read, and does not send them to the terminal")
  func controlCharacters() throws {
    try withFixture { folder in
      let text = Fixture.scenario().replacing("summary: a process", with: "\"su\\e]0;title\\a\": a process")
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/control.yaml"))
      let ending = try Command.run(["run", "control.yaml"], in: folder)
      #expect(ending.exitCode == 2)
      #expect(ending.errors.contains("unknown key of scenario \"su\\u{1b}]0;title\\u{7}\""))
      #expect(!ending.errors.contains("\u{1b}"))
    }
  }

  @Test("generated scenarios are written over no file that says something else")
  func generatedOverOther() throws {
    try withFixture { folder in
      let line = ["generate", "--operations", "pin-longterm,unmap", "--out", "generated"]
      #expect(try Command.run(line, in: folder).exitCode == 0)
      #expect(try Command.run(line, in: folder).exitCode == 0)
      let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/generated").sorted()
      let first = try #require(names.first)
      try FileManager.default.removeItem(atPath: "\(folder)/generated/\(try #require(names.last))")
      try Data("mine".utf8).write(to: URL(filePath: "\(folder)/generated/\(first)"))
      let ending = try Command.run(line, in: folder)
      #expect(ending.exitCode == 2)
      #expect(ending.errors.contains("generated/\(first): found a file that says something else"))
      let left = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/generated")
      #expect(left.count == names.count - 1)
    }
  }

  @Test("a run that is refused leaves no trace file, and keeps the one that was there")
  func traceFile() throws {
    try withFixture { folder in
      try Data("older".utf8).write(to: URL(filePath: "\(folder)/old.json"))
      for file in ["new.json", "old.json"] {
        let ending = try Command.run(
          ["run", "small", "--machine-from", "empty", "--trace", file], in: folder)
        #expect(ending.exitCode == 2)
      }
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/new.json"))
      #expect(try String(contentsOfFile: "\(folder)/old.json", encoding: .utf8) == "older")
    }
  }
}
