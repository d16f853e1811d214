/// Reads `where:` of the subjects that count things.
enum PageFilterReader {
  /// - Parameter ofPin: whether the pages are those of a pin, which can be coherent with the address space.
  static func pages(_ value: Value, ofPin: Bool = false) throws(ScenarioError) -> Subject.PageFilter {
    let fields = try value.named("where").fields(
      [
        "present", "zone", "node", "migratetype", "pinnable", "maybe-pinned", "moved", "dirty", "references",
        "pincount", "mappings", "order", "swapped", "exclusive", "soft-dirty",
      ] + (ofPin ? ["coherent"] : []))
    if fields.names.isEmpty { throw value.error("\"where\" is empty") }
    return Subject.PageFilter(
      present: try fields["present"]?.boolean(), zone: try fields["zone"]?.word(),
      node: try fields["node"]?.integer(0...63), migratetype: try fields["migratetype"]?.word(),
      pinnable: try fields["pinnable"]?.boolean(), maybePinned: try fields["maybe-pinned"]?.boolean(),
      moved: try fields["moved"]?.boolean(), dirty: try fields["dirty"]?.boolean(),
      references: try fields["references"]?.integer(0...Int(Int32.max)),
      pincount: try fields["pincount"]?.integer(0...Int(Int32.max)),
      mappings: try fields["mappings"]?.integer(0...Int(Int32.max)),
      order: try fields["order"]?.integer(0...10), swapped: try fields["swapped"]?.boolean(),
      exclusive: try fields["exclusive"]?.boolean(), softDirty: try fields["soft-dirty"]?.boolean(),
      coherent: ofPin ? try fields["coherent"]?.boolean() : nil)
  }

  static func blocks(_ value: Value) throws(ScenarioError) -> Subject.BlockFilter {
    let fields = try value.named("where").fields(["state", "zone", "free", "pinned"])
    if fields.names.isEmpty { throw value.error("\"where\" is empty") }
    return Subject.BlockFilter(
      state: try fields["state"]?.word(), zone: try fields["zone"]?.word(),
      free: try fields["free"]?.boolean(),
      pinned: try fields["pinned"]?.boolean())
  }
}

/// Reads `a + b - c`.
enum CounterReader {
  /// The counters of /proc/vmstat that a ground may keep.
  ///
  /// A misspelt one would never change, and an expectation of nothing would hold for the wrong reason.
  static let counters: [String] = {
    let zones = ["dma", "dma32", "normal", "movable", "device"]
    let plain = [
      "nr_free_pages", "nr_zone_inactive_anon", "nr_zone_active_anon", "nr_zone_inactive_file",
      "nr_zone_active_file", "nr_zone_unevictable", "nr_mlock", "nr_free_cma", "nr_inactive_anon",
      "nr_active_anon", "nr_inactive_file", "nr_active_file", "nr_unevictable", "nr_isolated_anon",
      "nr_isolated_file", "nr_anon_pages", "nr_mapped", "nr_file_pages", "nr_shmem", "nr_dirty",
      "nr_writeback", "nr_anon_transparent_hugepages", "nr_foll_pin_acquired", "nr_foll_pin_released",
      "pgfree", "pgfault", "pgmajfault", "pgmigrate_success", "pgmigrate_fail", "thp_migration_success",
      "thp_migration_fail", "thp_migration_split", "compact_migrate_scanned", "compact_free_scanned",
      "compact_isolated", "compact_stall", "compact_fail", "compact_success", "htlb_buddy_alloc_success",
      "htlb_buddy_alloc_fail", "cma_alloc_success", "cma_alloc_fail", "thp_fault_alloc", "thp_split_page",
      "thp_split_page_failed", "thp_split_pmd",
    ]
    return plain + ["pgalloc", "allocstall", "pgskip"].flatMap { prefix in zones.map { "\(prefix)_\($0)" } }
  }()

  static func read(_ value: Value) throws(ScenarioError) -> CounterExpression {
    let text = try value.text()
    var terms: [CounterExpression.Term] = []
    var sign: Int64?
    // A sign may come first, and comes between any two counters.
    for word in spaced(text).split(separator: " ") {
      if word == "+" || word == "-" {
        guard sign == nil else { throw value.error("two signs follow each other in \"\(text)\"") }
        sign = word == "+" ? 1 : -1
        continue
      }
      guard sign != nil || terms.isEmpty else { throw value.error("a sign is missing before \"\(word)\"") }
      let name = String(word)
      guard counters.contains(name) else {
        throw value.error(
          "unknown counter \"\(name)\"", suggestion: Spelling.nearest(to: name, among: counters))
      }
      terms.append(CounterExpression.Term(counter: name, sign: sign ?? 1))
      sign = nil
    }
    guard sign == nil, !terms.isEmpty else {
      throw value.error("a counter is missing at the end of \"\(text)\"")
    }
    return CounterExpression(terms: terms)
  }

  private static func spaced(_ text: String) -> String {
    text.map { $0 == "+" || $0 == "-" ? " \($0) " : String($0) }.joined()
  }
}
