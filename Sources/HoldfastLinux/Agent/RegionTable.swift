import HoldfastScenario

/// Which regions each process has, and where.
///
/// Owned by the coordinator.
struct RegionTable {
  private var byProcess: [String: [String: PlacedRegion]] = [:]
  /// The process that mapped a region, which is who is meant by its name alone.
  private var owners: [String: String] = [:]

  mutating func place(_ region: PlacedRegion, as name: String) {
    if owners[name] == nil { owners[name] = region.process }
    byProcess[region.process, default: [:]][name] = region
  }

  mutating func remove(_ name: String, of process: String) {
    byProcess[process]?[name] = nil
  }

  /// A child has its parent's regions, at the same addresses.
  mutating func fork(_ parent: String, into child: String, id: Int32) {
    byProcess[child] = (byProcess[parent] ?? [:]).mapValues {
      var region = $0
      region.process = child
      region.id = id
      return region
    }
  }

  /// The region of that name in a process, or else in the process that mapped it.
  func region(_ name: String, for process: String?) -> PlacedRegion? {
    if let process, let own = byProcess[process]?[name] { return own }
    return owners[name].flatMap { byProcess[$0]?[name] }
  }

  /// The regions that a step of an actor names.
  func seen(by actor: Scenario.Actor, names: [String]) -> [String: PlacedRegion] {
    var seen: [String: PlacedRegion] = [:]
    for name in names { seen[name] = region(name, for: actor.process) }
    return seen
  }
}

extension PlacedRegion {
  /// A part of the region: its first address and its pages; nil beyond the end.
  func part(offset: UInt64, pages: Int?) -> (address: UInt64, pages: Int)? {
    guard offset <= UInt64(self.pages), pages.map({ Int(offset) + $0 <= self.pages }) ?? true else {
      return nil
    }
    return (address + offset << 12, pages ?? self.pages - Int(offset))
  }

  /// The part that a range of the scenario means.
  func part(_ range: Verb.RegionRange) -> (address: UInt64, pages: Int)? {
    part(offset: range.offset.pages, pages: range.size.map { Int(clamping: $0.pages) })
  }
}
