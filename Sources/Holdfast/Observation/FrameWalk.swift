import Interleaving

/// Walks over frames, for recounts and reports; never for anything a call waits for.
extension StateObservation {
  /// Calls `body` with every frame whose metadata exists, ascending.
  package func forEachFrameWithMetadata(_ body: (FrameNumber) -> Void) {
    for section in 0..<(machine.frameCount + geometry.sectionFrames - 1) >> geometry.sectionOrder
    where buddy.sectionState(section) == .made {
      for frame in buddy.frames(ofSection: section).frames where memmap.hasMetadata(frame) { body(frame) }
    }
  }

  /// Whether a frame is memory that has been free since boot and has no metadata yet.
  package func isDeferred(_ frame: FrameNumber) -> Bool {
    buddy.sectionState(frame.index >> geometry.sectionOrder) == .deferred
  }

  /// Frames of a range that are memory of the machine, online or not.
  package func presentFrames(in range: FrameRange) -> Int {
    machine.extents.reduce(0) {
      $0
        + max(
          0,
          min($1.frames.endIndex, range.endIndex) - max($1.frames.start.index, range.start.index))
    }
  }
}
