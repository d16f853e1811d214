/// What the engine reads from an allocation's flags.
extension GFPFlags {
  /// The highest zone that may serve the flags, or nil for an illegal combination.
  ///
  /// - Kernel: include/linux/gfp.h:gfp_zone (6.1)
  @inline(__always)
  public var highestZone: ZoneKind? { ZoneKind(number: highestZoneNumber) }

  /// The number of `highestZone`, or 15.
  @inline(__always)
  var highestZoneNumber: Int {
    // Four bits for each value of the zone bits; 15 is illegal: any two of DMA, DMA32 and HIGHMEM.
    let table: UInt64 = 0xfff1_f302_fff1_f202
    return Int(truncatingIfNeeded: table &>> UInt64((rawValue & 0xf) &* 4)) & 0xf
  }

  /// The type of pageblock wanted, or nil for `movable` together with `reclaimable`.
  ///
  /// - Kernel: include/linux/gfp.h:gfp_migratetype (6.1)
  @inline(__always)
  public var migrateType: MigrateType? {
    switch rawValue & 0x18 {
    case 0: .unmovable
    case 0x08: .movable
    case 0x10: .reclaimable
    default: nil
    }
  }

  /// The flags that are left in an allocation scope.
  ///
  /// - Parameter clearsMovable: whether the pin scope removes `movable`; before 5.13 it only excluded CMA.
  /// - Kernel: include/linux/sched/mm.h:current_gfp_context (6.1)
  @inline(__always)
  func limited(by scope: AllocationScope, clearsMovable: Bool) -> GFPFlags {
    if scope.isEmpty { return self }
    var flags = self
    if clearsMovable && scope.contains(.pin) { flags.subtract(.movable) }
    if scope.contains(.noIO) {
      flags.subtract([.io, .fs])
    } else if scope.contains(.noFS) {
      flags.subtract(.fs)
    }
    return flags
  }
}
