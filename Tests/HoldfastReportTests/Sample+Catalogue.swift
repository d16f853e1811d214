import HoldfastScenario

extension Sample {
  static let safeguards = [
    SafeguardListing(
      name: "entry-recheck", row: 1, reference: nil, properties: ["P1", "P2"],
      statement: "the walk looks at an entry again", scenario: "01-reuse"),
    SafeguardListing(
      name: "overflow-refusal", row: 27, reference: "CVE-2019-11487", properties: ["P4"],
      statement: "an overflowed count is given no more references", scenario: "27-overflow"),
  ]

  /// An entry of each verdict, and two rows that wait.
  static let catalogue: CatalogueReport = {
    func search(
      _ executions: Int, _ finding: String?, without: [String] = [], policy: PolicyName = .linux61,
      end: ExploreReport.End = .exhausted
    ) -> CatalogueReport.Search {
      CatalogueReport.Search(
        policy: policy, without: without, search: "at most 2 preemptions", end: end, executions: executions,
        finding: finding, seconds: Double(executions) / 1000)
    }
    func entry(
      _ row: Int, _ verdict: CatalogueReport.Verdict, _ safeguard: String?, _ find: CatalogueReport.Search?,
      _ clear: CatalogueReport.Search?
    ) -> CatalogueReport.Entry {
      CatalogueReport.Entry(
        row: row, name: "what is wrong in \(row)", properties: ["P1", "P4"],
        reference: row == 27 ? "CVE-2019-11487" : nil, safeguard: safeguard, scenario: "\(row)-shown",
        verdict: verdict, find: find, clear: clear)
    }
    let off = ["some-fix"]
    var report = CatalogueReport()
    report.entries = [
      entry(1, .fixed, "some-fix", search(31, "reference-count", without: off), search(4000, nil)),
      entry(
        22, .open, nil, search(1, "expectation in line 28"),
        search(420, nil, policy: .linuxMainline, end: .boundReached)),
      entry(27, .notFound, "some-fix", search(100, nil, without: off), nil),
      entry(30, .byDesign, nil, search(15, "expectation in line 4"), nil),
      entry(
        34, .notCleared, "some-fix", search(3, "pin-placement", without: off), search(7, "pin-placement")),
      entry(
        36, .unfinished, "some-fix", search(3, "livelock", without: off), search(90000, nil, end: .time)),
      entry(38, .notRun, "some-fix", nil, nil),
    ]
    report.waiting = [
      CatalogueReport.Waiting(
        row: 2, name: "something with fork", properties: ["P2"], needs: ["fork"],
        comesWith: "the rest of the memory manager", isPart: false),
      CatalogueReport.Waiting(
        row: 22, name: "what is wrong in 22", properties: ["P1", "P4"], needs: ["files and writeback"],
        comesWith: "the rest of the memory manager", isPart: true),
    ]
    return report
  }()
}
