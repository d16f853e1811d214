/// A named condition that is checked after each step of an explored execution which touches what it is about.
///
/// It holds between any two steps, other calls in progress or not, unless `moment` says otherwise. The checks are
/// those of `StepChecks`.
public struct StepInvariant: Sendable, Hashable {
  /// A short name, as `holdfast invariants` and findings show it.
  public let name: String
  /// Its numbers in chapter 12 of the rules, and the properties of the bug catalogue.
  public let source: String
  /// One line that says what holds.
  public let statement: String
  /// When it holds.
  public let moment: String
}

extension StepInvariant {
  static let countsNotNegative = StepInvariant(
    name: "counts-not-negative", source: "1, 12; P4",
    statement: "no count is negative, but for references of a small page with as many pins as fit",
    moment: "always")
  static let freeNotInUse = StepInvariant(
    name: "free-not-in-use", source: "2, 3, 59; P1",
    statement:
      "a page in a free chunk has no references, mappings or pins, and one with references is in none",
    moment: "always")
  static let mappingsAreReferences = StepInvariant(
    name: "mappings-are-references", source: "9; P4",
    statement: "a folio has at most as many mappings as references",
    moment: "always")
  static let pinsAreReferences = StepInvariant(
    name: "pins-are-references", source: "12; P4",
    statement:
      "a folio counts at most as many pins as references, and one that does not count exactly counts none",
    moment: "always")
  static let listedIsReferenced = StepInvariant(
    name: "listed-is-referenced", source: "34",
    statement: "flags of a page with PG_lru and no reference are not changed",
    moment: "always")
  static let exclusiveOnce = StepInvariant(
    name: "exclusive-once", source: "38; P2, P3", statement: "an exclusive anonymous page is mapped once",
    moment: "always")
  static let writableIsExclusive = StepInvariant(
    name: "writable-is-exclusive", source: "22, 37; P2, P3",
    statement: "an anonymous page that is mapped writable is exclusive (5.19 on)", moment: "always")
  static let migratingIsLocked = StepInvariant(
    name: "migrating-is-locked", source: "35", statement: "a page that a migration entry names is locked",
    moment: "always")
  static let mappedIsAllocated = StepInvariant(
    name: "mapped-is-allocated", source: "2, 59; P1",
    statement: "a page that an entry maps has a reference, and is in use",
    moment: "always")
  static let walkedIsLive = StepInvariant(
    name: "walked-is-live", source: "P1",
    statement: "entries of a table page that was freed are not read or written",
    moment: "always")
  static let tablePlacement = StepInvariant(
    name: "table-placement", source: "43, 48",
    statement: "page tables are neither in ZONE_MOVABLE nor in CMA",
    moment: "always")
  static let scopePlacement = StepInvariant(
    name: "scope-placement", source: "27, 28",
    statement:
      "what is allocated in a pin scope is neither in ZONE_MOVABLE nor in CMA (policies whose scope says so)",
    moment: "always")
  static let offlineIsUnused = StepInvariant(
    name: "offline-is-unused", source: "41; P12",
    statement: "no page of a block that is offline has a reference or a mapping",
    moment: "always")
  static let zeroPageIsZero = StepInvariant(
    name: "zero-page-is-zero", source: "P11", statement: "the zero page holds zeros", moment: "always")
  static let pinnedIsHeld = StepInvariant(
    name: "pinned-is-held", source: "10, 11, 13; P1, P4",
    statement:
      "a page has the references of its mappings, gets and pins in the ledger, and its folio their pins",
    moment: "while no step releases pins")
  static let pinCoherence = StepInvariant(
    name: "pin-coherence", source: "21, 22; P2",
    statement:
      "where the pinned address space maps the address, it maps the pinned page (read-only pins: 5.19 on)",
    moment: "while no step releases pins, in scenarios that unmap or discard nothing")
  static let longtermPlacement = StepInvariant(
    name: "longterm-placement", source: "17, 18, 43; P5",
    statement:
      "no long-term pin is in CMA, or in ZONE_MOVABLE where the policy forbids it, failures ignored or not",
    moment: "always, from the record on; a block may be isolated afterwards")
  static let exclusiveIsAlone = StepInvariant(
    name: "exclusive-is-alone", source: "53; P1, P8",
    statement: "a page that a device has exclusively is allocated, and no entry maps it", moment: "always")
  static let freeListsWhole = StepInvariant(
    name: "free-lists-whole", source: "3, 5, 6, 7",
    statement:
      "free lists are whole, of the right type, and NR_FREE_PAGES, NR_FREE_CMA_PAGES and isolation counts agree",
    moment: "when a zone's lock is released")
  static let areaBlocksStay = StepInvariant(
    name: "area-blocks-stay", source: "48", statement: "pageblocks of a CMA area are CMA or ISOLATE",
    moment: "when a zone's lock is released")
  static let perCPUListsWhole = StepInvariant(
    name: "per-cpu-lists-whole", source: "3, 4",
    statement: "lists of a processor are whole, counted, and hold free chunks",
    moment: "when their lock is released")
  static let lruListsWhole = StepInvariant(
    name: "lru-lists-whole", source: "33, 34",
    statement: "LRU lists are whole and counted, and a page with PG_lru is on exactly one",
    moment: "when a node's LRU lock is released")
  static let zoneCountsOrdered = StepInvariant(
    name: "zone-counts-ordered", source: "45, 46",
    statement: "managed is at most present, present at most spanned, CMA at most managed; watermarks ascend",
    moment: "while the hotplug lock is free")

  /// Every such invariant.
  public static let all: [StepInvariant] = [
    countsNotNegative, freeNotInUse, mappingsAreReferences, pinsAreReferences, listedIsReferenced,
    exclusiveOnce,
    writableIsExclusive, migratingIsLocked, mappedIsAllocated, walkedIsLive, tablePlacement, scopePlacement,
    offlineIsUnused, zeroPageIsZero, pinnedIsHeld, pinCoherence, longtermPlacement,
    exclusiveIsAlone, freeListsWhole,
    areaBlocksStay, perCPUListsWhole, lruListsWhole, zoneCountsOrdered,
  ]

  /// A breach of this invariant.
  @inline(never)
  func broken(_ what: String) -> InvariantViolation { InvariantViolation(invariant: name, what: what) }
}
