/// PG_* bits of a page, with the numbers of Linux 6.1: include/linux/page-flags.h.
@frozen
public struct PageFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt64

  /// Flags with those bits.
  @inlinable @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// PG_locked: the page lock.
  public static var locked: PageFlags { PageFlags(rawValue: 1 << 0) }
  /// PG_referenced.
  public static var referenced: PageFlags { PageFlags(rawValue: 1 << 1) }
  /// PG_uptodate.
  public static var uptodate: PageFlags { PageFlags(rawValue: 1 << 2) }
  /// PG_dirty.
  public static var dirty: PageFlags { PageFlags(rawValue: 1 << 3) }
  /// PG_lru: on a list; clearing it is the isolation token.
  public static var lru: PageFlags { PageFlags(rawValue: 1 << 4) }
  /// PG_active.
  public static var active: PageFlags { PageFlags(rawValue: 1 << 5) }
  /// PG_workingset.
  public static var workingset: PageFlags { PageFlags(rawValue: 1 << 6) }
  /// PG_slab: never pinnable, never movable.
  public static var slab: PageFlags { PageFlags(rawValue: 1 << 9) }
  /// PG_owner_priv_1, PG_swapcache for swap-backed pages.
  public static var ownerPrivate: PageFlags { PageFlags(rawValue: 1 << 10) }
  /// PG_reserved: boot allocations and holes.
  public static var reserved: PageFlags { PageFlags(rawValue: 1 << 12) }
  /// PG_private: one more expected reference of a file page.
  public static var hasPrivate: PageFlags { PageFlags(rawValue: 1 << 13) }
  /// PG_writeback.
  public static var writeback: PageFlags { PageFlags(rawValue: 1 << 15) }
  /// PG_head: the head of a large folio.
  public static var head: PageFlags { PageFlags(rawValue: 1 << 16) }
  /// PG_mappedtodisk, PG_anon_exclusive for anonymous pages.
  public static var anonExclusive: PageFlags { PageFlags(rawValue: 1 << 17) }
  /// PG_reclaim, PG_isolated for movable pages that are not on an LRU list.
  public static var reclaim: PageFlags { PageFlags(rawValue: 1 << 18) }
  /// PG_swapbacked: anonymous or shared memory.
  public static var swapBacked: PageFlags { PageFlags(rawValue: 1 << 19) }
  /// PG_unevictable.
  public static var unevictable: PageFlags { PageFlags(rawValue: 1 << 20) }
  /// PG_mlocked.
  public static var mlocked: PageFlags { PageFlags(rawValue: 1 << 21) }
  /// PG_hwpoison.
  public static var hwpoison: PageFlags { PageFlags(rawValue: 1 << 23) }

  /// The bits with PG_* names; above them are the last processor, the zone and the node.
  package static let named: UInt64 = (1 << 27) - 1
  @inlinable @_transparent package static var zoneShift: UInt64 { 51 }
  @inlinable @_transparent package static var nodeShift: UInt64 { 54 }

  /// The node in a flag word.
  @inlinable @_transparent
  package static func node(of word: UInt64) -> Int {
    Int(truncatingIfNeeded: (word &>> nodeShift) & 0x3ff)
  }

  /// The number of the zone's kind in a flag word.
  @inlinable @_transparent
  package static func zoneKind(of word: UInt64) -> Int {
    Int(truncatingIfNeeded: (word &>> zoneShift) & 7)
  }

  /// The zone in a flag word: as `ZoneID(node:kind:)`, without the detour over the kind.
  @inlinable @_transparent
  package static func zone(of word: UInt64) -> ZoneID {
    ZoneID(rawValue: node(of: word) &* ZoneKind.count &+ zoneKind(of: word))
  }

  /// The last-cpupid field with nothing recorded: all ones, as a kernel without NUMA balancing shows it.
  package static let lastProcessor: UInt64 = 0x1f_ffff << 30

  /// Names in bit order, as a page dump prints them.
  package static let names = [
    "locked", "referenced", "uptodate", "dirty", "lru", "active", "workingset", "waiters", "error", "slab",
    "owner_priv_1", "arch_1", "reserved", "private", "private_2", "writeback", "head", "mappedtodisk",
    "reclaim", "swapbacked", "unevictable", "mlocked", "uncached", "hwpoison", "young", "idle", "arch_2",
  ]

  /// Flags that are cleared when a page is freed, so that a new page begins without them.
  package static let clearedAtFree: PageFlags = [
    .locked, .referenced, .uptodate, .dirty, .active, .workingset, .slab, .ownerPrivate, .hasPrivate,
    .writeback, .head, .anonExclusive, .reclaim, .swapBacked, .unevictable, .mlocked,
  ]
}

/// The state of a frame, beside its flags.
///
/// `buddy`, `offline` and `table` are page types of Linux (PG_buddy, PG_offline, PG_table). `absent` and
/// `perCPU` are this engine's own, for the recount.
package enum PageType: UInt8 {
  /// No memory, or metadata not yet made.
  case absent
  /// Allocated, or in no special state.
  case none
  /// Head of a free chunk in the buddy lists.
  case buddy
  /// On a per-CPU free list (head of the chunk).
  case perCPU
  /// Offline, or taken away by a driver (PG_offline).
  case offline
  /// Holds page-table entries.
  case table
}
