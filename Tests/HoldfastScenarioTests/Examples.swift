/// Scenario texts that several tests share.
enum Examples {
  /// The main scenario of the project in the form that its file has.
  static let vfioGuest = """
    scenario: vfio-guest
    seed: 000
    summary: a VMM pins guest memory long term, then the host takes the movable zone away
    machine:
      memory: 4GiB
      cpus: 2
      movable: 1GiB
      cma: [{name: camera, size: 64MiB}]
      on-live:
        - online: {blocks: 8, zone: movable}
    actors:
      - name: vmm
        cpu: 0
        memlock: unlimited
        capabilities: [ipc-lock]
        steps:
          - map: {region: ram, size: 64MiB, kind: memfd}
          - write: {region: ram, pattern: {sequence: 7}}
            label: faulted
          - pin: {as: dma, region: ram, flags: [write, longterm], purpose: vfio}
            label: pinned
            must: ok
          - check: {pin: dma, pattern: {sequence: 7}}
            after: [gone]
      - name: host
        cpu: 1
        after: [pinned]
        steps:
          - offline: {zone: movable, blocks: whole, passes: 20}
            label: gone
    expect:
      - step: gone
        equals: ok
        under: {linux-5.10: EINTR, movable-v3: {not: ENOMEM}, pin-bias: skip}
      - pin: dma
        where: {zone: movable}
        equals: none
        under: {linux-5.10: all}
      - pages: ram
        where: {moved: true}
        since: faulted
        at: pinned
        equals: all
      - counter: nr_foll_pin_acquired - nr_foll_pin_released
        equals: 16384
        because: every page is pinned once
      - blocks: movable
        whole: true
        where: {state: offline}
        equals: all
      - holders: movable
        equals: none
        under: {linux-5.10: [vmm]}
      - process: vmm
        value: locked
        equals: 64MiB
      - contents: ram
        since: faulted
        equals: unchanged
      - {zone: movable, value: present, at-most: 128MiB}
      - {cma: camera, value: used, equals: 0}
    """

  /// A machine and an actor around steps, of which the first stands in line 7.
  static func steps(_ steps: String, expect: String = "") -> String {
    """
    scenario: short
    summary: one actor
    machine: {memory: 1GiB, cpus: 2, cma: [{name: camera, size: 64MiB}]}
    actors:
      - name: one
        steps:

    """ + indented(steps, by: 6) + (expect.isEmpty ? "" : "expect:\n" + indented(expect, by: 2))
  }

  private static func indented(_ text: String, by count: Int) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { String(repeating: " ", count: count) + $0 + "\n" }.joined()
  }
}
