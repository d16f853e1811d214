import HoldfastScenario

/// Runs made by hand of one scenario, as a kernel might report them.
enum Conforming {
  static let yaml = """
    scenario: gone
    summary: a page is pinned, and the host takes the zone away
    rules: [3.6, 6.8 S2]
    machine: {memory: 1GiB, movable: 512MiB}
    actors:
      - name: vmm
        steps:
          - map: {region: ram, size: 1MiB}
            must: ok
          - isolate: {as: stranger, region: ram}
          - pin: {as: dma, region: ram, flags: [longterm]}
            label: pinned
          - unpin: dma
            label: let-go
      - name: host
        after: [pinned]
        steps:
          - offline: {zone: movable}
            label: gone
    expect:
      - {step: gone, equals: ok}
      - {pin: dma, where: {zone: movable}, equals: none, at: pinned}
      - {counter: pgmigrate_success, at-least: 1}
    """

  static let kernel = KernelIdentity(release: "6.1.192", config: "c0ffee", qemu: "7.2.22")

  static func scenario() throws -> Scenario { try Scenario(yaml: yaml, file: "gone.yaml") }

  /// A report of `map isolate pin unpin offline` with these results and verdicts, such as
  /// `ok cannot ok ok EINTR / holds skipped fails`; `never` is a step whose turn did not come.
  static func report(_ text: String) throws -> RunReport {
    let scenario = try scenario()
    let halves = text.split(separator: "/").map { $0.split(separator: " ").map(String.init) }
    var report = RunReport(
      scenario: ScenarioIdentity(scenario), policy: .linux61, ground: .linux,
      machine: MachineSummary(
        origin: .configured, source: "6.1.192", frames: 1 << 18, blockBytes: 128 << 20, nodes: 1, cpus: 1),
      zones: [], blocks: [])
    let steps = scenario.actors.flatMap { actor in actor.steps.map { (actor.name, $0) } }
    for (number, ((actor, step), result)) in zip(steps, halves[0]).enumerated() {
      var record = StepRecord(sequence: number + 1, actor: actor, step: step, begin: 0)
      switch result {
      case "ok": break
      case "cannot":
        record.status = .skipped
        record.skipped = "no system call does this"
      case "never":
        record.status = .skipped
        record.skipped = StepRecord.runEnded
      default:
        record.status = .failed
        record.error = ErrorNumber(rawValue: result).map {
          StepError(errno: $0, stage: .signal, cause: "it took too long")
        }
      }
      report.steps.append(record)
    }
    report.verdicts = zip(scenario.expectations, halves.count > 1 ? halves[1] : []).map {
      expectation, state in
      Verdict(
        expectation: expectation.text(under: .linux61), location: expectation.location,
        state: Verdict.State(rawValue: state) ?? .skipped)
    }
    return report
  }

  static func state(_ text: String) throws -> RunState { RunState(try report(text), of: try scenario()) }

  static func log(_ texts: [String]) throws -> ConformanceLog? {
    ConformanceLog(try texts.map(report), of: try scenario(), on: kernel, recorded: "2026-11-21")
  }
}
