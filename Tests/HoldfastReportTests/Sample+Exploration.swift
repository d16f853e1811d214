import HoldfastScenario

extension Sample {
  /// Two passes, the last of which was stopped, three outcomes and a finding.
  static func exploration() throws -> ExploreReport {
    let scenario = try scenario()
    let (good, bad) = (RunState(try good(), of: scenario), RunState(try bad(), of: scenario))
    var (some, all) = (StateHistogram(), StateHistogram())
    some.add(good, count: 3)
    all.add(good, count: 1200)
    all.add(bad, count: 34)
    var report = ExploreReport(scenario, policy: .linux510, stateBytes: 24_576)
    report.ends = 3
    report.passes = [
      ExploreReport.Pass(
        search: "at most 0 preemptions", end: .boundReached, executions: 3, completed: 3, redundant: 0,
        steps: 900, deepest: 310, orders: 88.2, merged: 700, seconds: 0.001, states: some.rows),
      ExploreReport.Pass(
        search: "one of each trace", end: .interrupted, executions: 1300, completed: 1234, redundant: 66,
        steps: 402_000, deepest: 377, orders: 101.5, seconds: 0.125, states: all.rows),
    ]
    report.summarise(scenario)
    let names = report.actors
    report.findings = [
      ExploreReport.Finding(
        kind: "violation", name: "pin-placement", text: "pfn:0x21 is pinned long term", occurrences: 34,
        preemptions: 1,
        runs: [
          ExploreReport.Finding.Run(
            actor: 0, step: "pinned", first: 1, count: 12, last: "load flags of pfn:0x21",
            value: "uptodate|lru"),
          ExploreReport.Finding.Run(
            actor: names.count - 1, step: "gone", first: 13, count: 140,
            last: "release lock of node 0 Movable", value: "held -> free"),
          ExploreReport.Finding.Run(
            actor: 0, step: "pinned", first: 153, count: 2, last: "store pinned done"),
        ], replay: "v1:00000000deadbeef:0*12,\(names.count - 1)*140,0*2")
    ]
    report.findings[0].runs[1].changes = [
      "entry 3 of table page 3: pfn:0x21 rw -> migration of pfn:0x21", "refcount of pfn:0x21: 1025 -> 1026",
    ]
    report.execution = [
      ExploreReport.ExecutedOperation(actor: 0, step: "", kind: "begin", word: "", value: nil),
      ExploreReport.ExecutedOperation(
        actor: 0, step: "pinned", kind: "load", word: "flags of pfn:0x21", value: "uptodate|lru"),
      ExploreReport.ExecutedOperation(
        actor: names.count - 1, step: "gone", kind: "release", word: "lock of node 0 Movable",
        value: "held -> free"),
      ExploreReport.ExecutedOperation(
        actor: 0, step: "pinned", kind: "store", word: "pinned done", value: nil),
    ]
    return report
  }
}
