package import Interleaving

/// A CMA area: a handle to its row.
///
/// Names stand in the machine's configuration.
package struct CMAArea {
  static let stride = 64

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// Protects the bitmap.
  package var lock: SpinLock { SpinLock(row.raw, rank: Ranks.cma) }
  /// Order of frames per bit.
  ///
  /// Immutable.
  package var orderPerBit: Int {
    get { Int(row.plain(4, as: UInt32.self)) }
    nonmutating set { row.setPlain(4, UInt32(newValue)) }
  }
  /// First frame, and how many.
  ///
  /// Immutable after start.
  package var base: FrameNumber {
    get { FrameNumber(rawValue: row.plain(8)) }
    nonmutating set { row.setPlain(8, newValue.rawValue) }
  }
  package var count: Int {
    get { Int(row.plain(16, as: UInt64.self)) }
    nonmutating set { row.setPlain(16, UInt64(newValue)) }
  }
  /// First word of its bitmap in the table of bitmaps.
  ///
  /// Immutable.
  package var bitmap: Int {
    get { Int(row.plain(24, as: UInt64.self)) }
    nonmutating set { row.setPlain(24, UInt64(newValue)) }
  }
  /// Pages handed out, and asked for in vain: as in /sys/kernel/mm/cma.
  ///
  /// Atomic.
  package var pagesSucceeded: AtomicUInt64 { row.uint64(32) }
  package var pagesFailed: AtomicUInt64 { row.uint64(40) }
}
