import Interleaving

/// Walks over frames, for recounts and reports; never for anything a call waits for.
extension Machine {
  /// Calls `body` with every frame whose metadata exists, ascending.
  package func forEachFrameWithMetadata(_ body: (FrameNumber) -> Void) {
    for section in 0..<(frameCount + geometry.sectionFrames - 1) >> geometry.sectionOrder
    where sectionState(section) == .made {
      for frame in frames(ofSection: section).frames where hasMetadata(frame) { body(frame) }
    }
  }

  /// Whether a frame is memory that has been free since boot and has no metadata yet.
  package func isDeferred(_ frame: FrameNumber) -> Bool {
    sectionState(frame.index >> geometry.sectionOrder) == .deferred
  }

  /// Frames of a range that are memory of the machine, online or not.
  package func presentFrames(in range: FrameRange) -> Int {
    extents.reduce(0) {
      $0
        + max(
          0,
          min($1.frames.endIndex, range.endIndex) - max($1.frames.start.index, range.start.index))
    }
  }

  /// The zero page.
  public var zeroPageFrame: FrameNumber { global.zeroPage }

  /// Frames of a CMA area that are handed out, and the longest run of those that are not.
  public func cmaUse(_ index: Int) -> (used: Int, largestFree: Int) {
    let area = cmaArea(index)
    let bits = area.count >> area.orderPerBit
    var used = 0
    var largest = 0
    var run = 0
    area.lock.withLock {
      for bit in 0..<bits {
        let word = cmaBitmapWord(area.bitmap + bit / 64).plain(0, as: UInt64.self)
        if word & (1 << UInt64(bit % 64)) != 0 {
          used += 1
          run = 0
        } else {
          run += 1
          largest = max(largest, run)
        }
      }
    }
    return (used << area.orderPerBit, largest << area.orderPerBit)
  }
}
