/// Combines operations into scenarios, as diy7 does: each is done by an actor of its own, at the same time.
///
/// The same arguments give the same scenarios, in the same order.
public struct ScenarioGenerator: Sendable {
  /// A generated scenario.
  public struct Generated: Sendable, Equatable {
    /// What is combined, in the order of the table.
    public let operations: [GeneratedOperation]
    /// The text of its file.
    public let yaml: String

    /// `pin-longterm+offline+unmap`; the file has this name.
    public var name: String { operations.map(\.name).joined(separator: "+") }
  }

  /// Of what kind the region's memory is.
  public enum Memory: String, Sendable, CaseIterable {
    /// Private anonymous memory.
    case `private`
    /// A memory file, mapped shared.
    case memfd
    /// Private anonymous memory in huge pages; they have four small ones here.
    case huge
  }

  /// How many operations a scenario can combine.
  public static let sizes = 1...3
  /// How many pages the region can have.
  public static let pageCounts = 1...2

  /// What is combined, in the order of the table.
  public let operations: [GeneratedOperation]
  /// How many operations each scenario combines.
  public let actors: Int
  /// Pages of the region: huge ones if the memory is.
  public let pages: Int
  /// Of what kind the region's memory is.
  public let memory: Memory

  /// Combines these operations; `actors` is in `sizes`, `pages` in `pageCounts`.
  public init(
    _ operations: [GeneratedOperation] = GeneratedOperation.all, actors: Int = 2, pages: Int = 1,
    memory: Memory = .private
  ) {
    self.operations = GeneratedOperation.all.filter(operations.contains)
    self.actors = actors
    self.pages = pages
    self.memory = memory
  }

  /// All scenarios: the combinations with repetition, but for those in which a process acts that has ended.
  public var scenarios: [Generated] {
    combinations.map { Generated(operations: $0, yaml: yaml($0)) }
  }

  /// Some scenarios, chosen by chance, in the order of all.
  public func sample(_ count: Int, seed: UInt64) -> [Generated] {
    var random = SplitMix(state: seed)
    var places = Array(combinations.indices)
    let chosen = min(max(0, count), places.count)
    for place in 0..<chosen {
      places.swapAt(place, place + Int(random.next() % UInt64(places.count - place)))
    }
    let all = combinations
    return places[..<chosen].sorted().map { Generated(operations: all[$0], yaml: yaml(all[$0])) }
  }

  private var combinations: [[GeneratedOperation]] {
    var rows: [[Int]] = [[]]
    for _ in 0..<actors {
      rows = rows.flatMap { row in ((row.last ?? 0)..<operations.count).map { row + [$0] } }
    }
    return rows.map { $0.map { operations[$0] } }.filter { row in
      !row.contains(where: \.endsProcess) || row.count { $0.doer == .owner || $0.doer == .parent } == 1
    }
  }

  // MARK: The text

  private func yaml(_ operations: [GeneratedOperation]) -> String {
    let name = operations.map(\.name).joined(separator: "--")
    // The owner only prepares, so that which operation comes first needs no preemption.
    var text = """
      scenario: \(name)
      summary: "\(operations.map(\.summary).joined(separator: "; "))"
      machine:
      \(machine(operations).map { "  \($0)\n" }.joined())\
      actors:
        - name: owner
          memlock: unlimited
          steps:
            - map: {region: ram, \(region)}
            - write: ram
              label: written

      """
    var before = operations.enumerated().flatMap { index, operation in
      operation.prelude.map { $0.replacing("#", with: "\(index + 1)") }
    }
    if before.isEmpty { before = ["touch: ram"] }
    for (number, step) in before.enumerated() {
      text += "      - \(step)\n"
      // Each child waits for the step that forks it.
      if step.hasPrefix("fork: "), number < before.count - 1 {
        text += "        label: forked-\(step.dropFirst("fork: child-".count))\n"
      }
    }
    text += "        label: ready\n"
    for (index, operation) in operations.enumerated() where operation.doer == .parent {
      text += steps(operation, index)
    }
    for (index, operation) in operations.enumerated() {
      switch operation.doer {
      case .owner: text += "  - name: actor-\(index + 1)\n    thread-of: owner\n"
      case .other: text += "  - name: actor-\(index + 1)\n"
      case .parent:
        text += "  - name: child-\(index + 1)\n    fork-of: owner\n    after: [done-\(index + 1)]\n"
        text += "    steps:\n      - touch: {region: ram, access: read}\n"
        continue
      case .child: text += "  - name: child-\(index + 1)\n    fork-of: owner\n"
      }
      let isForkedEarlier = text.contains("label: forked-\(index + 1)\n")
      text += "    after: [\(isForkedEarlier ? "forked-\(index + 1), " : "")ready]\n    steps:\n"
      text += steps(operation, index)
    }
    let isShared = memory == .memfd
    if !operations.contains(where: { $0.changesContents || isShared && $0.changesShared }) {
      // With a failure the stores of the set-up may not have been done: then there are no contents yet.
      text += "conditions:\n  - always:\n      or:\n        - {step: written, not: ok}\n"
      text += "        - {contents: ram, since: ready, equals: unchanged}\n"
    }
    return text
  }

  private var region: String {
    switch memory {
    case .private: "size: \(pages) pages"
    case .memfd: "size: \(pages) pages, kind: memfd"
    case .huge: "size: \(4 * pages) pages, advice: hugepage"
    }
  }

  private func steps(_ operation: GeneratedOperation, _ index: Int) -> String {
    operation.steps.enumerated().map { number, step in
      var text = "      - \(step.replacing("#", with: "\(index + 1)"))\n"
      if number == operation.steps.count - 1 { text += "        label: done-\(index + 1)\n" }
      return text
    }.joined()
  }

  /// A machine of 64 frames whose upper half is movable; the region's first page lies in block 2.
  private func machine(_ operations: [GeneratedOperation]) -> [String] {
    let needs = operations.reduce(into: Set<GeneratedOperation.Need>()) { $0.formUnion($1.needs) }
    var lines =
      needs.contains(.secondNode)
      ? ["nodes: [{memory: 48 frames, cpus: 1}, {memory: 48 frames, cpus: 1}]"]
      : ["memory: 64 frames"]
    lines += ["page-tables: 2", "block: 16 frames", "movable: 32 frames"]
    // More than half of what the region's zone has free, so that its pages come from there.
    if needs.contains(.contiguousArea) {
      let frames = needs.contains(.secondNode) ? 12 : 20
      lines.append("cma: [{name: camera, size: \(frames) frames, zone: movable}]")
    }
    return lines
  }
}
