import Foundation
import Testing

/// Scenarios on this host's own kernel, whatever it is: what needs no privilege has to hold everywhere.
@Suite struct HostKernelTests {
  private static let processes = """
    scenario: processes
    summary: processes, threads, forks, pipes and waits on a real kernel
    machine: {memory: 1GiB, cpus: 2}
    actors:
      - name: parent
        steps:
          - map: {region: ram, size: 4 pages, populate: true}
          - map: {region: shared, size: 2 pages, kind: memfd}
            label: shares
          - write: {region: ram, pattern: {sequence: 3}}
            label: written
          - get: {as: pipe, region: ram, size: 1 pages}
          - fork: child
            label: forked
          - write: {region: ram, pattern: 2}
            label: second
          - check: {reference: pipe, pattern: {sequence: 3}}
            label: pipe-reads
          - unmap: {region: ram, offset: 2 pages, size: 1 pages}
          - check: {region: ram, pattern: 2}
            label: torn
          - check: {region: shared, pattern: 9}
            after: [peer-wrote]
            label: peer-reads
          - offline: {zone: normal, blocks: 1}
            label: never
      - name: helper
        thread-of: parent
        after: [second]
        steps:
          - remap: {region: ram, size: 2 pages}
            label: moved
          - touch: {region: ram, size: 1 pages, access: read}
            label: gone
      - name: child
        fork-of: parent
        after: [forked]
        steps:
          - check: {region: ram, pattern: {sequence: 3}}
            after: [second]
            label: child-reads
          - exit
      - name: peer
        after: [shares]
        steps:
          - map: {region: window, backing: shared}
          - write: {region: window, pattern: 9}
            label: peer-wrote
    """

  private func steps(_ text: String) throws -> [String: [String: Any]] {
    let report = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    #expect(report["ground"] as? String == "linux")
    var labelled: [String: [String: Any]] = [:]
    for step in try #require(report["steps"] as? [[String: Any]]) {
      if let label = step["label"] as? String { labelled[label] = step }
    }
    return labelled
  }

  @Test("processes, forks, threads and pipes do what the kernel does with them")
  func withoutPrivilege() throws {
    try withFixture { folder in
      let path = "\(folder)/processes.yaml"
      try Data(Self.processes.utf8).write(to: URL(filePath: path))
      let ending = try Command.run(["run", path, "--on", "linux", "--host", "--json"], in: folder)
      #expect(ending.exitCode == 0, "\(ending.errors)")
      let steps = try steps(ending.output)
      for label in [
        "shares", "written", "forked", "second", "pipe-reads", "peer-wrote", "peer-reads", "child-reads",
        "moved",
      ] {
        #expect(steps[label]?["status"] as? String == "ok", "\(label): \(steps[label] ?? [:])")
      }
      // The reference keeps the frame of before the write only where the fork made the parent copy it.
      let torn = try #require(steps["torn"]?["error"] as? [String: Any])
      #expect(torn["errno"] as? String == "EFAULT" && torn["stage"] as? String == "untold")
      #expect(steps["torn"]?["pages"] as? Int == 2)
      #expect(steps["never"]?["status"] as? String == "skipped")
      #expect(steps["never"]?["skipped"] as? String == "offlining is not done to a host")
    }
  }

  @Test("a step that never ends is ended, and its actor's process with it")
  func hangingStep() throws {
    try withFixture { folder in
      let path = "\(folder)/killed.yaml"
      let text = """
        scenario: killed
        summary: one actor kills another one
        machine: {memory: 1GiB, cpus: 2}
        actors:
          - name: victim
            steps:
              - map: {region: ram, size: 1 pages}
                label: mapped
              - touch: ram
                after: [done]
                label: dead
          - name: killer
            after: [mapped]
            steps:
              - signal: victim
                label: done
        """
      try Data(text.utf8).write(to: URL(filePath: path))
      let ending = try Command.run(["run", path, "--on", "linux", "--host", "--json"], in: folder)
      let steps = try steps(ending.output)
      #expect(steps["done"]?["status"] as? String == "ok")
      #expect(steps["dead"]?["status"] as? String != "ok")
    }
  }

  @Test("a missing guest is exit code 3, with the command that makes it")
  func missingGuest() throws {
    try withFixture { folder in
      try FileManager.default.createDirectory(atPath: "\(folder)/Guest", withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        atPath: "\(Command.root)/Guest/kernel.config", toPath: "\(folder)/Guest/kernel.config")
      for arguments in [["run", "small", "--on", "linux"], ["conform", "small"], ["guest", "check"]] {
        let ending = try Command.run(
          arguments, in: folder, environment: ["HOLDFAST_CACHE": "\(folder)/nothing"])
        #expect(ending.exitCode == 3, "\(arguments)")
        #expect(
          ending.errors.contains("holdfast guest build") || ending.errors.contains("Guest/setup"),
          "\(arguments): \(ending.errors)")
      }
    }
  }
}
