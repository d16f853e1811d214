import HoldfastScenario
import SystemPackage

/// Pages, as pagemap, kpageflags and dump_page show them.
extension LinuxRun {
  func pages(
    _ frames: [UInt64?], of range: Verb.RegionRange?, for filter: Subject.PageFilter
  ) throws(NotSeen) -> (Int) -> LinuxPage {
    if filter.migratetype != nil { throw NotSeen("Linux does not show a pageblock's type by frame") }
    if range == nil, filter.swapped != nil || filter.exclusive != nil || filter.softDirty != nil {
      throw NotSeen("this is seen through a region, not through a pin")
    }
    let counts =
      filter.references != nil || filter.pincount != nil || filter.maybePinned != nil
      ? try self.counts(of: range, pages: frames.count) : nil
    let words = range.map { pagemap(of: $0) }
    let known = frames.compactMap(\.self)
    var flags: [UInt64: FrameWords.Flags] = [:]
    var mappings: [UInt64: UInt64] = [:]
    do throws(HostReadError) {
      if filter.dirty != nil || filter.order != nil {
        for (frame, word) in zip(known, try FrameWords.flags(of: known)) { flags[frame] = word }
      }
      if filter.mappings != nil {
        for (frame, count) in zip(known, try FrameWords.mapCounts(of: known)) { mappings[frame] = count }
      }
    } catch {
      throw NotSeen(error.description)
    }
    let areas = filter.pinnable == nil ? [] : (try? CMADebug.areas()) ?? []
    return { [kernel] index in
      var page = LinuxPage()
      if let words, words.indices.contains(index) {
        page.swapped = words[index].isSwapped
        page.exclusive = words[index].isExclusive
        page.softDirty = words[index].isSoftDirty
      }
      guard let frame = frames[index] else { return page }
      let place = kernel.zone(of: frame)
      page.zone = place?.zone
      page.node = place?.node
      page.pinnable = place?.zone != .movable && !areas.contains { $0.frames.contains(frame) }
      if let counts = counts?[index] {
        page.references = counts.references
        page.pincount = counts.pins
        // page_maybe_dma_pinned, include/linux/mm.h (6.1): small pages count pins by 1024 references.
        page.maybePinned = counts.pins > 0 || counts.references >= 1024
      }
      page.mappings = mappings[frame].map { Int(clamping: $0) }
      if let flags = flags[frame] {
        page.dirty = flags.contains(.dirty)
        // kpageflags tells a large folio from a small page; those of user memory are huge pages here.
        page.order = flags.contains(.compoundHead) || flags.contains(.compoundTail) ? 9 : 0
      }
      return page
    }
  }

  private func counts(
    of range: Verb.RegionRange?, pages: Int
  ) throws(NotSeen) -> [WorkerReply.PageCounts?] {
    guard let range else { throw NotSeen("counts are seen through a region, not through a pin") }
    guard pages <= 64 else { throw NotSeen("counts are seen page by page, and these are too many") }
    guard let counts = counts(of: range), counts.count == pages else {
      throw NotSeen("gup_test did not dump the pages")
    }
    return counts
  }
}

extension LinuxRun {
  /// The words of /proc/PID/pagemap for a part of a region.
  func pagemap(of range: Verb.RegionRange, in process: String? = nil) -> [PagemapWord] {
    guard let region = regions.region(range.region, for: process), let (address, pages) = region.part(range)
    else {
      return []
    }
    return (try? HostProcess(id: region.id).pagemap(address..<address + UInt64(pages) << 12)) ?? []
  }

  /// What the pages of a part of a region hold, as digests.
  func digests(of range: Verb.RegionRange) -> [UInt64?] {
    ask(range) { .digests(region: range.region, offset: range.offset.pages, pages: $0) }?.digests ?? []
  }

  /// What dump_page says of the pages of a part of a region.
  func counts(of range: Verb.RegionRange) -> [WorkerReply.PageCounts?]? {
    ask(range) { .counts(region: range.region, offset: range.offset.pages, pages: $0) }?.counts
  }

  /// Asks the process that has a region, if it is between two steps.
  private func ask(_ range: Verb.RegionRange, _ task: (Int) -> WorkerRequest.Task) -> WorkerReply? {
    guard let region = regions.region(range.region, for: nil), let (_, pages) = region.part(range),
      let player = players.first(where: {
        $0.actor.process == region.process && $0.process != nil && $0.state == .idle
          || $0.process == region.id && $0.state == .done
      })
    else { return nil }
    let request = WorkerRequest(task: task(pages), regions: [range.region: region])
    guard (try? player.channel.send(request)) != nil,
      let line = try? player.channel.line(within: .seconds(20))
    else {
      return nil
    }
    return try? WorkerReply(line: line)
  }
}

/// What Linux shows of a page.
struct LinuxPage: ObservedPage {
  var zone: ZoneKind?
  var node: Int?
  /// No file shows it by frame.
  var migratetype: MigrateType? { nil }
  var pinnable: Bool?
  var maybePinned: Bool?
  var dirty: Bool?
  var references: Int?
  var pincount: Int?
  var mappings: Int?
  var order: Int?
  var swapped: Bool?
  var exclusive: Bool?
  var softDirty: Bool?
}
