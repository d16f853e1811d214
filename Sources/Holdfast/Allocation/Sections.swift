import Interleaving

/// Whether a section has metadata.
package enum SectionState: UInt8 {
  /// No memory, or offline memory, which needs no metadata.
  case absent
  /// Memory of a single zone, all of it free and counted as free, without metadata.
  case deferred
  /// Every frame that is memory has a descriptor.
  case made
}

/// Metadata that is made when it is first needed.
///
/// A deferred section lies wholly in one zone, whose lock protects its state and count. Sections that span
/// zones or have holes are made at boot.
extension Buddy {
  /// Whether a section has metadata.
  ///
  /// - Locks: written under the lock of its zone while deferred, else under the hotplug lock; read without a
  ///   lock.
  package func sectionState(_ section: Int) -> SectionState {
    SectionState(rawValue: ByteCells(machine.arena + machine.layout.sections.start).load(section)) ?? .absent
  }

  package func setSectionState(_ section: Int, _ state: SectionState) {
    ByteCells(machine.arena + machine.layout.sections.start).store(section, state.rawValue)
  }

  /// The frames of a section.
  package func frames(ofSection section: Int) -> FrameRange {
    FrameRange(start: FrameNumber(section << geometry.sectionOrder), count: geometry.sectionFrames)
  }

  /// Makes the metadata of all deferred sections that touch a range, before frames are looked at by number.
  ///
  /// - Returns: false if the host refused the bytes of a section (memory ground); its frames look absent
  ///   then.
  @discardableResult
  package func materialise(_ range: FrameRange) -> Bool {
    guard range.count > 0 else { return true }
    var complete = true
    let last = min(range.endIndex, machine.frameCount) - 1
    for section in range.start.index >> geometry.sectionOrder...max(range.start.index, last)
      >> geometry.sectionOrder where section << geometry.sectionOrder < machine.frameCount
    {
      guard let id = machine.extent(of: frames(ofSection: section).start)?.zone else { continue }
      let zone = zone(id)
      if zone.deferred.load(.relaxed) == 0 { continue }
      zone.lock.lock()
      if sectionState(section) == .deferred && !makeDeferred(section, in: zone) { complete = false }
      zone.lock.unlock()
    }
    return complete
  }

  /// Makes the next deferred section of a zone, the lowest first; false if there is none.
  ///
  /// - Parameter forCMA: makes only a section with frames of a CMA area.
  /// - Locks: the caller holds the zone lock.
  /// - Kernel: mm/page_alloc.c:deferred_grow_zone (6.1); without an end: the kernel defers struct pages until
  ///   boot is over, this engine until they are needed.
  func growZone(_ id: ZoneID, _ zone: Zone, forCMA: Bool) -> Bool {
    if forCMA { return growCMA(id, zone) }
    var section = zone.deferredCursor
    while section < machine.frameCount >> geometry.sectionOrder, zone.deferred.load(.relaxed) > 0 {
      if isDeferred(section, of: id) {
        // A section whose bytes the host refuses stays deferred and is tried again.
        guard makeDeferred(section, in: zone) else { return false }
        zone.deferredCursor = section + 1
        return true
      }
      section += 1
      zone.deferredCursor = section
    }
    return false
  }

  /// Makes the first deferred section with frames of a CMA area.
  private func growCMA(_ id: ZoneID, _ zone: Zone) -> Bool {
    for index in configuration.cmaAreas.indices {
      let area = cma.area(index)
      let last = area.base.index + area.count - 1
      for section in area.base.index >> geometry.sectionOrder...last >> geometry.sectionOrder
      where isDeferred(section, of: id) {
        return makeDeferred(section, in: zone)
      }
    }
    return false
  }

  private func isDeferred(_ section: Int, of id: ZoneID) -> Bool {
    sectionState(section) == .deferred && machine.extent(of: frames(ofSection: section).start)?.zone == id
  }

  /// Makes a deferred section; its frames were counted as free already.
  private func makeDeferred(_ section: Int, in zone: Zone) -> Bool {
    guard populate(section) else { return false }
    let managed = makeSection(section)
    add(-managed, to: zone.deferred)
    return true
  }

  /// Gives a section's block its bytes.
  func populate(_ section: Int) -> Bool {
    guard let store = machine.store else { return true }
    let id = machine.block(of: frames(ofSection: section).start)
    return global.tablesLock.withLock {
      if store.hasBytes(id) { return true }
      do { try store.populate(id) } catch { return false }
      return true
    }
  }

  /// Makes the metadata of a section of boot memory and puts its frames on the free lists, without counting.
  ///
  /// - Returns: number of frames that became free.
  /// - Locks: the caller holds the zone lock, except at boot.
  func makeSection(_ section: Int) -> Int {
    let range = frames(ofSection: section)
    var managed = 0
    for extent in machine.extents {
      guard let part = extent.frames.intersection(range) else { continue }
      for frame in part.frames { memmap.page(frame).initialise(zone: extent.zone, type: .none) }
      let zone = zone(extent.zone)
      var start = part.start.index
      for held in reservedRuns(in: part) {
        managed += freeRun(start, held.start.index, in: zone)
        for frame in held.frames {
          memmap.page(frame).set(.reserved)
          memmap.page(frame).refcount.store(1)
        }
        start = held.endIndex
      }
      managed += freeRun(start, part.endIndex, in: zone)
    }
    setSectionState(section, .made)
    return managed
  }

  /// Puts frames on the free lists in the largest chunks that fit into pageblocks; returns their number.
  ///
  /// They are added ascending, each at the end of its list, so that memory is handed out from the lowest
  /// frame on as after a boot of Linux. Changes no count.
  ///
  /// - Locks: the caller holds the zone lock.
  /// - Kernel: mm/page_alloc.c:__free_pages_core (6.1); without the count of managed pages, blocks larger
  ///   than a pageblock, which come about by merging.
  package func freeRun(_ first: Int, _ end: Int, in zone: Zone) -> Int {
    var next = first
    while next < end {
      var order =
        next == 0 ? geometry.pageblockOrder : min(next.trailingZeroBitCount, geometry.pageblockOrder)
      while next + 1 << order > end { order -= 1 }
      let frame = FrameNumber(next)
      insertFree(frame, order: order, pageblockType(of: frame), in: zone, last: true)
      next += 1 << order
    }
    return max(0, end - first)
  }

  /// The reserved frames in a range of boot memory, ascending, the zero page among them.
  package func reservedRuns(in range: FrameRange) -> [FrameRange] {
    var runs = configuration.reserved.compactMap { $0.intersection(range) }
    let zeroPage = global.zeroPage
    if range.contains(zeroPage) && !runs.contains(where: { $0.contains(zeroPage) }) {
      runs.append(FrameRange(start: zeroPage, count: 1))
    }
    return runs.sorted { $0.start < $1.start }
  }
}
