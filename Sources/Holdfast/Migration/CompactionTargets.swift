import Interleaving

/// Free pages that compaction has taken from the high end of a zone, for migration to fill.
///
/// Belongs to one compaction; the migration core takes pages from it and gives unused ones back.
package final class CompactionTargets {
  private let machine: Machine
  private let id: ZoneID
  /// The lowest frame that the free scanner may reach: it stays above the migrate scanner's pageblock.
  var floor: Int
  /// Where the free scanner stands: everything from here up was looked at.
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
  package func take() -> FrameNumber? {
    while frames.isEmpty, !isExhausted { refill() }
    return frames.popLast()
  }

  /// Takes a page back that was not filled, in the state in which `take` gave it.
  package func giveBack(_ frame: FrameNumber) { frames.append(frame) }

  /// Gives the pages that are left to the allocator (release_freepages).
  func release(on processor: Int) {
    while let frame = frames.popLast() { machine.putFolio(frame, on: processor) }
  }

  /// Takes the free pages of the next pageblock downwards (isolate_freepages).
  private func refill() {
    let geometry = machine.geometry
    cursor -= geometry.pageblockFrames
    let first = FrameNumber(cursor)
    guard machine.hasMetadata(first), machine.page(first).zone == id else { return }
    let zone = machine.zone(id)
    zone.lock.lock()
    defer { zone.lock.unlock() }
    let type = machine.pageblockType(of: first)
    // Only blocks that may hold movable pages, and not those that are whole already.
    guard type == .movable || type == .cma else { return }
    if let (_, order) = machine.freeBlock(covering: first), order >= geometry.pageblockOrder { return }
    var index = cursor
    let end = cursor + geometry.pageblockFrames
    while index < end {
      let frame = FrameNumber(index)
      let descriptor = machine.page(frame)
      scanned += 1
      guard descriptor.type == .buddy else {
        index += 1
        continue
      }
      let size = 1 << descriptor.order
      // The last pages above the minimum are not compaction's to take (__isolate_free_page).
      guard Int(zone.free.load(.relaxed)) > Int(zone.watermark(0).load(.relaxed)) + size else { return }
      machine.takeFromFreeList(frame)
      machine.countFree(-size, type, in: zone)
      for i in 0..<size {
        machine.prepareTaken(frame + i)
        frames.append(frame + i)
      }
      isolated += size
      index += size
    }
  }
}
