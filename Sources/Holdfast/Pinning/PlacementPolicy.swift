/// The rules for pinned pages of one kernel: how pins are counted, and where long-term pins may stay.
///
/// Every rule that differs between kernels is a property, which the engine reads (rule 1.6, rule 6).
public struct PlacementPolicy: Hashable, Sendable, CustomStringConvertible {
  /// How pins are counted (rule 1.6).
  public enum Counting: Hashable, Sendable {
    /// A pin is an ordinary reference (up to 5.6).
    case reference
    /// A pin adds 1024 to the reference count of any folio, large ones too.
    case bias
    /// Exact for compound pages of order 2 and more, 1024 for others (seed 001, 5.7 to 5.17).
    case exactAboveOrderOne
    /// Exact for large folios, 1024 for small pages (6.1, mainline).
    case exactForLarge
  }

  /// Where a long-term pin may not stay (rule 6.1).
  public enum Forbidden: Hashable, Sendable {
    /// CMA pageblocks only.
    case cma
    /// CMA pageblocks and ZONE_MOVABLE.
    case cmaAndMovable
    /// CMA and ISOLATE pageblocks, and ZONE_MOVABLE.
    case cmaIsolateAndMovable
  }

  /// What happens when a page that may not stay cannot be migrated (rules 6.3 to 6.7).
  public enum Failure: Hashable, Sendable {
    /// The page stays pinned where it is.
    case ignored
    /// The pin is tried again after a failure, but only so often for migrations and for isolations.
    case limited(migrations: Int, isolations: Int)
    /// A migration failure is an error; a failed isolation is tried again until a fatal signal.
    case migrationFatal
    /// As `migrationFatal`, but the call succeeds if no page could be isolated (6.14 and 6.15).
    case emptyListSucceeds
  }

  /// When the LRU batches are drained before isolation (rule 6.6).
  public enum Drain: Hashable, Sendable {
    /// All processors, at every attempt.
    case always
    /// All processors, once a pass, if a page is on no LRU list.
    case ifOffList
    /// Never.
    case never
    /// This processor, then all, while a small page has more references than expected; `ownPins` says whether
    /// all references of the caller's pin are expected.
    case ifUnexpectedReferences(ownPins: Bool)
  }

  /// When a write to a private page that is mapped read-only goes to the page itself (rule 5.9).
  public enum Reuse: Hashable, Sendable {
    /// If no other entry maps the page, whatever other references there are (up to 5.8).
    case mappings
    /// If there is no other reference to it at all; huge pages by their mappings still (5.9 to 5.18).
    case references
    /// If it is exclusive, or there is no other reference to it (5.19 on).
    case exclusive
  }

  /// Which pinned pages a fork copies for the child at once (rule 5.11).
  public enum ForkCopy: Hashable, Sendable {
    /// None: the page is shared, and the first who writes to it gets another (up to 5.8).
    case none
    /// All but those of the hugetlb pool (5.9 to 5.11).
    case outsidePools
    /// All.
    case all
  }

  /// How a device gets exclusive access to pages (rule 8.6).
  public enum ExclusiveAccess: Hashable, Sendable {
    /// Not at all (up to 5.13).
    case none
    /// make_device_exclusive_range: every mapping of a page is replaced, and not counted meanwhile (up to 6.14).
    case range
    /// make_device_exclusive: one entry is replaced, and stays a mapping that migration finds (6.15 on).
    case page
  }

  /// The name on the command line.
  public private(set) var name: String
  /// How pins are counted.
  public private(set) var counting: Counting
  /// Where long-term pins may not stay.
  public private(set) var forbidden: Forbidden
  /// What happens when a page cannot be migrated.
  public private(set) var failure: Failure
  /// Whether the zero page may be pinned in any zone.
  public private(set) var zeroPageExempt = false
  /// Whether a pin of the zero page is counted.
  public private(set) var zeroPageCounted = true
  /// When LRU batches are drained.
  public private(set) var drain = Drain.ifOffList
  /// Whether allocations in a pin scope lose __GFP_MOVABLE; else they only avoid CMA (rule 2.12).
  public private(set) var scopeClearsMovable = false
  /// Whether the scope also holds in the allocator's fast path and in reclaim.
  public private(set) var scopeInFastPath = false
  /// Whether a long-term pin always asks for write access (seed 000).
  public private(set) var longtermForcesWrite = false
  /// When a write to a private page that is mapped read-only goes to the page itself.
  public private(set) var reuse = Reuse.mappings { didSet { tracksExclusive = reuse == .exclusive } }
  /// Whether anonymous pages have PG_anon_exclusive, so that read-only pins unshare (rule 5.8).
  ///
  /// It follows from `reuse`, and is stored because the lockless path asks for it.
  public private(set) var tracksExclusive = false
  /// Which pinned pages a fork copies at once.
  public private(set) var forkCopy = ForkCopy.none
  /// Whether a fork that write-protects entries makes lockless pins of the parent give up (write_protect_seq,
  /// 5.11 on).
  public private(set) var announcesFork = false
  /// Whether read-only long-term pins of private mappings get a page of their own (mainline).
  public private(set) var unsharesAnyPrivate = false
  /// Whether a long-term pin of a hugetlb page that may not stay fails instead of moving it away.
  ///
  /// In 6.1 the slow path for hugetlb, mm/hugetlb.c:follow_hugetlb_page (6.1), grabs pages with
  /// mm/gup.c:try_grab_folio (6.1), which refuses them; the call warns once and returns ENOMEM. Observed on
  /// 6.1.192.
  public private(set) var refusesHugetlbMoves = false
  /// Whether unlocked and remote entry points take FOLL_LONGTERM.
  public private(set) var longtermUnlocked = false
  /// How a device gets exclusive access to pages.
  public private(set) var exclusiveAccess = ExclusiveAccess.none
  /// Whether a range that wraps around is EOVERFLOW; else the call gives no pages.
  public private(set) var reportsOverflow = false
  /// Whether flags that only entry points set are refused from callers (mainline's one check of all
  /// arguments).
  public private(set) var refusesInternalFlags = false
  /// Whether the slow path takes all wanted pages of a huge entry at once (6.5 on); else page by page.
  public private(set) var takesHugeEntriesWhole = false
  /// Whether the pages are collected by stepping over whole folios, as if the array held each of them whole
  /// (up to 5.12); else every entry of the array is looked at.
  public private(set) var collectsByStep = false

  /// A policy with another name that differs from this one by `change`.
  private func then(_ name: String, _ change: (inout PlacementPolicy) -> Void = { _ in }) -> PlacementPolicy {
    var policy = self
    policy.name = name
    change(&policy)
    return policy
  }
}

extension PlacementPolicy {
  /// The policy without some safeguards.
  func lacking(_ absent: Set<Safeguard>) -> PlacementPolicy {
    var policy = self
    if absent.contains(.collectedDecides) { policy.failure = .emptyListSucceeds }
    if absent.contains(.failureHonoured) { policy.failure = .ignored }
    if absent.contains(.batchDrain) { policy.drain = .never }
    if absent.contains(.isolateRefusal), forbidden == .cmaIsolateAndMovable {
      policy.forbidden = .cmaAndMovable
    }
    if absent.contains(.scopeInFastPath) { policy.scopeInFastPath = false }
    if absent.contains(.zeroPageExemption) { policy.zeroPageExempt = false }
    if absent.contains(.exactLargeCount), counting != .reference { policy.counting = .bias }
    if absent.contains(.zeroPageUncounted) { policy.zeroPageCounted = true }
    return policy
  }

  /// Before pins were tracked: a pin is an ordinary reference, and long-term pins are migrated out of CMA if
  /// possible.
  public static let linux5_5: PlacementPolicy = {
    var policy = PlacementPolicy(name: "linux-5.5", counting: .reference, forbidden: .cma, failure: .ignored)
    policy.collectsByStep = true
    return policy
  }()

  /// Before seed 001: FOLL_PIN adds 1024 to the reference count of any folio.
  public static let pinBias = linux5_5.then("pin-bias") { $0.counting = .bias }

  /// Seed 001: compound pages of order 2 and more count their pins exactly.
  public static let pinExact = pinBias.then("pin-exact") { $0.counting = .exactAboveOrderOne }

  /// Before seed 000: long-term pins are migrated out of CMA; failures are ignored (rule 6.3).
  public static let linux5_10 = pinExact.then("linux-5.10") {
    $0.reuse = .references
    $0.forkCopy = .outsidePools
  }

  /// What seed 002 disputes: out of CMA and ZONE_MOVABLE; failures are ignored (rule 6.4).
  public static let movableV3 = linux5_10.then("movable-v3") {
    $0.forbidden = .cmaAndMovable
    $0.scopeClearsMovable = true
    $0.scopeInFastPath = true
  }

  /// Seed 000 as posted: at most 10 migrations and 100 isolations are tried again, then the call fails (rule
  /// 6.5).
  public static let movableV4 = movableV3.then("movable-v4") {
    $0.failure = .limited(migrations: 10, isolations: 100)
    $0.zeroPageExempt = true
    $0.drain = .always
    $0.longtermForcesWrite = true
    $0.collectsByStep = false
  }

  /// What was merged: a migration failure is an error, a failed isolation is tried again (rule 6.6).
  public static let linux5_13 = movableV4.then("linux-5.13") {
    $0.failure = .migrationFatal
    $0.drain = .ifOffList
    $0.longtermForcesWrite = false
    $0.forkCopy = .all
    $0.announcesFork = true
    // Merged one release later, before anything else that the next policy has.
    $0.exclusiveAccess = .range
  }

  /// Linux 6.1.192, the default (rule 6.6).
  public static let linux6_1 = linux5_13.then("linux-6.1") {
    $0.counting = .exactForLarge
    $0.forbidden = .cmaIsolateAndMovable
    $0.zeroPageCounted = false
    $0.drain = .ifUnexpectedReferences(ownPins: false)
    $0.reuse = .exclusive
    $0.refusesHugetlbMoves = true
  }

  /// Mainline (rule 6.7).
  public static let linuxMainline = linux6_1.then("linux-mainline") {
    $0.drain = .ifUnexpectedReferences(ownPins: true)
    $0.unsharesAnyPrivate = true
    $0.refusesHugetlbMoves = false
    $0.longtermUnlocked = true
    $0.takesHugeEntriesWhole = true
    $0.reportsOverflow = true
    $0.refusesInternalFlags = true
    $0.exclusiveAccess = .page
  }

  /// Mainline from 6.14 to 6.15: pages that cannot be isolated stay pinned where they are (rule 6.7).
  public static let linux6_14 = linuxMainline.then("linux-6.14") {
    $0.failure = .emptyListSucceeds
    $0.exclusiveAccess = .range
  }

  /// Every policy, oldest first.
  public static let all: [PlacementPolicy] = [
    linux5_5, pinBias, pinExact, linux5_10, movableV3, movableV4, linux5_13, linux6_1, linux6_14,
    linuxMainline,
  ]

  /// The name.
  public var description: String { name }

  /// The policy of that name, or nil.
  public init?(name: String) {
    guard let policy = Self.all.first(where: { $0.name == name }) else { return nil }
    self = policy
  }
}
