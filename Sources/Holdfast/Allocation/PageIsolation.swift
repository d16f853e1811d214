import Interleaving
public import SystemPackage

/// Why a range of pageblocks cannot be isolated: the first frame that refuses, and what it is.
public struct IsolationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reason for the refusal.
  public enum Cause: Hashable, Sendable {
    /// Boot memory, a hole, the zero page.
    case reserved
    /// A slab of the kernel.
    case slab
    /// A page of page-table entries.
    case pageTable
    /// The pageblock belongs to a CMA area, which only a CMA allocation may isolate.
    case cmaPageblock
    /// Another operation has isolated the pageblock.
    case alreadyIsolated
    /// A page of user space or the page cache that is on no LRU list: it is isolated, or waits in a batch.
    case offList
    /// Any other allocation that cannot be moved.
    case unmovable
    /// A folio lies across the end of the range and could not be moved away.
    case spansEnd
  }

  /// The frame that refuses.
  public let frame: FrameNumber
  /// The reason.
  public let cause: Cause
  /// The range that was to be isolated.
  public let range: FrameRange

  /// The kernel's errno: EBUSY.
  public var errno: Errno { .resourceBusy }

  /// One sentence.
  public var description: String {
    let why =
      switch cause {
      case .reserved: "is reserved since boot"
      case .slab: "is a slab of the kernel"
      case .pageTable: "holds page-table entries"
      case .cmaPageblock: "lies in a pageblock of a CMA area"
      case .alreadyIsolated: "lies in a pageblock that another operation has isolated"
      case .offList: "is on no LRU list: it is isolated already, or waits in a batch"
      case .unmovable: "is an allocation that cannot be moved"
      case .spansEnd: "is part of a folio that lies across the end of the range and cannot be moved"
      }
    return "\(frame) of \(range) \(why)"
  }
}

/// Isolating pageblocks, so that frames that are free in them stay free.
///
/// Free frames of ISOLATE pageblocks are on lists of their own, which no allocation takes from, and do not
/// count as free.
package struct PageIsolation: Room {
  package let machine: Machine
}

extension Room {
  /// Isolation of pageblocks.
  @inline(__always)
  package var isolation: PageIsolation { PageIsolation(machine: machine) }
}

extension PageIsolation {
  /// Isolates the pageblocks that a range touches, all or none.
  ///
  /// Only frames inside the range itself are tested for being movable.
  ///
  /// - Parameters:
  ///   - type: what the pageblocks become when isolation is undone; `.cma` lets CMA pageblocks in.
  ///   - memoryOffline: MEMORY_OFFLINE: poisoned frames and those that drivers took away are let in.
  /// - Throws: EBUSY with the first frame that refuses. Pageblocks isolated before it have become `type`,
  ///   whatever they were, as in the kernel.
  /// - Locks: takes the zone lock. The range lies in one zone.
  /// - Kernel: mm/page_isolation.c:start_isolate_page_range (6.1); without the order of pageblocks: the
  ///   kernel isolates the first and the last one before those in the middle, here they are taken in
  ///   ascending order and the edges last.
  package func isolateRange(
    _ range: FrameRange, for type: MigrateType, memoryOffline: Bool, by process: Process
  ) throws(IsolationError) {
    let span = buddy.pageblockSpan(of: range)
    for start in stride(from: span.start.index, to: span.endIndex, by: geometry.pageblockFrames) {
      let first = FrameNumber(start)
      guard memmap.hasMetadata(first) else { continue }
      let checked = max(start, range.start.index)..<min(start + geometry.pageblockFrames, range.endIndex)
      if let (frame, cause) = isolatePageblock(first, checked, for: type, memoryOffline: memoryOffline) {
        undoIsolation(FrameRange(start: span.start, count: start - span.start.index), to: type)
        throw IsolationError(frame: frame, cause: cause, range: range)
      }
    }
    for edge in [span.start, FrameNumber(span.endIndex)] where !clearEdge(edge, by: process) {
      undoIsolation(range, to: type)
      throw IsolationError(frame: edge, cause: .spansEnd, range: range)
    }
  }

  /// Gives isolated pageblocks back to the allocator as pageblocks of a type; others are left alone.
  ///
  /// - Locks: takes the zone lock.
  /// - Kernel: mm/page_isolation.c:undo_isolate_page_range (6.1)
  /// - Kernel: mm/page_isolation.c:unset_migratetype_isolate (6.1); without the place on the free list: the
  ///   chunks go to its head, in the kernel to its tail.
  package func undoIsolation(_ range: FrameRange, to type: MigrateType) {
    let span = buddy.pageblockSpan(of: range)
    for start in stride(from: span.start.index, to: span.endIndex, by: geometry.pageblockFrames) {
      let first = FrameNumber(start)
      guard memmap.hasMetadata(first) else { continue }
      let zone = buddy.zone(memmap.page(first).zone)
      zone.lock.withLock {
        guard buddy.pageblockType(of: first) == .isolate else { return }
        buddy.setPageblockType(of: first, type)
        buddy.add(-1, to: zone.isolatedPageblocks)
        buddy.moveFreePages(inPageblockOf: first, from: .isolate, to: type)
      }
    }
  }

  /// The first frame of an isolated range that is neither free nor unusable, or nil if there is none.
  ///
  /// - Locks: takes the zone lock.
  /// - Kernel: mm/page_isolation.c:test_pages_isolated (6.1)
  package func testRangeIsolated(_ range: FrameRange, memoryOffline: Bool) -> FrameNumber? {
    buddy.zone(memmap.page(range.start).zone).lock.withLock {
      firstOccupied(range, memoryOffline: memoryOffline)
    }
  }

  /// `testRangeIsolated` for a caller that holds the zone lock.
  ///
  /// - Kernel: mm/page_isolation.c:__test_page_isolated_in_pageblock (6.1)
  func firstOccupied(_ range: FrameRange, memoryOffline: Bool) -> FrameNumber? {
    var index = range.start.index
    while index < range.endIndex {
      let frame = FrameNumber(index)
      guard buddy.pageblockType(of: frame) == .isolate else { return frame }
      let page = memmap.page(frame)
      if page.type == .buddy {
        index += 1 << page.order
      } else if memoryOffline, isGivenUp(page) {
        index += 1
      } else if index == range.start.index, let (head, order) = buddy.freeChunk(covering: frame) {
        index = head.index + 1 << order
      } else {
        return frame
      }
    }
    return nil
  }

  /// Whether a frame that is not free may go offline with its block all the same: it is poisoned, or a driver has let
  /// go of it.
  package func isGivenUp(_ page: Page) -> Bool {
    page.has(.hwpoison) || (page.type == .offline && page.refcount.load() == 0)
  }

  // MARK: - One pageblock

  /// Isolates one pageblock; returns the frame that refuses and what it is.
  ///
  /// - Kernel: mm/page_isolation.c:set_migratetype_isolate (6.1); without dump_page. Isolating a HIGHATOMIC
  ///   pageblock ends its reservation here, which 6.1 does not do.
  private func isolatePageblock(
    _ first: FrameNumber, _ checked: Range<Int>, for type: MigrateType, memoryOffline: Bool
  ) -> (FrameNumber, IsolationError.Cause)? {
    let zone = buddy.zone(memmap.page(first).zone)
    zone.lock.lock()
    defer { zone.lock.unlock() }
    let previous = buddy.pageblockType(of: first)
    if previous == .isolate { return (first, .alreadyIsolated) }
    if let refusal = firstUnmovable(checked, for: type, memoryOffline: memoryOffline) { return refusal }
    buddy.setPageblockType(of: first, .isolate)
    buddy.add(1, to: zone.isolatedPageblocks)
    buddy.moveFreePages(inPageblockOf: first, from: previous, to: .isolate)
    // The pageblock does not become HIGHATOMIC again, so its reservation ends here.
    if previous == .highAtomic { buddy.add(-geometry.pageblockFrames, to: zone.highAtomic) }
    return nil
  }

  /// The first frame of part of a pageblock that can never be moved.
  ///
  /// In ZONE_MOVABLE every frame that is not reserved is taken for movable: that is the promise of the zone,
  /// and it is not tested.
  ///
  /// - Locks: the caller holds the zone lock.
  /// - Kernel: mm/page_isolation.c:has_unmovable_pages (6.1); without movable pages off the LRU.
  private func firstUnmovable(
    _ frames: Range<Int>, for type: MigrateType, memoryOffline: Bool
  ) -> (FrameNumber, IsolationError.Cause)? {
    let first = FrameNumber(frames.lowerBound)
    if buddy.pageblockType(of: first) == .cma { return type == .cma ? nil : (first, .cmaPageblock) }
    let assumeMovable = memmap.page(first).zone.kind == .movable
    var index = frames.lowerBound
    while index < frames.upperBound {
      let frame = FrameNumber(index)
      let page = memmap.page(frame)
      if page.type == .buddy {
        index += 1 << page.order
        continue
      }
      if page.has(.reserved) { return (frame, .reserved) }
      index += 1
      if assumeMovable { continue }
      let head = memmap.head(of: frame)
      let flags = memmap.page(head).flags
      if flags.contains(.head) {
        guard memmap.page(head).isHugetlb || flags.contains(.lru) else { return (frame, cause(of: head)) }
        index = head.index + 1 << memmap.page(head).order
      } else if page.refcount.load() == 0 {
        continue
      } else if memoryOffline && (page.has(.hwpoison) || page.type == .offline) {
        continue
      } else if !flags.contains(.lru) {
        return (frame, cause(of: frame))
      }
    }
    return nil
  }

  /// Names a frame that cannot be moved.
  private func cause(of head: FrameNumber) -> IsolationError.Cause {
    let folio = memmap.page(head)
    if folio.has(.slab) { return .slab }
    if folio.type == .table { return .pageTable }
    return folio.mapping == .none ? .unmovable : .offList
  }

  /// Moves a folio away that lies across the end of a range; true if no folio lies across it afterwards.
  ///
  /// - Kernel: mm/page_isolation.c:isolate_single_pageblock (6.1); without splitting free chunks that cross
  ///   the boundary, isolating the pageblocks of the folio that is moved.
  private func clearEdge(_ edge: FrameNumber, by process: Process) -> Bool {
    guard memmap.hasMetadata(edge), memmap.page(edge).isTail else { return true }
    let head = memmap.head(of: edge)
    guard memmap.page(head).refcount.load() > 0, memmap.page(head).has(.lru) || memmap.page(head).isHugetlb
    else { return false }
    let folio = FrameRange(start: head, count: memmap.folioPages(head))
    guard allocator.migrateContiguous(folio, by: process) == nil else { return false }
    return !memmap.page(edge).isTail
  }
}
