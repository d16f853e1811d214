package import Interleaving

/// A CMA area: a handle to its row.
///
/// Names stand in the machine's configuration.
package struct CMAArea {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// Protects the bitmap.
  package var lock: SpinLock { row.lock(CMAAreaRow.lock) }
  /// Order of frames per bit.
  package var orderPerBit: Int {
    get { Int(row[CMAAreaRow.orderPerBit]) }
    nonmutating set { row[CMAAreaRow.orderPerBit] = UInt32(newValue) }
  }
  /// First frame, and how many.
  package var base: FrameNumber {
    get { row[CMAAreaRow.base] }
    nonmutating set { row[CMAAreaRow.base] = newValue }
  }
  package var count: Int {
    get { Int(row[CMAAreaRow.count]) }
    nonmutating set { row[CMAAreaRow.count] = UInt64(newValue) }
  }
  /// First word of its bitmap in the table of bitmaps.
  package var bitmap: Int {
    get { Int(row[CMAAreaRow.bitmap]) }
    nonmutating set { row[CMAAreaRow.bitmap] = UInt64(newValue) }
  }
  /// Pages handed out, and asked for in vain: as in /sys/kernel/mm/cma.
  package var pagesSucceeded: AtomicUInt64 { row.atomic(CMAAreaRow.pagesSucceeded) }
  package var pagesFailed: AtomicUInt64 { row.atomic(CMAAreaRow.pagesFailed) }
}

/// The CMA areas.
package struct CMA: Room {
  package let machine: Machine

  package func area(_ index: Int) -> CMAArea { CMAArea(machine.row(machine.layout.cmaAreas, index)) }

  /// A word of the CMA bitmaps.
  func bitmapWord(_ index: Int) -> Row { machine.row(machine.layout.cmaBitmaps, index) }
}

extension Room {
  /// The CMA areas.
  @inline(__always)
  package var cma: CMA { CMA(machine: machine) }
}
