/// Event counters of /proc/vmstat that the machine keeps, by the kernel's names.
public enum EventCounter: Int, CaseIterable, Hashable, Sendable {
  case pgallocDMA, pgallocDMA32, pgallocNormal, pgallocMovable
  case pgfree, pgfault, pgmajfault
  case pgmigrateSuccess, pgmigrateFail
  case thpMigrationSuccess, thpMigrationFail, thpMigrationSplit
  case compactMigrateScanned, compactFreeScanned, compactIsolated
  case compactStall, compactFail, compactSuccess
  case htlbAllocSuccess, htlbAllocFail
  case cmaAllocSuccess, cmaAllocFail
  case thpFaultAlloc, thpFaultFallback, thpSplitPMD
  /// Not in Linux: drains of one processor's batch, and of every processor's.
  case lruDrainLocal, lruDrainAll
  /// Not in Linux: passes of a long-term pin that began again, and of an offline loop.
  case longtermRetries, offlinePasses
  /// Not in Linux: folios that could not be taken off their list.
  case isolationFailures

  /// How many there are.
  @inlinable @_transparent package static var count: Int { 30 }

  /// The name in /proc/vmstat, or nil for one of our own.
  public var kernelName: String? {
    switch self {
    case .pgallocDMA: "pgalloc_dma"
    case .pgallocDMA32: "pgalloc_dma32"
    case .pgallocNormal: "pgalloc_normal"
    case .pgallocMovable: "pgalloc_movable"
    case .pgfree: "pgfree"
    case .pgfault: "pgfault"
    case .pgmajfault: "pgmajfault"
    case .pgmigrateSuccess: "pgmigrate_success"
    case .pgmigrateFail: "pgmigrate_fail"
    case .thpMigrationSuccess: "thp_migration_success"
    case .thpMigrationFail: "thp_migration_fail"
    case .thpMigrationSplit: "thp_migration_split"
    case .compactMigrateScanned: "compact_migrate_scanned"
    case .compactFreeScanned: "compact_free_scanned"
    case .compactIsolated: "compact_isolated"
    case .compactStall: "compact_stall"
    case .compactFail: "compact_fail"
    case .compactSuccess: "compact_success"
    case .htlbAllocSuccess: "htlb_buddy_alloc_success"
    case .htlbAllocFail: "htlb_buddy_alloc_fail"
    case .cmaAllocSuccess: "cma_alloc_success"
    case .cmaAllocFail: "cma_alloc_fail"
    case .thpFaultAlloc: "thp_fault_alloc"
    case .thpFaultFallback: "thp_fault_fallback"
    case .thpSplitPMD: "thp_split_pmd"
    case .lruDrainLocal, .lruDrainAll, .longtermRetries, .offlinePasses, .isolationFailures: nil
    }
  }
}

/// Per-node counters of /proc/vmstat that the machine keeps.
public enum NodeCounter: Int, CaseIterable, Hashable, Sendable {
  case inactiveAnon, activeAnon, inactiveFile, activeFile, unevictable
  case isolatedAnon, isolatedFile
  case anonPages, mapped, filePages, shmem, dirty, writeback, anonTransparentHugePages
  case follPinAcquired, follPinReleased
  case slabUnreclaimable, pageTablePages

  /// How many there are.
  @inlinable @_transparent package static var count: Int { 18 }

  /// The name in /proc/vmstat.
  public var kernelName: String {
    switch self {
    case .inactiveAnon: "nr_inactive_anon"
    case .activeAnon: "nr_active_anon"
    case .inactiveFile: "nr_inactive_file"
    case .activeFile: "nr_active_file"
    case .unevictable: "nr_unevictable"
    case .isolatedAnon: "nr_isolated_anon"
    case .isolatedFile: "nr_isolated_file"
    case .anonPages: "nr_anon_pages"
    case .mapped: "nr_mapped"
    case .filePages: "nr_file_pages"
    case .shmem: "nr_shmem"
    case .dirty: "nr_dirty"
    case .writeback: "nr_writeback"
    case .anonTransparentHugePages: "nr_anon_transparent_hugepages"
    case .follPinAcquired: "nr_foll_pin_acquired"
    case .follPinReleased: "nr_foll_pin_released"
    case .slabUnreclaimable: "nr_slab_unreclaimable"
    case .pageTablePages: "nr_page_table_pages"
    }
  }
}

/// The LRU lists of a node, in the order of the kernel's enumeration.
public enum LRUList: Int, CaseIterable, Hashable, Sendable {
  case inactiveAnon, activeAnon, inactiveFile, activeFile, unevictable

  /// How many lists there are.
  @inlinable @_transparent package static var count: Int { 5 }

  /// The node counter that counts the pages on the list.
  public var counter: NodeCounter { NodeCounter(rawValue: rawValue) ?? .unevictable }

  /// The name of the zone's own count of the same pages.
  public var zoneCounterName: String {
    [
      "nr_zone_inactive_anon", "nr_zone_active_anon", "nr_zone_inactive_file", "nr_zone_active_file",
      "nr_zone_unevictable",
    ][rawValue]
  }
}
