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

  /// How many operations a scenario can combine.
  public static let sizes = 1...3
  /// How many pages the region can have.
  public static let pageCounts = 1...2

  /// What is combined, in the order of the table.
  public let operations: [GeneratedOperation]
  /// How many operations each scenario combines.
  public let actors: Int
  /// Pages of the region.
  public let pages: Int

  /// Combines these operations; `actors` is in `sizes`, `pages` in `pageCounts`.
  public init(_ operations: [GeneratedOperation] = GeneratedOperation.all, actors: Int = 2, pages: Int = 1) {
    self.operations = GeneratedOperation.all.filter(operations.contains)
    self.actors = actors
    self.pages = pages
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
      !row.contains(where: \.endsProcess) || row.count { $0.doer == .owner } == 1
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
            - map: {region: ram, size: \(pages) pages}
            - write: ram

      """
    var before = operations.enumerated().flatMap { index, operation in
      operation.prelude.map { $0.replacing("#", with: "\(index + 1)") }
    }
    if before.isEmpty { before = ["touch: ram"] }
    for step in before { text += "      - \(step)\n" }
    text += "        label: ready\n"
    for (index, operation) in operations.enumerated() {
      text += "  - name: actor-\(index + 1)\n"
      text += operation.doer == .owner ? "    thread-of: owner\n" : ""
      text += "    after: [ready]\n    steps:\n"
      text += steps(operation, index)
    }
    if !operations.contains(where: \.changesContents) {
      text += "conditions:\n  - always: {contents: ram, since: ready, equals: unchanged}\n"
    }
    return text
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
