/// GFP_* flags: what an allocation may do and from where it may be served, with the bits of Linux 6.1.
@frozen
public struct GFPFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt32

  /// Flags with those bits.
  @inlinable @inline(__always)
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// __GFP_DMA: ZONE_DMA.
  public static var dma: GFPFlags { GFPFlags(rawValue: 0x01) }
  /// __GFP_HIGHMEM: together with `movable`, ZONE_MOVABLE; alone it has no effect on x86-64.
  public static var highMem: GFPFlags { GFPFlags(rawValue: 0x02) }
  /// __GFP_DMA32: ZONE_DMA32 and below.
  public static var dma32: GFPFlags { GFPFlags(rawValue: 0x04) }
  /// __GFP_MOVABLE: the page can be migrated.
  public static var movable: GFPFlags { GFPFlags(rawValue: 0x08) }
  /// __GFP_RECLAIMABLE: a cache that can be shrunk.
  public static var reclaimable: GFPFlags { GFPFlags(rawValue: 0x10) }
  /// __GFP_HIGH: half of the min watermark may be used.
  public static var high: GFPFlags { GFPFlags(rawValue: 0x20) }
  /// __GFP_IO: reclaim may start I/O.
  public static var io: GFPFlags { GFPFlags(rawValue: 0x40) }
  /// __GFP_FS: reclaim may call into file systems.
  public static var fs: GFPFlags { GFPFlags(rawValue: 0x80) }
  /// __GFP_ZERO: the contents are zeros.
  public static var zero: GFPFlags { GFPFlags(rawValue: 0x100) }
  /// __GFP_ATOMIC.
  public static var atomicContext: GFPFlags { GFPFlags(rawValue: 0x200) }
  /// __GFP_DIRECT_RECLAIM: the caller may compact and wait.
  public static var directReclaim: GFPFlags { GFPFlags(rawValue: 0x400) }
  /// __GFP_KSWAPD_RECLAIM.
  public static var kswapdReclaim: GFPFlags { GFPFlags(rawValue: 0x800) }
  /// __GFP_NOWARN.
  public static var noWarn: GFPFlags { GFPFlags(rawValue: 0x2000) }
  /// __GFP_RETRY_MAYFAIL.
  public static var retryMayFail: GFPFlags { GFPFlags(rawValue: 0x4000) }
  /// __GFP_NOFAIL: the request may use the reserves before it fails.
  public static var noFail: GFPFlags { GFPFlags(rawValue: 0x8000) }
  /// __GFP_NORETRY: the request fails early.
  public static var noRetry: GFPFlags { GFPFlags(rawValue: 0x1_0000) }
  /// __GFP_COMP: a folio with a head and tails, for order 1 or more.
  public static var compound: GFPFlags { GFPFlags(rawValue: 0x4_0000) }
  /// __GFP_NOMEMALLOC: the request may not use reserves.
  public static var noMemalloc: GFPFlags { GFPFlags(rawValue: 0x8_0000) }
  /// __GFP_HARDWALL.
  public static var hardwall: GFPFlags { GFPFlags(rawValue: 0x10_0000) }
  /// __GFP_THISNODE: only the given node.
  public static var thisNode: GFPFlags { GFPFlags(rawValue: 0x20_0000) }

  /// __GFP_RECLAIM: both reclaim bits.
  public static var reclaim: GFPFlags { GFPFlags(rawValue: 0xc00) }
  /// GFP_KERNEL.
  public static var kernel: GFPFlags { GFPFlags(rawValue: 0xcc0) }
  /// GFP_ATOMIC.
  public static var atomic: GFPFlags { GFPFlags(rawValue: 0xa20) }
  /// GFP_NOWAIT.
  public static var noWait: GFPFlags { GFPFlags(rawValue: 0x800) }
  /// GFP_USER.
  public static var user: GFPFlags { GFPFlags(rawValue: 0x10_0cc0) }
  /// GFP_HIGHUSER.
  public static var highUser: GFPFlags { GFPFlags(rawValue: 0x10_0cc2) }
  /// GFP_HIGHUSER_MOVABLE: pages of user memory and of the page cache.
  public static var highUserMovable: GFPFlags { GFPFlags(rawValue: 0x10_0cca) }
  /// GFP_TRANSHUGE_LIGHT.
  public static var transhugeLight: GFPFlags { GFPFlags(rawValue: 0x1c_20ca) }
  /// GFP_TRANSHUGE.
  public static var transhuge: GFPFlags { GFPFlags(rawValue: 0x1c_24ca) }

  /// The highest zone that may serve the flags, or nil for an illegal combination.
  ///
  /// - Kernel: include/linux/gfp.h:gfp_zone (6.1)
  @inline(__always)
  public var highestZone: ZoneKind? { ZoneKind(rawValue: highestZoneNumber) }

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

extension GFPFlags: CustomStringConvertible {
  /// Composites and single flags by the kernel's names, joined by bars as in its log.
  public var description: String {
    let names: [(GFPFlags, String)] = [
      (.transhuge, "GFP_TRANSHUGE"), (.transhugeLight, "GFP_TRANSHUGE_LIGHT"),
      (.highUserMovable, "GFP_HIGHUSER_MOVABLE"), (.highUser, "GFP_HIGHUSER"), (.user, "GFP_USER"),
      (.kernel, "GFP_KERNEL"), (.atomic, "GFP_ATOMIC"), (.reclaim, "__GFP_RECLAIM"), (.dma, "__GFP_DMA"),
      (.highMem, "__GFP_HIGHMEM"), (.dma32, "__GFP_DMA32"), (.movable, "__GFP_MOVABLE"),
      (.reclaimable, "__GFP_RECLAIMABLE"), (.high, "__GFP_HIGH"), (.io, "__GFP_IO"), (.fs, "__GFP_FS"),
      (.zero, "__GFP_ZERO"), (.atomicContext, "__GFP_ATOMIC"), (.directReclaim, "__GFP_DIRECT_RECLAIM"),
      (.kswapdReclaim, "__GFP_KSWAPD_RECLAIM"), (.noWarn, "__GFP_NOWARN"),
      (.retryMayFail, "__GFP_RETRY_MAYFAIL"), (.noFail, "__GFP_NOFAIL"), (.noRetry, "__GFP_NORETRY"),
      (.compound, "__GFP_COMP"), (.noMemalloc, "__GFP_NOMEMALLOC"), (.hardwall, "__GFP_HARDWALL"),
      (.thisNode, "__GFP_THISNODE"),
    ]
    var left = self
    var parts: [String] = []
    for (flags, name) in names where left.isSuperset(of: flags) {
      parts.append(name)
      left.subtract(flags)
    }
    if !left.isEmpty { parts.append("0x" + String(left.rawValue, radix: 16)) }
    return parts.isEmpty ? "0" : parts.joined(separator: "|")
  }
}
