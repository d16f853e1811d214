import HoldfastScenario

/// What was seen just before, or just after, a step.
struct StepSight {
  var frames: [UInt64?] = []
  var counters: [String: UInt64] = [:]

  /// The counters whose growth a step's record shows.
  static let counters: Set<String> = [
    "nr_foll_pin_acquired", "nr_foll_pin_released", "pgmigrate_success", "pgmigrate_fail",
    "thp_migration_success",
    "thp_migration_fail", "thp_migration_split", "compact_stall", "compact_success", "compact_fail",
    "cma_alloc_success",
    "cma_alloc_fail", "thp_split_page", "thp_split_page_failed", "thp_collapse_alloc", "ksm_swpin_copy",
    "pswpin",
    "pswpout", "htlb_buddy_alloc_success", "htlb_buddy_alloc_fail",
  ]
}

extension HostCounters {
  /// The counters of /proc/vmstat now, with what every CPU has counted by itself.
  static func live() throws(HostReadError) -> [String: UInt64] {
    // Without the right to do so, the counters are a little behind.
    try? KernelControls.settleCounters()
    return try parse(vmstat: HostFiles.live.text(of: .vmstat), file: "/proc/vmstat")
  }
}
