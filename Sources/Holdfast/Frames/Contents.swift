/// Contents of frames: real bytes, or a tag where frames have none.
///
/// A pattern is a 64-bit seed; with bytes it fills the page by a mixing function, so that every word differs.
extension Machine {
  /// The tag of a page of zeros.
  package static let zeroPattern: UInt64 = 0

  /// Fills pages with zeros.
  func zeroContents(_ frame: FrameNumber, count: Int = 1) {
    if let store {
      store.bytes(frame).initializeMemory(as: UInt8.self, repeating: 0, count: count * pageSize)
    }
    for i in 0..<count { page(frame + i).contentTag = Self.zeroPattern }
  }

  /// Copies pages.
  func copyContents(from source: FrameNumber, to target: FrameNumber, count: Int = 1) {
    if let store { store.bytes(target).copyMemory(from: store.bytes(source), byteCount: count * pageSize) }
    for i in 0..<count { page(target + i).contentTag = page(source + i).contentTag }
  }

  /// Fills a page with a pattern.
  package func fillContents(_ frame: FrameNumber, pattern: UInt64) {
    if let store {
      let words = store.bytes(frame).assumingMemoryBound(to: UInt64.self)
      for i in 0..<(pageSize / 8) { words[i] = Self.word(pattern, i) }
    }
    page(frame).contentTag = pattern
  }

  /// Whether a page holds a pattern, in every byte where frames have bytes.
  package func contents(_ frame: FrameNumber, match pattern: UInt64) -> Bool {
    guard let store else { return page(frame).contentTag == pattern }
    let words = store.bytes(frame).assumingMemoryBound(to: UInt64.self)
    for i in 0..<(pageSize / 8) where words[i] != Self.word(pattern, i) { return false }
    return true
  }

  /// A fingerprint of a page's contents.
  package func contentDigest(_ frame: FrameNumber) -> UInt64 {
    guard let store else { return page(frame).contentTag }
    let words = store.bytes(frame).assumingMemoryBound(to: UInt64.self)
    var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    for i in 0..<(pageSize / 8) { digest = (digest ^ words[i]) &* 0x0000_0100_0000_01b3 }
    return digest
  }

  /// The real bytes of a frame, or nil where frames have none.
  ///
  /// Valid while the caller holds a pin or reference on the page.
  public func bytes(of frame: FrameNumber) -> UnsafeMutableRawBufferPointer? {
    store.map { UnsafeMutableRawBufferPointer(start: $0.bytes(frame), count: pageSize) }
  }

  @inline(__always)
  private static func word(_ pattern: UInt64, _ index: Int) -> UInt64 {
    guard pattern != zeroPattern else { return 0 }
    var mixed = pattern &+ UInt64(truncatingIfNeeded: index) &* 0x9e37_79b9_7f4a_7c15
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    return mixed ^ (mixed >> 27)
  }
}
