import Interleaving

/// A table of bytes that are read without the lock under which they are written, four to an atomic word.
///
/// Bytes are the word's from the lowest up: the order of x86-64.
///
/// The table begins and ends at a multiple of four bytes.
struct ByteCells {
  private let base: UnsafeMutableRawPointer

  @inline(__always)
  init(_ base: UnsafeMutableRawPointer) { self.base = base }

  /// Reads a byte.
  @inline(__always)
  func load(_ index: Int) -> UInt8 { AtomicUInt32.loadByte(base + index) }

  /// Writes a byte; its neighbours in the word may have other locks.
  func store(_ index: Int, _ value: UInt8) {
    let word = AtomicUInt32(base + (index & ~3))
    let shift = UInt32((index & 3) &* 8)
    var seen = word.load(.relaxed)
    while true {
      let (exchanged, original) = word.compareExchange(
        seen, seen & ~(0xff &<< shift) | UInt32(value) &<< shift)
      if exchanged { return }
      seen = original
    }
  }
}
