extension Subject {
  /// The words that open an expectation.
  public enum Word: String, Sendable, Hashable, Codable, CaseIterable {
    /// See the case of `Subject` of the same name.
    case step, counter, zone, blocks, pages, pin, contents, holders, process
    /// See `contiguousArea`.
    case cma
  }

  /// What is looked at, in words.
  public var summary: String {
    switch self {
    case .step(let label, let value): "\(value.summary) of step \(label)"
    case .counter(let expression, total: false): "growth of \(expression)"
    case .counter(let expression, total: true): "\(expression)"
    case .zone(let zone, let node, let value):
      "\(value.summary) pages of zone \(zone.kernelName)" + (node.map { " on node \($0)" } ?? "")
    case .blocks(let blocks, let filter): "\(blocks.summary) that are \(filter.summary)"
    case .pages(let range, let filter): "pages of \(range) that are \(filter.summary)"
    case .pin(let name, let filter): "pages of pin \(name) that are \(filter.summary)"
    case .contents(let range): "contents of \(range)"
    case .holders(let blocks): "owners of pins in \(blocks.summary)"
    case .process(let actor, let value): "\(value.rawValue) pages of process \(actor)"
    case .contiguousArea(let name, .used): "pages handed out of CMA area \(name)"
    case .contiguousArea(let name, .largest): "largest free run of CMA area \(name)"
    }
  }
}

extension Subject.StepValue {
  fileprivate var summary: String {
    switch self {
    case .result: "result"
    case .stage: "failing stage"
    case .pages: "pages"
    case .requested: "pages requested"
    case .migrated: "pages moved"
    case .failures: "migration failures"
    case .bytes: "bytes copied"
    case .blocks: "blocks"
    case .passes: "passes"
    case .drains: "drains"
    case .retries: "retries"
    }
  }
}

extension Subject.ZoneValue {
  fileprivate var summary: String {
    switch self {
    case .freeCMA: "free CMA"
    case .cma: "CMA"
    default: rawValue
    }
  }
}

extension Subject.BlockSet {
  fileprivate var summary: String {
    let kind = wholeOnly ? "whole blocks" : "blocks"
    switch pick {
    case .all: return kind
    case .zone(let zone): return "\(kind) of zone \(zone.kernelName)"
    case .indices(let indices):
      return (indices.count == 1 ? "block " : "blocks ") + indices.map(String.init).joined(separator: ", ")
    }
  }
}

extension Subject.BlockFilter {
  fileprivate var summary: String {
    var parts: [String] = []
    if let state { parts.append(state.rawValue) }
    if let zone { parts.append("in zone \(zone.kernelName)") }
    if let free { parts.append(free ? "free" : "not free") }
    if let pinned { parts.append(pinned ? "pinned" : "not pinned") }
    return parts.joined(separator: " and ")
  }
}

extension Subject.PageFilter {
  fileprivate var summary: String {
    var parts: [String] = []
    func add(_ value: Bool?, _ name: String) {
      if let value { parts.append(value ? name : "not \(name)") }
    }
    func add(_ value: Int?, _ name: (Int) -> String) {
      if let value { parts.append(name(value)) }
    }
    add(present, "present")
    if let zone { parts.append("in zone \(zone.kernelName)") }
    add(node) { "on node \($0)" }
    if let migratetype { parts.append("in \(migratetype.rawValue) pageblocks") }
    add(pinnable, "pinnable long-term")
    add(maybePinned, "maybe pinned")
    add(moved, "moved")
    add(dirty, "dirty")
    add(references) { "referenced \($0) times" }
    add(pincount) { "of pincount \($0)" }
    add(mappings) { "mapped \($0) times" }
    add(order) { "of order \($0)" }
    add(swapped, "swapped out")
    add(exclusive, "mapped exclusively")
    add(softDirty, "soft-dirty")
    if let coherent { parts.append(coherent ? "coherent" : "incoherent") }
    return parts.joined(separator: " and ")
  }
}
