import Holdfast
import HoldfastScenario

/// Patterns in frames: real bytes where frames have them, else a tag that stands for the page's words.
extension Stage {
  func store(_ pattern: Pattern, page index: Int, in frame: FrameNumber) {
    machine.memmap.page(frame).contentTag = tag(pattern, index)
    guard let bytes = machine.bytes(of: frame) else { return }
    let words = bytes.bindMemory(to: UInt64.self)
    let offset = UInt64(index) * UInt64(pageSize)
    for i in words.indices { words[i] = pattern.word(at: offset + UInt64(i * 8)) }
  }

  /// Adds 1 to every byte of a page, so that byte N of a pattern becomes N + 1.
  ///
  /// Words are added, so that 255 carries over.
  func addToBytes(of frame: FrameNumber) {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let page = machine.memmap.page(frame)
    page.contentTag = page.contentTag &+ ones
    guard let words = machine.bytes(of: frame)?.bindMemory(to: UInt64.self) else { return }
    for i in words.indices { words[i] = words[i] &+ ones }
  }

  /// Fails where a frame does not hold a page of the pattern.
  func compare(_ pattern: Pattern, page index: Int, in frame: FrameNumber) throws(StepStop) {
    guard holds(pattern, page: index, in: frame) else {
      throw stop(
        .EIO, .address, "page \(index) (\(frame)) does not hold what was expected", page: frame)
    }
  }

  private func holds(_ pattern: Pattern, page index: Int, in frame: FrameNumber) -> Bool {
    guard let bytes = machine.bytes(of: frame) else {
      return machine.memmap.page(frame).contentTag == tag(pattern, index)
    }
    let words = bytes.bindMemory(to: UInt64.self)
    let offset = UInt64(index) * UInt64(pageSize)
    return words.indices.allSatisfy { words[$0] == pattern.word(at: offset + UInt64($0 * 8)) }
  }

  /// The tag of a page of the pattern; that of zeros is the tag of a fresh page.
  private func tag(_ pattern: Pattern, _ index: Int) -> UInt64 {
    if case .byte(let byte) = pattern { return UInt64(byte) &* 0x0101_0101_0101_0101 }
    return pattern.word(at: UInt64(index) * UInt64(pageSize))
  }
}
