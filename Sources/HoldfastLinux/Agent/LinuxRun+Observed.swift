import HoldfastScenario
import SystemPackage

/// What expectations look at on a real kernel, as far as Linux lets anybody look.
extension LinuxRun: ObservedGround {
  static var keeper: String { "this kernel" }

  func counters(_ names: [String]) -> [String: Int64] {
    let now = (try? HostCounters.live()) ?? [:]
    var found: [String: Int64] = [:]
    for name in names { found[name] = now[name].map { Int64(clamping: $0) } }
    return found
  }

  func zoneRecords() -> [ZoneRecord] { kernel.zoneRecords }

  func blockRecords() -> [BlockRecord] { kernel.blockRecords }

  func frames(of range: Verb.RegionRange) -> [UInt64?] { pagemap(of: range).map(\.frame) }

  func frames(ofPin name: String) -> [UInt64?]? { holds[name]?.frames }

  func coherence(ofPin name: String) throws(NotSeen) -> [Bool] {
    throw NotSeen("Linux does not tell what a device reaches")
  }

  func holders(in blocks: [BlockRecord]) -> Observation { .unavailable("Linux keeps no ledger of pins") }

  func number(_ value: Subject.ProcessValue, ofProcess name: String) throws(NotSeen) -> Int64? {
    let key: String
    switch value {
    case .locked: key = "VmLck:"
    case .pinned: key = "VmPin:"
    case .resident: throw NotSeen("a real process has memory of its own beside the scenario's")
    }
    guard let id = players.first(where: { $0.actor.name == name })?.process,
      let text = try? HostFiles.live.text(of: "proc/\(id)/status")
    else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      if words.count >= 2, let kibibytes = Int64(words[1]) { return kibibytes / 4 }
    }
    throw NotSeen("the kernel does not show \(key.dropLast()) of \(name)")
  }

  func number(_ value: Subject.AreaValue, ofArea name: String) throws(NotSeen) -> Int64 {
    guard let areas = try? CMADebug.areas(), let area = ContiguousAreas.pick(name, scenario.machine, areas)
    else {
      throw NotSeen("the kernel has no CMA area for \(name), or does not show it")
    }
    let found = value == .used ? try? area.usedFrames() : try? area.longestFreeRun()
    guard let found else { throw NotSeen("debugfs does not show the area") }
    return Int64(clamping: found)
  }
}
