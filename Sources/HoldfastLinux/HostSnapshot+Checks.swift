import HoldfastScenario
import SystemPackage

extension HostSnapshot {
  /// Refuses files that cannot be of one machine.
  func check(_ set: HostFileSet) throws(HostReadError) {
    guard let last = blocks.last else {
      throw HostReadError(
        file: set.path(.memory), found: "no memory block", expected: "at least one memoryN",
        errno: .noSuchFileOrDirectory)
    }
    guard last.index < frameLimit / pagesPerBlock else {
      throw HostReadError(
        file: set.path(.memory), found: "memory\(last.index) with blocks of \(blockSize) bytes",
        expected: "an end at most at frame \(frameLimit)", errno: .outOfRange)
    }
    try checkRows(set)
    let zoneinfo = set.path(.zoneinfo)
    let populated = zones.filter(\.isPopulated)
    for (position, zone) in populated.enumerated() {
      try checkPosition(of: zone, zoneinfo)
      for other in populated[..<position] { try checkOverlap(other, zone, zoneinfo) }
    }
    for zone in populated { try checkSize(of: zone, zoneinfo) }
  }

  /// Every file must have exactly the zones with pages; otherwise one of them was cut off between lines.
  private func checkRows(_ set: HostFileSet) throws(HostReadError) {
    let zones = Set(zones.filter(\.isPopulated).map(\.description))
    var files = [(String.buddyinfo, Set(freeBlocks.map { "Node \($0.node), zone \($0.zone)" }))]
    if let pageTypes {
      files.append((.pagetypeinfo, Set(pageTypes.free.map { "Node \($0.node), zone \($0.zone)" })))
      files.append((.pagetypeinfo, Set(pageTypes.blocks.map { "Node \($0.node), zone \($0.zone)" })))
    }
    for (file, rows) in files where set.texts[file] != nil {
      if let zone = zones.subtracting(rows).min() {
        throw HostReadError(
          file: set.path(file), found: "no row for \(zone)",
          expected: "one, as zoneinfo has pages there (the file is truncated)", errno: truncated)
      }
      if let zone = rows.subtracting(zones).min() {
        throw HostReadError(
          file: set.path(.zoneinfo), found: "no pages in \(zone)",
          expected: "some, as \(file) has a row for it (the file is truncated)", errno: truncated)
      }
    }
  }

  private func checkPosition(of zone: HostZone, _ file: String) throws(HostReadError) {
    guard !blocks.contains(where: { frames(of: $0).overlaps(zone.frames) }) else { return }
    throw HostReadError(
      file: file, line: zone.line, found: "\(zone) at \(text(zone.frames)), outside any memory",
      expected: "a zone within the memory blocks, which end at \(text(blocks))", errno: .invalidArgument)
  }

  /// The spans of two zones may interleave, as memory onlined block by block makes them do, but then the
  /// blocks must say for every page which of them it is in.
  private func checkOverlap(_ one: HostZone, _ other: HostZone, _ file: String) throws(HostReadError) {
    let common = one.frames.clamped(to: other.frames)
    guard !common.isEmpty else { return }
    let unclear = blocks.contains {
      $0.state == .online && frames(of: $0).overlaps(common) && zone(of: $0) == nil
    }
    guard unclear || one.present > ownPages(of: one) || other.present > ownPages(of: other) else { return }
    throw HostReadError(
      file: file, line: other.line,
      found: "\(other) at \(text(other.frames)), which overlaps \(one) at \(text(one.frames))",
      expected: "zones apart, or memory blocks that say which of the two they are in",
      errno: .invalidArgument)
  }

  private func checkSize(of zone: HostZone, _ file: String) throws(HostReadError) {
    let own = ownPages(of: zone)
    guard zone.present > own else { return }
    throw HostReadError(
      file: file, line: zone.line,
      found: "\(zone) at \(text(zone.frames)) with \(zone.present) pages present",
      expected: "at most the \(own) of the memory blocks there", errno: .invalidArgument)
  }

  /// The pages within a zone's span whose block is in it, or does not say where it is.
  private func ownPages(of zone: HostZone) -> Int {
    blocks.reduce(0) { sum, block in
      guard block.state != .offline else { return sum }
      if block.zoneName != nil {
        guard let its = self.zone(of: block), its.name == zone.name, its.node == zone.node else { return sum }
      }
      return sum + frames(of: block).clamped(to: zone.frames).count
    }
  }

  private func text(_ frames: Range<Int>) -> String {
    "pfn:0x\(String(frames.lowerBound, radix: 16))...pfn:0x\(String(frames.upperBound - 1, radix: 16))"
  }

  private func text(_ blocks: [HostMemoryBlock]) -> String {
    "pfn:0x\(String((blocks.last.map { frames(of: $0).upperBound } ?? 1) - 1, radix: 16))"
  }
}
