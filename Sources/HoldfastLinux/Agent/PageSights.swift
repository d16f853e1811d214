import HoldfastScenario
import SystemPackage

/// Pages, as pagemap, kpageflags and dump_page show them.
struct PageSights {
  private let run: LinuxRun
  private let words: [PagemapWord?]
  private let frames: [UInt64?]
  private let range: Verb.RegionRange?

  /// The pages of a region.
  init(_ run: LinuxRun, _ range: Verb.RegionRange) {
    self.run = run
    self.range = range
    let words = run.pagemap(of: range)
    self.words = words
    frames = words.map(\.frame)
  }

  /// Frames that a pin got.
  init(_ run: LinuxRun, frames: [UInt64?]) {
    self.run = run
    self.frames = frames
    words = frames.map { _ in nil }
    range = nil
  }

  /// How many pages fit.
  func count(_ filter: Subject.PageFilter, before: [UInt64?]?) -> Observation {
    if filter.moved != nil, before == nil { return .unavailable("there is nothing to compare with") }
    if filter.migratetype != nil { return .unavailable("Linux does not show a pageblock's type by frame") }
    let asksForCounts = filter.references != nil || filter.pincount != nil || filter.maybePinned != nil
    var counts: [WorkerReply.PageCounts?]?
    if asksForCounts {
      guard let range else { return .unavailable("counts are seen through a region, not through a pin") }
      guard frames.count <= 64 else {
        return .unavailable("counts are seen page by page, and these are too many")
      }
      counts = run.counts(of: range)
      guard counts?.count == frames.count else { return .unavailable("gup_test did not dump the pages") }
    }
    if range == nil, filter.swapped != nil || filter.exclusive != nil || filter.softDirty != nil {
      return .unavailable("this is seen through a region, not through a pin")
    }
    let known = frames.compactMap(\.self)
    let asksForFlags = filter.dirty != nil || filter.order != nil
    var flags: [UInt64: FrameWords.Flags] = [:]
    var mappings: [UInt64: UInt64] = [:]
    do throws(HostReadError) {
      if asksForFlags {
        for (frame, word) in zip(known, try FrameWords.flags(of: known)) { flags[frame] = word }
      }
      if filter.mappings != nil {
        for (frame, count) in zip(known, try FrameWords.mapCounts(of: known)) { mappings[frame] = count }
      }
    } catch {
      return .unavailable(error.description)
    }
    let areas = filter.pinnable == nil ? [] : (try? CMADebug.areas()) ?? []
    var fitting: Int64 = 0
    for (index, frame) in frames.enumerated() {
      let earlier = before.flatMap { index < $0.count ? $0[index] : nil }
      let sight = Sight(
        word: words[index], counts: counts?[index], flags: frame.flatMap { flags[$0] },
        mappings: frame.flatMap { mappings[$0] }, before: earlier, areas: areas)
      if fits(frame, filter, sight) { fitting += 1 }
    }
    return .count(fitting, of: Int64(frames.count))
  }

  private struct Sight {
    var word: PagemapWord?
    var counts: WorkerReply.PageCounts?
    var flags: FrameWords.Flags?
    var mappings: UInt64?
    var before: UInt64?
    var areas: [CMADebug]
  }

  private func fits(_ frame: UInt64?, _ filter: Subject.PageFilter, _ sight: Sight) -> Bool {
    func differs<Value: Equatable>(_ wanted: Value?, _ found: Value?) -> Bool {
      guard let wanted else { return false }
      return wanted != found
    }
    if differs(filter.swapped, sight.word?.isSwapped ?? false) { return false }
    if differs(filter.exclusive, sight.word?.isExclusive ?? false) { return false }
    if differs(filter.softDirty, sight.word?.isSoftDirty ?? false) { return false }
    if differs(filter.present, frame != nil) { return false }
    if differs(filter.moved, sight.before != frame) { return false }
    let asksForFrame =
      filter.zone != nil || filter.node != nil || filter.pinnable != nil || filter.maybePinned != nil
      || filter.dirty != nil || filter.references != nil || filter.pincount != nil || filter.mappings != nil
      || filter.order != nil
    guard let frame else { return !asksForFrame }
    let place = run.kernel.zone(of: frame)
    if differs(filter.zone, place?.zone) { return false }
    if differs(filter.node, place?.node) { return false }
    if differs(
      filter.pinnable, place?.zone != .movable && !sight.areas.contains { $0.frames.contains(frame) })
    {
      return false
    }
    if let maybePinned = filter.maybePinned {
      // page_maybe_dma_pinned, include/linux/mm.h (6.1): small pages count pins by 1024 references.
      guard let counts = sight.counts else { return false }
      if maybePinned != (counts.pins > 0 || counts.references >= 1024) { return false }
    }
    if differs(filter.references, sight.counts?.references) { return false }
    if differs(filter.pincount, sight.counts?.pins) { return false }
    if differs(filter.dirty, sight.flags.map { $0.contains(.dirty) }) { return false }
    if differs(filter.mappings, sight.mappings.map { Int(clamping: $0) }) { return false }
    if let order = filter.order {
      // kpageflags tells a large folio from a small page; those of user memory are huge pages here.
      guard let flags = sight.flags else { return false }
      let large = flags.contains(.compoundHead) || flags.contains(.compoundTail)
      if order != (large ? 9 : 0) { return false }
    }
    return true
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

  /// The frames of a part of a region, nil where nothing is mapped.
  func frames(of range: Verb.RegionRange) -> [UInt64?] { pagemap(of: range).map(\.frame) }

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
