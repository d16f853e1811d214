/// Which kernel's rules for pinned pages hold: how pins are counted and where long-term pins may stay.
///
/// A value: every rule that differs between versions is a property here, and the engine asks it (spec 1.6, 6).
public struct PlacementPolicy: Hashable, Sendable, CustomStringConvertible {
  /// How pins are counted (spec 1.6).
  public enum Counting: Hashable, Sendable {
    /// A pin is a reference (K5.6).
    case reference
    /// Bias 1024 on every page, large heads too.
    case bias
    /// Exact for compounds of order 2 and more, bias 1024 for the rest (S001, K5.7 to K5.17).
    case exactAboveOrderOne
    /// Exact for every large folio, bias for small pages (K6.1, mainline).
    case exactForLarge
  }

  /// What a long-term pin may not stay on (spec 6.1).
  public enum Forbidden: Hashable, Sendable {
    /// CMA pageblocks only.
    case cma
    /// CMA pageblocks and ZONE_MOVABLE.
    case cmaAndMovable
    /// CMA and ISOLATE pageblocks, and ZONE_MOVABLE.
    case cmaIsolateAndMovable
  }

  /// What happens when a page cannot be moved away (spec 6.3 to 6.7).
  public enum Failure: Hashable, Sendable {
    /// The page stays, pinned where it is.
    case ignored
    /// So many migration failures and isolation failures are tried again; one more is an error.
    case limited(migrations: Int, isolations: Int)
    /// The first migration failure is an error; isolation is tried until a fatal signal.
    case migrationFatal
    /// As `migrationFatal`, but an empty list of isolated pages counts as nothing to do (6.14 for a while).
    case emptyListSucceeds
  }

  /// When the LRU batches are drained before isolation (spec 6.6).
  public enum Drain: Hashable, Sendable {
    /// All processors, at every attempt.
    case always
    /// All processors, once a pass, if a page is not on its list.
    case ifOffList
    /// Never.
    case never
    /// This processor, then all, while a small page has more references than expected; `ownPins` is whether
    /// the caller's own pins are expected.
    case ifUnexpectedReferences(ownPins: Bool)
  }

  /// The name on the command line.
  public let name: String
  /// One sentence for a listing.
  public let summary: String
  /// How pins are counted.
  public private(set) var counting: Counting
  /// What long-term pins may not stay on.
  public private(set) var forbidden: Forbidden
  /// Whether the zero page may be pinned wherever it is.
  public private(set) var zeroPageExempt: Bool
  /// Whether a pin of the zero page counts.
  public private(set) var zeroPageCounted: Bool
  /// What a failure to move a page means.
  public private(set) var failure: Failure
  /// When batches are drained.
  public private(set) var drain: Drain
  /// Whether allocations in a pin scope lose __GFP_MOVABLE; else they only avoid CMA (spec 2.12).
  public let scopeClearsMovable: Bool
  /// Whether the scope also holds in the allocator's fast path and in reclaim.
  public private(set) var scopeInFastPath: Bool
  /// Whether a long-term pin always asks for write access (v4).
  public let longtermForcesWrite: Bool
  /// Whether anonymous pages carry PG_anon_exclusive and read-only pins unshare (spec 5.8).
  public let tracksExclusive: Bool
  /// Whether read-only long-term pins of private mappings get a page of their own (mainline).
  public let unsharesAnyPrivate: Bool
  /// Whether a split that failed for a moment is tried again when a large folio finds no target.
  public let retriesSplit: Bool
  /// Whether a long-term pin of a hugetlb page that may not stay fails instead of moving it away.
  ///
  /// In 6.1 the slow path for hugetlb (mm/hugetlb.c:follow_hugetlb_page) grabs with the fast path's function, which
  /// refuses such pages (mm/gup.c:try_grab_folio); it warns once, and says ENOMEM. Seen on 6.1.192.
  public let refusesHugetlbMoves: Bool
  /// Whether unlocked and remote entry points take FOLL_LONGTERM.
  public let longtermUnlocked: Bool
  /// Whether an overflow of start plus length is EOVERFLOW instead of "no pages".
  public let reportsOverflow: Bool
  /// Whether flags that only entry points set are refused from callers (mainline's one check of all arguments).
  public let refusesInternalFlags: Bool
  /// Whether each entry of a large folio is looked at only if it follows another folio; else by stepping (K5.10).
  public let collectsByStep: Bool

  private init(
    _ name: String, _ summary: String, counting: Counting = .exactForLarge, forbidden: Forbidden,
    zeroPageExempt: Bool = true, zeroPageCounted: Bool = true, failure: Failure, drain: Drain = .ifOffList,
    scopeClearsMovable: Bool = true, scopeInFastPath: Bool = true, longtermForcesWrite: Bool = false,
    tracksExclusive: Bool = false, unsharesAnyPrivate: Bool = false, retriesSplit: Bool = false,
    refusesHugetlbMoves: Bool = false, longtermUnlocked: Bool = false, reportsOverflow: Bool = false,
    refusesInternalFlags: Bool = false,
    collectsByStep: Bool = false
  ) {
    self.name = name
    self.summary = summary
    self.counting = counting
    self.forbidden = forbidden
    self.zeroPageExempt = zeroPageExempt
    self.zeroPageCounted = zeroPageCounted
    self.failure = failure
    self.drain = drain
    self.scopeClearsMovable = scopeClearsMovable
    self.scopeInFastPath = scopeInFastPath
    self.longtermForcesWrite = longtermForcesWrite
    self.tracksExclusive = tracksExclusive
    self.unsharesAnyPrivate = unsharesAnyPrivate
    self.retriesSplit = retriesSplit
    self.refusesHugetlbMoves = refusesHugetlbMoves
    self.longtermUnlocked = longtermUnlocked
    self.reportsOverflow = reportsOverflow
    self.refusesInternalFlags = refusesInternalFlags
    self.collectsByStep = collectsByStep
  }
}

extension PlacementPolicy {
  /// The rules that are left without some safeguards.
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

  /// Before seed 001: no pin tracking, a pin is a reference; CMA is left if it can be.
  public static let linux5_5 = PlacementPolicy(
    "linux-5.5", "no pin tracking: a pin is a reference", counting: .reference, forbidden: .cma,
    zeroPageExempt: false, failure: .ignored, scopeClearsMovable: false, scopeInFastPath: false,
    collectsByStep: true)

  /// Before seed 001's exact count: FOLL_PIN adds 1024 to any page, large heads too.
  public static let pinBias = PlacementPolicy(
    "pin-bias", "FOLL_PIN adds 1024 to any page, compound heads too", counting: .bias, forbidden: .cma,
    zeroPageExempt: false, failure: .ignored, scopeClearsMovable: false, scopeInFastPath: false,
    collectsByStep: true)

  /// Seed 001: an exact count on compound pages of order above 1.
  public static let pinExact = PlacementPolicy(
    "pin-exact", "exact pin count on compound pages of order above 1", counting: .exactAboveOrderOne,
    forbidden: .cma, zeroPageExempt: false, failure: .ignored, scopeClearsMovable: false,
    scopeInFastPath: false, collectsByStep: true)

  /// Before seed 000: long-term pins leave CMA if they can; failures are ignored (spec 6.3).
  public static let linux5_10 = PlacementPolicy(
    "linux-5.10", "long-term pins migrate away from CMA only; failures ignored",
    counting: .exactAboveOrderOne, forbidden: .cma, zeroPageExempt: false, failure: .ignored,
    scopeClearsMovable: false, scopeInFastPath: false, collectsByStep: true)

  /// Seed 002's dispute: away from CMA and ZONE_MOVABLE, failures ignored (spec 6.4).
  public static let movableV3 = PlacementPolicy(
    "movable-v3", "away from CMA and ZONE_MOVABLE; failures ignored", counting: .exactAboveOrderOne,
    forbidden: .cmaAndMovable, zeroPageExempt: false, failure: .ignored, collectsByStep: true)

  /// Seed 000: retries limited to 10 migrations and 100 isolations as posted, failures honoured (spec 6.5).
  public static let movableV4 = PlacementPolicy(
    "movable-v4", "as movable-v3, retries limited, failures honoured", counting: .exactAboveOrderOne,
    forbidden: .cmaAndMovable, zeroPageExempt: false, failure: .limited(migrations: 10, isolations: 100),
    drain: .always, longtermForcesWrite: true)

  /// What was merged (spec 6.6 d).
  public static let linux5_13 = PlacementPolicy(
    "linux-5.13", "first migration failure is an error, isolation is retried until a signal",
    counting: .exactAboveOrderOne, forbidden: .cmaAndMovable, failure: .migrationFatal)

  /// Linux 6.1.192, the default (spec 6.6 e).
  public static let linux6_1 = PlacementPolicy(
    "linux-6.1", "ISOLATE pageblocks forbidden too, collected pages counted, exclusive anonymous pages",
    forbidden: .cmaIsolateAndMovable, zeroPageCounted: false, failure: .migrationFatal,
    drain: .ifUnexpectedReferences(ownPins: false), tracksExclusive: true, retriesSplit: true,
    refusesHugetlbMoves: true)

  /// Mainline (spec 6.7).
  public static let linuxMainline = PlacementPolicy(
    "linux-mainline", "folio based, drains only for unexpected references, unshares read-only pins",
    forbidden: .cmaIsolateAndMovable, zeroPageCounted: false, failure: .migrationFatal,
    drain: .ifUnexpectedReferences(ownPins: true), tracksExclusive: true, unsharesAnyPrivate: true,
    retriesSplit: true, longtermUnlocked: true, reportsOverflow: true,
    refusesInternalFlags: true)

  /// Mainline during 6.14: pages that cannot be isolated stay pinned where they are (spec 6.7).
  public static let linux6_14 = PlacementPolicy(
    "linux-6.14", "mainline with the regression that an empty isolation list means success",
    forbidden: .cmaIsolateAndMovable, zeroPageCounted: false, failure: .emptyListSucceeds,
    drain: .ifUnexpectedReferences(ownPins: true), tracksExclusive: true, unsharesAnyPrivate: true,
    retriesSplit: true, longtermUnlocked: true, reportsOverflow: true,
    refusesInternalFlags: true)

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
