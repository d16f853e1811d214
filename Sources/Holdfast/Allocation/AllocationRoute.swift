import Interleaving

/// Where a processor's allocations look first.
///
/// It is computed for each value of the flags that decide it, when zones gain or lose memory, because every
/// allocation needs it. One word holds it, so that it is read whole. The zone's row and the lists begin at
/// multiples of 128 and 256 bytes, which leaves the low bits of both offsets for the rest.
struct AllocationRoute {
  private let word: UInt64

  /// Words for each processor: the flags that decide are the lowest five bits.
  static let count = 32
  static let stride = count * 8

  @inline(__always)
  init(word: UInt64) { self.word = word }

  /// No zone of the node may serve such a request, or the flags are invalid.
  static var closed: AllocationRoute { AllocationRoute(word: 0) }

  /// From `zone` with its row at an offset in the zones' table, and the processor's lists at one in theirs.
  init(_ zone: ZoneID, at zoneOffset: Int, lists: Int, highest: ZoneKind, type: MigrateType) {
    let upper = UInt64(zoneOffset) | UInt64(highest.number)
    let lower = UInt64(lists) | 1 << 7 | UInt64(zone.kind.number) << 2 | UInt64(type.number)
    word = upper << 32 | lower
  }

  /// The word to store.
  var stored: UInt64 { word }

  @inline(__always)
  var isOpen: Bool { word & 1 << 7 != 0 }
  /// Where the row of the zone begins.
  @inline(__always)
  var zoneOffset: Int { Int(truncatingIfNeeded: word &>> 32 & ~0x7f) }
  /// Where the processor's lists in that zone begin.
  @inline(__always)
  var listsOffset: Int { Int(truncatingIfNeeded: word & 0xffff_ff00) }
  /// The number of the zone's kind.
  @inline(__always)
  var kind: Int { Int(truncatingIfNeeded: word &>> 2) & 7 }
  /// The number of the highest zone's kind that the request may use.
  @inline(__always)
  var highest: Int { Int(truncatingIfNeeded: word &>> 32) & 7 }
  /// The number of the pageblock type that is wanted: one of the first three.
  @inline(__always)
  var type: UInt8 { UInt8(truncatingIfNeeded: word) & 3 }
}

extension Machine {
  /// Where a processor's requests with those flags look first.
  ///
  /// - Locks: written under the hotplug lock; read without a lock.
  @inline(__always)
  func route(_ processor: Int, _ gfp: GFPFlags) -> AllocationRoute {
    AllocationRoute(word: routeCell(processor, Int(gfp.rawValue & 0x1f)).load(.relaxed))
  }

  /// Computes anew where each processor's requests look first.
  ///
  /// - Locks: the caller holds the hotplug lock, except at boot.
  func routeAllocations() {
    for processor in 0..<configuration.processors {
      let node = self.processor(processor).node
      for bits in 0..<AllocationRoute.count {
        let flags = GFPFlags(rawValue: UInt32(bits))
        var route = AllocationRoute.closed
        if let highest = flags.highestZone, let type = flags.migrateType {
          let managed = ZoneKind.allCases.last {
            $0 <= highest && zone(ZoneID(node: node, kind: $0)).isManaged
          }
          if let managed {
            let id = ZoneID(node: node, kind: managed)
            route = AllocationRoute(
              id, at: id.rawValue * layout.zoneStride,
              lists: (processor * layout.zoneCount + id.rawValue) * PerCPULists.stride, highest: highest,
              type: type)
          }
        }
        routeCell(processor, bits).store(route.stored, .relaxed)
      }
    }
  }

  @inline(__always)
  private func routeCell(_ processor: Int, _ bits: Int) -> AtomicUInt64 {
    AtomicUInt64(routeTable + (processor &* AllocationRoute.stride &+ bits &* 8))
  }
}
