import Interleaving

/// The span of a zone: it grows when blocks join the zone and shrinks when they leave it.
extension Blocks {
  /// Extends the span of a zone by a range.
  ///
  /// - Kernel: mm/memory_hotplug.c:resize_zone_range (6.1)
  func growSpan(of id: ZoneID, by range: FrameRange) {
    let zone = buddy.zone(id)
    zone.lock.withLock {
      let isEmpty = zone.spanned == 0
      let start = isEmpty ? range.start : min(zone.start, range.start)
      let end = isEmpty ? range.endIndex : max(zone.start.index + zone.spanned, range.endIndex)
      zone.start = start
      zone.spanned = end - start.index
    }
  }

  /// Shrinks the span of a zone to the memory that it still has, after a range has left it.
  ///
  /// - Kernel: mm/memory_hotplug.c:shrink_zone_span (6.1)
  func shrinkSpan(of id: ZoneID, by range: FrameRange) {
    let zone = buddy.zone(id)
    let span = zone.span
    var first = span.start.index
    var end = span.endIndex
    if range.start.index <= first {
      first = firstFrame(of: id, in: range.endIndex..<max(range.endIndex, end))
    }
    if range.endIndex >= end, first < end { end = lastFrame(of: id, in: first..<range.start.index) }
    zone.lock.withLock {
      let isEmpty = first >= end
      zone.start = isEmpty ? FrameNumber(0) : FrameNumber(first)
      zone.spanned = isEmpty ? 0 : end - first
      // The scanners of compaction begin anew, because they may have stopped outside the new span.
      zone.compactionMigrate = FrameNumber(0)
      zone.compactionFree = FrameNumber(0)
    }
  }

  /// The first frame of a zone in a range, or the end of the range.
  ///
  /// - Kernel: mm/memory_hotplug.c:find_smallest_section_pfn (6.1)
  private func firstFrame(of zone: ZoneID, in range: Range<Int>) -> Int {
    var index = range.lowerBound
    while index < range.upperBound {
      let id = machine.block(of: FrameNumber(index))
      let upper = min(range.upperBound, machine.frames(of: id).endIndex)
      if let only = block(id).zone {
        if only == zone { return index }
        index = upper
      } else if block(id).present > 0, zoneOf(FrameNumber(index)) == zone {
        return index
      } else {
        index = min(upper, index + geometry.pageblockFrames)
      }
    }
    return range.upperBound
  }

  /// One past the last frame of a zone in a range, or the start of the range.
  ///
  /// - Kernel: mm/memory_hotplug.c:find_biggest_section_pfn (6.1)
  private func lastFrame(of zone: ZoneID, in range: Range<Int>) -> Int {
    var end = range.upperBound
    while end > range.lowerBound {
      let id = machine.block(of: FrameNumber(end - 1))
      let lower = max(range.lowerBound, machine.frames(of: id).start.index)
      if let only = block(id).zone {
        if only == zone { return end }
        end = lower
      } else if block(id).present > 0, zoneOf(FrameNumber(end - 1)) == zone {
        return end
      } else {
        end = max(lower, end - geometry.pageblockFrames)
      }
    }
    return range.lowerBound
  }
}
