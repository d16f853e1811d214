public import Interleaving

/// Where a processor's allocations look first.
///
/// It is computed for each value of the flags that decide it, when zones gain or lose memory, because every
/// allocation needs it. One word holds it, so that it is read whole. The zone's row and the lists begin at
/// multiples of 128 and 256 bytes, which leaves the low bits of both offsets for the rest.
@frozen @usableFromInline
package struct AllocationRoute: RawRepresentable {
  @usableFromInline package let rawValue: UInt64

  /// Words for each processor: the flags that decide are the lowest five bits.
  @inlinable @_transparent package static var count: Int { 32 }

  @inlinable @inline(__always)
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  /// No zone of the node may serve such a request, or the flags are invalid.
  static var closed: AllocationRoute { AllocationRoute(rawValue: 0) }

  /// From `zone` with its row at an offset in the zones' table, and the processor's lists at one in theirs.
  init(_ zone: ZoneID, at zoneOffset: Int, lists: Int, highest: ZoneKind, type: MigrateType) {
    let upper = UInt64(zoneOffset) | UInt64(highest.number)
    let lower = UInt64(lists) | 1 << 7 | UInt64(zone.kind.number) << 2 | UInt64(type.number)
    rawValue = upper << 32 | lower
  }

  @inline(__always)
  var isOpen: Bool { rawValue & 1 << 7 != 0 }
  /// Where the row of the zone begins.
  @inline(__always)
  var zoneOffset: Int { Int(truncatingIfNeeded: rawValue &>> 32 & ~0x7f) }
  /// Where the processor's lists in that zone begin.
  @inline(__always)
  var listsOffset: Int { Int(truncatingIfNeeded: rawValue & 0xffff_ff00) }
  /// The number of the zone's kind.
  @inline(__always)
  var kind: Int { Int(truncatingIfNeeded: rawValue &>> 2) & 7 }
  /// The number of the highest zone's kind that the request may use.
  @inline(__always)
  var highest: Int { Int(truncatingIfNeeded: rawValue &>> 32) & 7 }
  /// The number of the pageblock type that is wanted: one of the first three.
  @inline(__always)
  var type: UInt8 { UInt8(truncatingIfNeeded: rawValue) & 3 }
}

/// The layout of a processor's routes.
@usableFromInline
package enum AllocationRouteRow: FixedRow {
  @inlinable @_transparent package static var routes: FieldArray<AllocationRoute> {
    FieldArray("of flags", .atomic(writtenUnder: .hotplug), count: AllocationRoute.count)
  }

  @inlinable @_transparent package static var stride: Int { routes.stride(align: 128) }

  @usableFromInline package static var fields: [any RowField] { [routes] }
}

extension Allocator {
  /// Where a processor's requests with those flags look first.
  @inline(__always)
  func route(_ processor: Int, _ gfp: GFPFlags) -> AllocationRoute {
    AllocationRoute(rawValue: routeCell(processor, Int(gfp.rawValue & 0x1f)).load(.relaxed))
  }

  /// Computes anew where each processor's requests look first.
  ///
  /// - Locks: the caller holds the hotplug lock, except at boot.
  func routeAllocations() {
    for processor in 0..<configuration.processors {
      let node = machine.processor(processor).node
      for bits in 0..<AllocationRoute.count {
        let flags = GFPFlags(rawValue: UInt32(bits))
        var route = AllocationRoute.closed
        if let highest = flags.highestZone, let type = flags.migrateType {
          let managed = ZoneKind.allCases.last {
            $0 <= highest && buddy.zone(ZoneID(node: node, kind: $0)).isManaged
          }
          if let managed {
            let id = ZoneID(node: node, kind: managed)
            route = AllocationRoute(
              id, at: id.rawValue * machine.layout.zones.stride,
              lists: (processor * machine.layout.zones.count + id.rawValue) * PerCPUListsRow.stride,
              highest: highest,
              type: type)
          }
        }
        routeCell(processor, bits).store(route.rawValue, .relaxed)
      }
    }
  }

  @inline(__always)
  private func routeCell(_ processor: Int, _ bits: Int) -> AtomicUInt64 {
    Row(machine.routeTable + processor &* AllocationRouteRow.stride).atomic(AllocationRouteRow.routes, bits)
  }
}
