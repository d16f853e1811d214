package import Interleaving

/// One processor: its LRU batch, its place in lockless walks, and its counters.
///
/// One thread at a time runs on a processor; its counters are written by that thread only, and a reader
/// sums those of all processors.
@usableFromInline
package struct Processor {
  /// Folios that a batch holds (rule 7.7).
  @inlinable @_transparent package static var batchCapacity: Int { 15 }

  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// Lockless walks under way on this processor: page tables are not freed meanwhile.
  @inline(__always)
  package var walkers: AtomicUInt32 { row.atomic(ProcessorRow.walkers) }
  /// The node that the processor belongs to.
  package var node: Int {
    get { Int(row[ProcessorRow.node]) }
    nonmutating set { row[ProcessorRow.node] = UInt32(newValue) }
  }

  /// Protects the batch.
  ///
  /// Another processor takes it to drain.
  package var batchLock: SpinLock { row.lock(ProcessorRow.batchLock) }
  /// Folios in the batch.
  package var batchCount: Int {
    get { Int(row[ProcessorRow.batchCount]) }
    nonmutating set { row[ProcessorRow.batchCount] = UInt32(newValue) }
  }
  /// A folio of the batch.
  package func batchEntry(_ index: Int) -> FrameNumber { row[ProcessorRow.batch, index] }
  package func setBatchEntry(_ index: Int, _ frame: FrameNumber) {
    row[ProcessorRow.batch, index] = frame
  }

  /// Allocations and frees made here: this processor's part of the logical clock.
  ///
  /// Written by the thread on it.
  @inline(__always)
  var calls: AtomicUInt64 { row.atomic(ProcessorRow.calls) }

  /// An event count.
  ///
  /// Written by the thread on this processor.
  @inline(__always)
  package func event(_ counter: EventCounter) -> AtomicUInt64 {
    row.atomic(ProcessorRow.events, counter.rawValue)
  }

  /// The count of allocations from zones of a kind, given its number; device memory counts as normal.
  @inline(__always)
  func allocations(fromKind number: Int) -> AtomicUInt64 {
    // In the order of the kinds.
    row.atomic(
      ProcessorRow.events, number < ZoneKind.device.number ? number : ZoneKind.normal.number)
  }

  /// This processor's part of a node's count; the sum over processors is the count, modulo 2^64.
  @inline(__always)
  package func count(_ counter: NodeCounter, node: Int) -> AtomicUInt64 {
    row.row(ProcessorRow.nodes, node).atomic(NodeCountersRow.counters, counter.rawValue)
  }

  /// This processor's part of a zone's count of an LRU list.
  package func count(_ list: LRUList, zone: ZoneID) -> AtomicUInt64 {
    row.row(ProcessorRow.nodes, zone.node).row(NodeCountersRow.lists, zone.kind.number)
      .atomic(ListCountsRow.counts, list.rawValue)
  }
}
