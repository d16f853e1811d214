import Interleaving

/// The descriptors of all frames.
package struct Memmap {
  let base: UnsafeMutableRawPointer
  /// The number of frames that there is room for.
  let count: Int

  /// The descriptor of a frame.
  @inline(__always)
  package func page(_ frame: FrameNumber) -> Page { Page(Row(base + (frame.index &* PageRow.stride))) }

  /// The head of the folio that a frame is part of.
  @inline(__always)
  package func head(of frame: FrameNumber) -> FrameNumber {
    FrameNumber(rawValue: frame.rawValue &- page(frame).headOffset.load(.acquire))
  }

  /// The pages of a folio, given its head.
  @inline(__always)
  package func folioPages(_ head: FrameNumber) -> Int {
    let folio = page(head)
    return folio.isLarge ? 1 << folio.order : 1
  }

  /// Whether a frame has metadata: it is memory, and its section came into being.
  @inline(__always)
  package func hasMetadata(_ frame: FrameNumber) -> Bool {
    frame.index < count && page(frame).type != .absent
  }
}
