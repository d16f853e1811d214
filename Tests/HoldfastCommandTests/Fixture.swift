/// Scenario files for the command to work on.
enum Fixture {
  /// A scenario with these lines under `machine:` and `expect:`.
  static func scenario(machine: String = "memory: 256MiB", expect: String = "{step: mapped, equals: ok}")
    -> String
  {
    """
    scenario: small
    summary: a process maps a megabyte
    machine: {\(machine)}
    actors:
      - name: one
        steps:
          - map: {region: ram, size: 1MiB}
            label: mapped
    expect:
      - \(expect)

    """
  }

  /// Two threads that pin one page, on a machine that is small enough to be explored.
  private static let race = """
    scenario: race
    summary: two threads pin one page
    machine: {memory: 64 frames, page-tables: 2, block: 16 frames, movable: 32 frames, cpus: 2}
    actors:
      - name: one
        steps:
          - map: {region: ram, size: 1 pages}
          - write: ram
            label: faulted
          - pin: {as: first-dma, region: ram, flags: [write, longterm]}
            label: first
      - name: two
        cpu: 1
        thread-of: one
        after: [faulted]
        steps:
          - pin: {as: second-dma, region: ram, flags: [write, longterm]}
            label: second
    expect:
      - {holders: movable, equals: none}

    """

  static let files: [String: String] = [
    "Scenarios/room/small.yaml": scenario(),
    "Scenarios/room/one/twice.yaml": scenario(),
    "Scenarios/room/two/twice.yaml": scenario(),
    "wrong.yaml": scenario(expect: "{step: mapped, equals: ENOMEM}"),
    "malformed.yaml": "scenario: [small\nsummary: no end\n",
    "verb.yaml": scenario().replacing("map:", with: "mapp:"),
    "policy.yaml": scenario() + "policy: linux-6.2\n",
    "nothing.yaml": scenario(machine: "memory: 0"),
    "huge.yaml": scenario(machine: "memory: {pages: 9223372036854775808}"),
    "block.yaml": scenario(machine: "memory: 256MiB, block: 3MiB"),
    "cma.yaml": scenario(machine: "memory: 256MiB, cma: [{name: camera, size: 512MiB}]"),
    "movable.yaml": scenario(machine: "memory: 256MiB, movable: 512MiB"),
    "mixed/good.yaml": scenario(),
    "mixed/bad.yaml": "scenario: bad\nsumary: misspelt\n",
    "empty/.keep": "",
    "race.yaml": race,
  ]
}
