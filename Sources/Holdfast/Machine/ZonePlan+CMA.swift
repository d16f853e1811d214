extension MachineConfiguration {
  /// Most CMA areas: one, and CONFIG_CMA_AREAS as it is on a NUMA kernel (rule 4.1).
  private static let mostAreas = 20

  /// The frames of every CMA area: where they ask to be, or at the end of the highest zone that is not movable.
  func plannedAreas(_ extents: [ZoneExtent]) throws(ConfigurationError) -> [FrameRange] {
    guard cmaAreas.count <= Self.mostAreas else {
      throw ConfigurationError(
        field: "cmaAreas", found: "\(cmaAreas.count) areas", expected: "at most \(Self.mostAreas)")
    }
    var taken = reserved
    if let zeroPage { taken.append(FrameRange(start: zeroPage, count: 1)) }
    var placed: [Int: FrameRange] = [:]
    // Areas with a base first, so that the others go around them.
    let byBase = cmaAreas.indices.filter { cmaAreas[$0].base != nil }
    for index in byBase + cmaAreas.indices.filter({ cmaAreas[$0].base == nil }) {
      try checkShape(index)
      let range: FrameRange
      if let base = cmaAreas[index].base {
        range = try checkedPlace(index, base, extents, taken)
      } else {
        range = try chosenPlace(index, extents, taken)
      }
      taken.append(range)
      placed[index] = range
    }
    return cmaAreas.indices.compactMap { placed[$0] }
  }

  private func checkShape(_ index: Int) throws(ConfigurationError) {
    let area = cmaAreas[index]
    let field = "cmaAreas[\(index)]"
    guard (1...63).contains(area.name.utf8.count) else {
      throw ConfigurationError(
        field: "\(field).name", found: "\(area.name.utf8.count) bytes", expected: "1 to 63 bytes")
    }
    if let first = cmaAreas.firstIndex(where: { $0.name == area.name }), first != index {
      throw ConfigurationError(
        field: "\(field).name", found: "\(area.name), as cmaAreas[\(first)]", expected: "a name of its own")
    }
    guard area.frames > 0, area.frames <= ZonePlan.frameLimit, area.frames % geometry.pageblockFrames == 0
    else {
      throw ConfigurationError(
        field: "\(field).frames", found: "\(area.frames)",
        expected: "a multiple of a pageblock's \(geometry.pageblockFrames) frames")
    }
    guard area.alignment > 0, area.alignment.nonzeroBitCount == 1 else {
      throw ConfigurationError(
        field: "\(field).alignment", found: "\(area.alignment)", expected: "a power of two of frames")
    }
    guard area.orderPerBit >= 0, area.orderPerBit <= geometry.pageblockOrder else {
      throw ConfigurationError(
        field: "\(field).orderPerBit", found: "\(area.orderPerBit)",
        expected: "0 to the pageblock order \(geometry.pageblockOrder)")
    }
  }

  private func checkedPlace(
    _ index: Int, _ base: FrameNumber, _ extents: [ZoneExtent], _ taken: [FrameRange]
  ) throws(ConfigurationError) -> FrameRange {
    let field = "cmaAreas[\(index)].base"
    let range = FrameRange(start: base, count: cmaAreas[index].frames)
    guard base.index % geometry.pageblockFrames == 0 else {
      throw ConfigurationError(
        field: field, found: "\(base)",
        expected: "a multiple of a pageblock's \(geometry.pageblockFrames) frames")
    }
    let inside = extents.filter { $0.frames.intersection(range) != nil }
    guard inside.reduce(0, { $0 + ($1.frames.intersection(range)?.count ?? 0) }) == range.count else {
      throw ConfigurationError(field: field, found: "\(range)", expected: "frames of the machine's memory")
    }
    guard inside.count == 1 else {
      throw ConfigurationError(
        field: field, found: "\(range) in \(inside[0].zone) and \(inside[1].zone)",
        expected: "frames of a single zone")
    }
    if let other = taken.first(where: { $0.intersection(range) != nil }) {
      throw ConfigurationError(
        field: field, found: "\(range), of which \(other) is reserved or in another area",
        expected: "frames that nothing else holds")
    }
    return range
  }

  private func chosenPlace(
    _ index: Int, _ extents: [ZoneExtent], _ taken: [FrameRange]
  ) throws(ConfigurationError) -> FrameRange {
    let area = cmaAreas[index]
    let frames = area.frames
    let mask = max(geometry.pageblockFrames, area.alignment) - 1
    let kernel = extents.filter {
      if let zone = area.zone { $0.zone.kind == zone } else { $0.zone.kind != .movable }
    }
    // Memory of the highest kind first; within it, from the top down.
    for extent in kernel.sorted(by: { ($0.zone.kind, $0.frames.start) > ($1.zone.kind, $1.frames.start) }) {
      var start = (extent.frames.endIndex - frames) & ~mask
      while start >= extent.frames.start.index {
        let range = FrameRange(start: FrameNumber(start), count: frames)
        guard let other = taken.filter({ $0.intersection(range) != nil }).map(\.start.index).min() else {
          return range
        }
        start = (other - frames) & ~mask
      }
    }
    throw ConfigurationError(
      field: "cmaAreas[\(index)].frames", found: "\(frames)",
      expected:
        "as many free frames in a row in \(area.zone.map { "zone \($0)" } ?? "a zone that is not movable")")
  }
}
