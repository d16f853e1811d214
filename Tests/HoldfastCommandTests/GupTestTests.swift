import Foundation
import Testing

/// What the kernel's own gup_test printed for some options in the guest: Tests/Golden/gup-test-6.1.txt.
struct RecordedRun: Sendable, CustomTestStringConvertible {
  var options: String
  var lines: [String]
  var exitCode: Int32

  var testDescription: String { "gup_test \(options)" }

  /// All recorded runs; none if the file cannot be read, which a test of its own finds.
  static let all: [RecordedRun] = {
    let path = "\(Command.root)/Tests/Golden/gup-test-6.1.txt"
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return [] }
    var runs: [RecordedRun] = []
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      if line.hasPrefix("["), line.hasSuffix("]") {
        runs.append(RecordedRun(options: String(line.dropFirst().dropLast()), lines: [], exitCode: -1))
      } else if line.hasPrefix("exit "), !runs.isEmpty {
        runs[runs.count - 1].exitCode = Int32(line.dropFirst(5)) ?? -1
      } else if !runs.isEmpty {
        runs[runs.count - 1].lines.append(String(line))
      }
    }
    return runs
  }()
}

@Suite struct GupTestTests {
  /// Takes out of a line what differs from run to run and from machine to machine.
  private func normalised(_ line: Substring) -> String {
    String(line).replacing(/get:\d+ put:\d+ us/, with: "get:T put:T us")
      .replacing(/virt addr: 0x[0-9a-f]+/, with: "virt addr: A")
      .replacing(/(page|head|mapping):0*[1-9a-f][0-9a-f]*/) { "\($0.output.1):A" }
      .replacing(/\sindex:0x[0-9a-f]+ pfn:0x[0-9a-f]+/, with: " index:A pfn:A")
      .replacing(/flags: 0x[0-9a-f]+/, with: "flags: A")
      .replacing(/\|?(section|node|zone|lastcpupid)=[0-9a-fx]+/, with: "")
  }

  /// What was printed and logged, without hex dumps and without what only Holdfast says.
  private func lines(_ ending: Command.Ending) -> [String] {
    let said = ending.errors.split(separator: "\n").filter {
      !$0.hasPrefix("holdfast: ") && !$0.hasPrefix("kernel: raw: ") && !$0.hasPrefix("kernel: head: ")
    }
    return ending.output.split(separator: "\n").map(normalised) + said.map(normalised)
  }

  /// Where the engine is known to differ, and why.
  private static let known = [
    "-cWtz -m 8 0 1000":
      "the engine has no huge zero page (mm/huge_memory.c:do_huge_pmd_anonymous_page)"
  ]

  @Test("options, output, log and exit code are those of Linux 6.1", arguments: RecordedRun.all)
  func recorded(_ run: RecordedRun) throws {
    let ending = try Command.run(
      ["gup-test"] + run.options.split(separator: " ").map(String.init), in: Command.root)
    #expect(ending.exitCode == run.exitCode)
    if let reason = Self.known[run.options] {
      #expect(lines(ending) != run.lines, "no longer: \(reason)")
    } else {
      #expect(lines(ending) == run.lines, "\(ending.errors)")
    }
  }

  @Test("the matrix of run_vmtests is among the recorded runs, and every run of it succeeds")
  func matrix() {
    let matrix = RecordedRun.all.filter { $0.options.contains(/^-m 4 -[tTH] -[uUabL] -[wW] (-S )?-n \d+$/) }
    #expect(matrix.count == 180)
    #expect(matrix.allSatisfy { $0.exitCode == 0 })
  }

  @Test("threads of a benchmark each say what they did, repeated as often as asked")
  func benchmarkThreads() throws {
    let ending = try Command.run(["gup-test", "-uj4", "-r3", "-Wm2", "-n512"], in: Command.root)
    #expect(ending.exitCode == 0)
    #expect(ending.errors.isEmpty)
    let expected = Array(repeating: "GUP_FAST_BENCHMARK: Time: get:T put:T us", count: 12)
    #expect(ending.output.split(separator: "\n").map(normalised) == expected)
  }

  @Test(
    "what the engine cannot do is refused with a reason",
    arguments: [
      ("-f /etc/passwd", Int32(3), "mappings of files"), ("-f /nonexistent/file", 255, "open: "),
      ("-j 9999", 2, "threads"), ("-F 0xfg", 2, "0xfg"), ("-c 12monkeys", 2, "12monkeys"), ("-m x", 2, "-m"),
      ("-q", 2, "-q"),
    ])
  func refusals(_ line: String, _ exitCode: Int32, _ says: String) throws {
    let ending = try Command.run(
      ["gup-test"] + line.split(separator: " ").map(String.init), in: Command.root)
    #expect(ending.exitCode == exitCode)
    #expect(ending.errors.contains(says), "\(ending.errors)")
    #expect(ending.output.isEmpty)
  }
}
