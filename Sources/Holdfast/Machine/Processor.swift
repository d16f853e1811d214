package import Interleaving

/// One processor: its LRU batch, its place in lockless walks, and its counters.
///
/// One thread at a time runs on a processor; its counters are written by that thread only and summed by
/// whoever reads them.
package struct Processor {
  /// Folios that a batch holds (spec 7.7).
  package static let batchCapacity = 15

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  static func stride(nodes: Int) -> Int {
    let bytes = 128 + EventCounter.allCases.count * 8 + nodes * nodeStride
    return (bytes + 127) / 128 * 128
  }

  private static let nodeStride =
    (NodeCounter.allCases.count + ZoneKind.allCases.count * LRUList.allCases.count) * 8

  /// Lockless walks under way on this processor: page tables are not freed meanwhile.
  ///
  /// Atomic.
  @inline(__always)
  package var walkers: AtomicUInt32 { row.uint32(0) }
  /// The node that the processor belongs to.
  ///
  /// Immutable.
  package var node: Int {
    get { Int(row.plain(8, as: UInt32.self)) }
    nonmutating set { row.setPlain(8, UInt32(newValue)) }
  }

  /// Protects the batch.
  ///
  /// Another processor takes it to drain.
  package var batchLock: SpinLock { SpinLock(row.raw + 12, rank: Ranks.lruBatch) }
  /// Folios in the batch.
  ///
  /// Protected by `batchLock`.
  package var batchCount: Int {
    get { Int(row.plain(16, as: UInt32.self)) }
    nonmutating set { row.setPlain(16, UInt32(newValue)) }
  }
  /// A folio of the batch.
  ///
  /// Protected by `batchLock`.
  package func batchEntry(_ index: Int) -> FrameNumber {
    FrameNumber(rawValue: row.plain(20 + index * 4))
  }
  package func setBatchEntry(_ index: Int, _ frame: FrameNumber) {
    row.setPlain(20 + index * 4, frame.rawValue)
  }

  /// Allocations and frees made here: this processor's part of the logical clock.
  ///
  /// Written by the thread on it.
  @inline(__always)
  var calls: AtomicUInt64 { row.uint64(80) }

  /// An event count.
  ///
  /// Written by the thread on this processor.
  @inline(__always)
  package func event(_ counter: EventCounter) -> AtomicUInt64 { row.uint64(128 + counter.rawValue * 8) }

  /// The count of allocations from zones of a kind, given its number; device memory counts as normal.
  @inline(__always)
  func allocations(fromKind number: Int) -> AtomicUInt64 {
    // In the order of the kinds.
    row.uint64(128 &+ (number < ZoneKind.device.number ? number : ZoneKind.normal.number) &* 8)
  }

  /// This processor's part of a node's count; the sum over processors is the count, modulo 2^64.
  @inline(__always)
  package func count(_ counter: NodeCounter, node: Int) -> AtomicUInt64 {
    row.uint64(
      128 &+ EventCounter.allCases.count &* 8 &+ node &* Self.nodeStride &+ counter.rawValue &* 8)
  }

  /// This processor's part of a zone's count of an LRU list.
  package func count(_ list: LRUList, zone: ZoneID) -> AtomicUInt64 {
    let kind = zone.kind.number * LRUList.allCases.count + list.rawValue
    return row.uint64(
      128 + EventCounter.allCases.count * 8 + zone.node * Self.nodeStride
        + (NodeCounter.allCases.count + kind) * 8)
  }
}
