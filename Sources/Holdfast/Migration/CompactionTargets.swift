import Interleaving

/// Free pages that compaction has taken from the high end of a zone, for migration to fill.
///
/// One compaction owns it. The migration core takes pages from it and gives unused ones back.
package final class CompactionTargets {
  private let machine: Machine
  private let id: ZoneID
  /// The lowest frame that the free scanner may reach: it stays above the migrate scanner's pageblock.
  var floor: Int
  /// Position of the free scanner: it has looked at everything from here up.
  ///
  /// A pageblock's boundary.
  private(set) var cursor: Int
  /// Pages in hand, each an allocated small folio with one reference.
  private var frames: [FrameNumber] = []
  /// Frames looked at, and pages taken.
  private(set) var scanned = 0
  private(set) var isolated = 0

  init(_ machine: Machine, zone: ZoneID, floor: Int, cursor: Int) {
    self.machine = machine
    id = zone
    self.floor = floor
    self.cursor = cursor
  }

  /// Pages in hand.
  package var count: Int { frames.count }

  /// Whether the scanners have met: no pageblock lies between them.
  var isExhausted: Bool { cursor - machine.geometry.pageblockFrames < floor }

  /// A page to fill: allocated, one reference, no contents; nil if the scanners have met.
  ///
  /// - Kernel: mm/compaction.c:compaction_alloc (6.1)
  package func allocate() -> FrameNumber? {
    while frames.isEmpty, !isExhausted { refill() }
    return frames.popLast()
  }

  /// Takes a page back that was not filled, in the state in which `allocate` gave it.
  ///
  /// - Kernel: mm/compaction.c:compaction_free (6.1)
  package func free(_ frame: FrameNumber) { frames.append(frame) }

  /// Gives the pages that are left to the allocator.
  ///
  /// - Kernel: mm/compaction.c:release_freepages (6.1); without moving the free scanner's start back to the
  ///   highest page.
  func release(on processor: Int) {
    while let frame = frames.popLast() { machine.folios.put(frame, on: processor) }
  }

  /// Takes the free pages of the next pageblock downwards.
  ///
  /// - Kernel: mm/compaction.c:isolate_freepages (6.1); without fast_isolate_freepages, the stride of
  ///   asynchronous runs, skip hints; one pageblock a call, in the kernel until there are as many free pages
  ///   as pages to move, so that targets come in another order.
  /// - Kernel: mm/compaction.c:isolate_freepages_block (6.1); without the stop when there are as many free
  ///   pages as pages to move, the signal check, dropping the zone lock on the way.
  /// - Kernel: mm/compaction.c:suitable_migration_target (6.1); without the minimum priority, which takes
  ///   every pageblock.
  /// - Kernel: mm/page_alloc.c:__isolate_free_page (6.1); without the HIGHATOMIC reserve in the watermark
  ///   test.
  private func refill() {
    let geometry = machine.geometry
    cursor -= geometry.pageblockFrames
    let first = FrameNumber(cursor)
    guard machine.memmap.hasMetadata(first), machine.memmap.page(first).zone == id else { return }
    let zone = machine.buddy.zone(id)
    zone.lock.lock()
    defer { zone.lock.unlock() }
    let type = machine.buddy.pageblockType(of: first)
    // Only pageblocks that may hold movable pages, and not those that are wholly free already.
    guard type == .movable || type == .cma else { return }
    if let (_, order) = machine.buddy.freeChunk(covering: first), order >= geometry.pageblockOrder { return }
    var index = cursor
    let end = cursor + geometry.pageblockFrames
    while index < end {
      let frame = FrameNumber(index)
      let page = machine.memmap.page(frame)
      scanned += 1
      guard page.type == .buddy else {
        index += 1
        continue
      }
      let size = 1 << page.order
      // Compaction must leave the minimum watermark free.
      guard Int(zone.free.load(.relaxed)) > Int(zone.watermark(0).load(.relaxed)) + size else { return }
      machine.buddy.removeFromFreeList(frame)
      machine.buddy.countFree(-size, type, in: zone)
      for i in 0..<size {
        machine.allocator.prepareIsolated(frame + i)
        frames.append(frame + i)
      }
      isolated += size
      index += size
    }
  }
}
