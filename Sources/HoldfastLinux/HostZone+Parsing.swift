import SystemPackage

extension HostZone {
  /// The zones in the text of /proc/zoneinfo, in file order.
  ///
  /// Lines that other kernel versions add are skipped as long as they are a name and a number. Every zone
  /// must be complete, and consistent in itself.
  public static func parse(zoneinfo text: String, file: String) throws(HostReadError) -> [HostZone] {
    let text = try HostText(text, file: file)
    var zones: [HostZone] = []
    var current: Reader?
    for line in text.lines {
      let words = line.words
      if words.first == "Node" {
        if let current { zones.append(try current.finish(before: line)) }
        let (node, name) = try line.nodeAndZone(words)
        guard words.count == 4 else { throw line.unexpected(expected: "'Node N, zone NAME' alone on a line") }
        if let first = zones.first(where: { $0.node == node && $0.name == name }) {
          throw line.error(
            found: "a second \(first) after line \(first.line)", expected: "each zone once")
        }
        current = Reader(zone: HostZone(node: node, name: name, line: line.number))
      } else {
        guard current != nil else { throw line.unexpected(expected: "'Node N, zone NAME'") }
        try current?.read(line, words)
      }
    }
    guard let current else { throw text.ends(before: "'Node N, zone NAME'") }
    guard current.isComplete else { throw text.ends(before: current.missing) }
    zones.append(current.zone)
    guard zones.contains(where: \.isPopulated) else {
      throw HostReadError(
        file: file, found: "no zone with pages", expected: "at least one", errno: .invalidArgument)
    }
    return zones
  }

  /// The zone whose lines are being read, as far as they have been read.
  private struct Reader {
    enum Section { case header, node, pages, counters, pagesets }

    static func size(_ name: Substring) -> WritableKeyPath<HostZone, Int>? {
      switch name {
      case "boost": \.boost
      case "min": \.min
      case "low": \.low
      case "high": \.high
      case "spanned": \.spanned
      case "present": \.present
      case "managed": \.managed
      case "cma": \.cma
      default: nil
      }
    }

    var zone: HostZone
    var section = Section.header
    var outstanding: Set<Substring> = ["pages free", "min", "low", "high", "spanned", "present", "managed"]
    var hasProtection = false
    var hasStart = false

    /// Zones without pages end after the protection line, the others with the first frame.
    var isComplete: Bool { hasProtection && (!zone.isPopulated || (hasStart && zone.cpuCount > 0)) }

    /// What a zone that ends here still lacks.
    var missing: String {
      let first = outstanding.sorted().first.map(String.init)
      let next = first ?? (!hasProtection ? "protection" : zone.cpuCount == 0 ? "pagesets" : "start_pfn")
      return "'\(next)' of \(zone)"
    }

    func finish(before line: HostLine) throws(HostReadError) -> HostZone {
      guard isComplete else { throw line.unexpected(expected: missing) }
      return zone
    }

    mutating func read(_ line: HostLine, _ words: [Substring]) throws(HostReadError) {
      switch (words.count, words.first) {
      case (2, "per-node") where words[1] == "stats" && section == .header:
        section = .node
      case (3, "pages") where words[1] == "free" && (section == .header || section == .node):
        section = .pages
        outstanding.remove("pages free")
        zone.free = try line.pages(words[2], "pages free")
      case (_, "protection:") where section == .pages:
        try readProtection(line, words)
      case (1, "pagesets") where section == .counters:
        section = .pagesets
      case (2, "start_pfn:") where section == .pagesets:
        zone.startFrame = try line.pages(words[1], "start_pfn")
        hasStart = true
        guard zone.startFrame + zone.spanned <= frameLimit else {
          throw line.error(
            found: "\(zone) ending at frame \(zone.startFrame + zone.spanned)",
            expected: "an end at most at frame \(frameLimit)", errno: .outOfRange)
        }
      case (2, "cpu:") where section == .pagesets:
        _ = try line.number(words[1], "cpu", below: 1 << 20)
        zone.cpuCount += 1
      case (4, "vm") where words[1] == "stats" && words[2] == "threshold:" && section == .pagesets:
        _ = try line.number(words[3], "vm stats threshold")
      default:
        try readValue(line, words)
      }
    }

    private mutating func readProtection(_ line: HostLine, _ words: [Substring]) throws(HostReadError) {
      guard outstanding.isEmpty else { throw line.unexpected(expected: missing) }
      let list = words.dropFirst()
      guard let first = list.first, first.hasPrefix("("), list.last?.hasSuffix(")") == true else {
        throw line.unexpected(expected: "'protection: (N, N, ...)'")
      }
      for word in list {
        let digits = word.drop { $0 == "(" }.prefix { $0 != "," && $0 != ")" }
        zone.protection.append(try line.pages(digits, "protection"))
      }
      hasProtection = true
      section = .counters
    }

    private mutating func readValue(_ line: HostLine, _ words: [Substring]) throws(HostReadError) {
      let expected = "a name and a number, as in /proc/zoneinfo"
      guard words.count == 2 else { throw line.unexpected(expected: expected) }
      let name = words[0].hasSuffix(":") ? words[0].dropLast() : words[0]
      guard isName(name) else { throw line.unexpected(expected: expected) }
      let value = try line.number(words[1], String(name))
      switch section {
      case .header: throw line.unexpected(expected: "'per-node stats' or 'pages free N'")
      case .node: zone.nodeCounters[String(name)] = value
      case .counters: zone.counters[String(name)] = value
      case .pagesets: break
      case .pages:
        guard let size = Self.size(name) else { return }
        zone[keyPath: size] = try line.pages(words[1], String(name))
        outstanding.remove(name)
        try check(line, name)
      }
    }

    /// Present lies within spanned, and managed within present, in the order in which the lines come.
    private func check(_ line: HostLine, _ name: Substring) throws(HostReadError) {
      let pair: (bound: String, limit: Int, value: Int)? =
        switch name {
        case "present": ("spanned", zone.spanned, zone.present)
        case "managed": ("present", zone.present, zone.managed)
        default: nil
        }
      guard let pair, pair.value > pair.limit else { return }
      throw line.error(
        found: "\(name) \(pair.value) of \(zone)",
        expected: "at most its \(pair.bound) \(pair.limit)")
    }
  }
}
