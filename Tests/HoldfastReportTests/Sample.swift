import HoldfastScenario

/// A run made by hand, with one of everything that a report can show.
enum Sample {
  static let yaml = """
    scenario: vfio-guest
    seed: 000
    summary: a VMM pins guest memory long term, then the host takes the movable zone away
    machine: {memory: 4GiB, cpus: 2, movable: 1GiB}
    actors:
      - name: vmm
        memlock: unlimited
        steps:
          - map: {region: ram, size: 64MiB, kind: memfd}
          - touch: ram
            label: faulted
          - pin: {as: dma, region: ram, flags: [write, longterm], purpose: vfio}
            label: pinned
          - isolate: ram
      - name: host
        cpu: 1
        after: [pinned]
        steps:
          - offline: {zone: movable, blocks: whole, passes: 20}
            label: gone
    expect:
      - {pin: dma, where: {zone: movable}, equals: none, under: {linux-5.10: all}}
      - step: gone
        equals: ok
        because: the zone holds nothing that cannot move
      - {blocks: movable, whole: true, where: {state: offline}, equals: all}
      - {contents: ram, since: faulted, equals: unchanged}
    """

  static func scenario() throws -> Scenario { try Scenario(yaml: yaml, file: "vfio-guest.yaml") }

  /// Everything as it should be.
  static func good() throws -> RunReport {
    let scenario = try scenario()
    var report = try start(scenario, .linux61)
    report.steps[2].migrated = 16384
    report.steps[2].bytes = 64 << 20
    report.steps[2].drains = 2
    report.steps[4].blocks = 8
    report.steps[4].passes = 1
    report.zonesAfter[0].free -= 16384
    report.zonesAfter[0].pinned = 16384
    report.zonesAfter[1].present = 0
    report.zonesAfter[1].managed = 0
    report.zonesAfter[1].free = 0
    for index in 24..<32 {
      report.blocksAfter[index].state = .offline
      report.blocksAfter[index].zone = nil
      report.blocksAfter[index].free = 0
    }
    report.blocksAfter[3].free = report.blocksAfter[3].free.map { $0 - 16384 }
    report.blocksAfter[3].movable = 16384
    report.blocksAfter[3].pinned = 16384
    report.counters = ["nr_foll_pin_acquired": 16384, "pgmigrate_success": 16384, "nr_free_pages": -278_528]
    report.costs.migrated = 16384
    report.costs.bytesCopied = 64 << 20
    report.costs.drains = 2
    report.costs.blocksOfflined = 8
    judge(
      &report, scenario,
      [.count(0, of: 16384), .word("ok"), .count(8, of: 8), .unavailable("frames have no bytes here")])
    return report
  }

  /// As it was before the policy.
  static func bad() throws -> RunReport {
    let scenario = try scenario()
    var report = try start(scenario, .linux510)
    report.steps[4].status = .failed
    report.steps[4].blocks = 7
    report.steps[4].passes = 27
    report.steps[4].error = StepError(
      errno: .EINTR, stage: .signal, cause: "a pinned page kept block 24 busy until the signal",
      page: "pfn:0xc0000",
      holders: [
        StepError.Holder(
          owner: "vmm", purpose: "vfio", pin: "dma", pages: 16384, firstPage: "pfn:0xc0000", longterm: true,
          since: "pinned")
      ])
    for index in 25..<32 {
      report.blocksAfter[index].state = .offline
      report.blocksAfter[index].zone = nil
      report.blocksAfter[index].free = 0
    }
    report.blocksAfter[24].free = report.blocksAfter[24].free.map { $0 - 16384 }
    report.blocksAfter[24].movable = 16384
    report.blocksAfter[24].pinned = 16384
    report.costs.blocksOfflined = 7
    report.warnings = ["the trace lost 3 events"]
    judge(
      &report, scenario,
      [.count(16384, of: 16384), .word("EINTR"), .count(7, of: 8), .unavailable("frames have no bytes here")])
    return report
  }

  private static func start(_ scenario: Scenario, _ policy: PolicyName) throws -> RunReport {
    let zones = [
      ZoneRecord(
        node: 0, zone: .dma32, startFrame: 0, spanned: 786_432, present: 786_432, managed: 780_000,
        free: 700_000,
        pinned: 0),
      ZoneRecord(
        node: 0, zone: .movable, startFrame: 786_432, spanned: 262_144, present: 262_144, managed: 262_144,
        free: 262_144, pinned: 0),
    ]
    let blocks = (0..<32).map { index in
      BlockRecord(
        index: index, startFrame: UInt64(index) << 15, frames: 1 << 15, node: 0,
        zone: index < 24 ? .dma32 : .movable, state: .online, whole: true, free: index < 3 ? 5000 : 32768,
        movable: 0, pinned: 0, unmovable: index < 3 ? 27768 : 0)
    }
    var report = RunReport(
      scenario: ScenarioIdentity(scenario), policy: policy, ground: .model,
      machine: MachineSummary(
        origin: .snapshot, source: "Snapshots/guest", frames: 1 << 20, blockBytes: 128 << 20, nodes: 1,
        cpus: 2,
        changes: ["8 free blocks, 24 to 31, were onlined in zone Movable"]),
      zones: zones, blocks: blocks)
    var time: UInt64 = 0
    for actor in scenario.actors {
      for step in actor.steps {
        var record = StepRecord(
          sequence: report.steps.count + 1, actor: actor.name, step: step, begin: time)
        time += 100
        record.end = time
        record.pages = [.touch, .pin].contains(step.verb.word) ? 16384 : nil
        record.requested = record.pages
        report.steps.append(record)
      }
    }
    report.steps[3].status = .skipped
    report.steps[3].skipped = "no system call isolates a page"
    report.traceEvents = [
      TraceRecord(
        name: "migrate", category: "migrate", track: "vmm", time: 210, shape: .slice(end: 250),
        arguments: ["reason": "longterm_pin"]),
      TraceRecord(name: "drain", category: "drain", track: nil, time: 205, shape: .instant),
      TraceRecord(
        name: "pages", category: "counter", track: nil, time: 250, shape: .counter(["free": 700_000])),
    ]
    return report
  }

  private static func judge(_ report: inout RunReport, _ scenario: Scenario, _ observations: [Observation]) {
    report.verdicts = zip(scenario.expectations, observations).map {
      $0.verdict(under: report.policy, observed: $1)
    }
  }
}
