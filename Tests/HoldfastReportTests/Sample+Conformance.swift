import HoldfastScenario
import Testing

extension Sample {
  /// One scenario under six names, one for each verdict, and differences, of which one is needed no more.
  static func conformance() throws -> (ConformReport, [KnownDifference]) {
    let differences = try KnownDifference.list(
      yaml: """
        - scenario: known
          observable: gone=EINTR
          kernel: mm/memory_hotplug.c:offline_pages
          version: 6.1
          why: the kernel goes on for ever, and only a signal ends it;
            the engine gives up
        - {scenario: known, observable: line 24 fails, kernel: "mm/gup.c:f", version: "6.1", why: the same}
        - {scenario: known, observable: line 27 fails, kernel: "mm/gup.c:f", version: "6.1", why: the same}
        - {scenario: same, observable: pinned=EBUSY, kernel: "mm/gup.c:f", version: "6.1", why: long ago}
        """, file: "Conformance/differences.yaml")
    var judge = ConformJudge(differences)
    let (good, bad) = (try good(), try bad())
    func entry(
      _ name: String, rules: String, _ reports: [RunReport], changed: Bool = false,
      _ answer: EngineAnswer? = nil
    ) throws -> ConformReport.Entry {
      let text = yaml.replacing("scenario: vfio-guest", with: "scenario: \(name)\nrules: [\(rules)]")
      let ran = try Scenario(yaml: text, file: "\(name).yaml")
      let now = try Scenario(yaml: text + (changed ? "\n# changed" : ""), file: "\(name).yaml")
      var reports = reports
      // The rules stand in a line of their own, so that everything is one line further down.
      for index in reports.indices { reports[index].moveDown() }
      let log = try #require(
        ConformanceLog(
          reports, of: ran,
          on: KernelIdentity(release: "6.1.192", config: "0123abcd", qemu: "7.2.22 (Debian)"),
          recorded: name == "same" ? "2026-11-21" : "2026-11-22"))
      var allowed = StateHistogram()
      for report in [good, good] {
        var report = report
        report.moveDown()
        allowed.add(RunState(report, of: ran))
      }
      return judge.judge(log, of: now) { _ in answer ?? .allowed(allowed) }
    }
    let entries = [
      try entry("same", rules: "6.8 S0, 12.21, 12.3", [good, good, good]),
      try entry("known", rules: "3.6", [good, bad]),
      try entry("forbidden", rules: "3.6", [bad, good, bad]),
      try entry("lacking", rules: "5.11", [bad], .notModelled(["fork", "remap"])),
      try entry("refused", rules: "6.8 S10", [good], .refuses("two nodes | and more")),
      try entry("stale", rules: "2", [good], changed: true),
    ]
    return (
      ConformReport(
        entries: entries, staleDifferences: judge.staleDifferences(scenarios: Set(entries.map(\.scenario)))),
      differences
    )
  }
}

extension RunReport {
  /// As if the scenario began one line later.
  fileprivate mutating func moveDown() {
    for index in steps.indices { steps[index].location.line += 1 }
    for index in verdicts.indices { verdicts[index].location.line += 1 }
  }
}
