/// Contents of frames: real bytes, or a tag where frames have none.
///
/// A pattern is a 64-bit seed; with bytes it fills the page by a mixing function, so that every word differs.
extension Machine {
  /// The real bytes of a frame, or nil where frames have none.
  ///
  /// Valid while the caller holds a pin or reference on the page.
  public func bytes(of frame: FrameNumber) -> UnsafeMutableRawBufferPointer? {
    store.map { UnsafeMutableRawBufferPointer(start: $0.bytes(frame), count: pageSize) }
  }
}

extension Folios {
  /// The tag of a page of zeros.
  package static let zeroPattern: UInt64 = 0

  /// Fills pages with zeros.
  package func zero(_ frame: FrameNumber, count: Int = 1) {
    if let store = machine.store {
      store.bytes(frame).initializeMemory(as: UInt8.self, repeating: 0, count: count * pageSize)
    }
    for i in 0..<count { memmap.page(frame + i).contentTag = Self.zeroPattern }
  }

  /// Copies pages.
  package func copy(from source: FrameNumber, to target: FrameNumber, count: Int = 1) {
    if let store = machine.store {
      store.bytes(target).copyMemory(from: store.bytes(source), byteCount: count * pageSize)
    }
    for i in 0..<count { memmap.page(target + i).contentTag = memmap.page(source + i).contentTag }
  }

  /// Fills a page with a pattern.
  package func fill(_ frame: FrameNumber, pattern: UInt64) {
    if let store = machine.store {
      let words = store.bytes(frame).assumingMemoryBound(to: UInt64.self)
      for i in 0..<(pageSize / 8) { words[i] = Self.word(pattern, i) }
    }
    memmap.page(frame).contentTag = pattern
  }

  /// Whether a page holds a pattern, in every byte where frames have bytes.
  package func contents(_ frame: FrameNumber, match pattern: UInt64) -> Bool {
    guard let store = machine.store else { return memmap.page(frame).contentTag == pattern }
    let words = store.bytes(frame).assumingMemoryBound(to: UInt64.self)
    for i in 0..<(pageSize / 8) where words[i] != Self.word(pattern, i) { return false }
    return true
  }

  /// A fingerprint of a page's contents.
  package func digest(_ frame: FrameNumber) -> UInt64 {
    guard let store = machine.store else { return memmap.page(frame).contentTag }
    let words = store.bytes(frame).assumingMemoryBound(to: UInt64.self)
    var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    for i in 0..<(pageSize / 8) { digest = (digest ^ words[i]) &* 0x0000_0100_0000_01b3 }
    return digest
  }

  @inline(__always)
  private static func word(_ pattern: UInt64, _ index: Int) -> UInt64 {
    guard pattern != zeroPattern else { return 0 }
    var mixed = pattern &+ UInt64(truncatingIfNeeded: index) &* 0x9e37_79b9_7f4a_7c15
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    return mixed ^ (mixed >> 27)
  }
}
