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
  public private(set) var name: String
  /// How pins are counted.
  public private(set) var counting: Counting
  /// What long-term pins may not stay on.
  public private(set) var forbidden: Forbidden
  /// What a failure to move a page means.
  public private(set) var failure: Failure
  /// Whether the zero page may be pinned wherever it is.
  public private(set) var zeroPageExempt = false
  /// Whether a pin of the zero page counts.
  public private(set) var zeroPageCounted = true
  /// When batches are drained.
  public private(set) var drain = Drain.ifOffList
  /// Whether allocations in a pin scope lose __GFP_MOVABLE; else they only avoid CMA (spec 2.12).
  public private(set) var scopeClearsMovable = false
  /// Whether the scope also holds in the allocator's fast path and in reclaim.
  public private(set) var scopeInFastPath = false
  /// Whether a long-term pin always asks for write access (v4).
  public private(set) var longtermForcesWrite = false
  /// Whether anonymous pages carry PG_anon_exclusive and read-only pins unshare (spec 5.8).
  public private(set) var tracksExclusive = false
  /// Whether read-only long-term pins of private mappings get a page of their own (mainline).
  public private(set) var unsharesAnyPrivate = false
  /// Whether a long-term pin of a hugetlb page that may not stay fails instead of moving it away.
  ///
  /// In 6.1 the slow path for hugetlb (mm/hugetlb.c:follow_hugetlb_page) grabs with the fast path's function, which
  /// refuses such pages (mm/gup.c:try_grab_folio); it warns once, and says ENOMEM. Seen on 6.1.192.
  public private(set) var refusesHugetlbMoves = false
  /// Whether unlocked and remote entry points take FOLL_LONGTERM.
  public private(set) var longtermUnlocked = false
  /// Whether an overflow of start plus length is EOVERFLOW instead of "no pages".
  public private(set) var reportsOverflow = false
  /// Whether flags that only entry points set are refused from callers (mainline's one check of all arguments).
  public private(set) var refusesInternalFlags = false
  /// Whether a look over the pages goes from folio to folio as if the array held each whole (up to 5.12); else it looks
  /// at every entry, and passes over one that is of the same folio as the entry before.
  public private(set) var collectsByStep = false

  /// The same rules but for what `change` says: how one kernel follows from the one before it.
  private func then(_ name: String, _ change: (inout PlacementPolicy) -> Void = { _ in }) -> PlacementPolicy {
    var policy = self
    policy.name = name
    change(&policy)
    return policy
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
  public static let linux5_5: PlacementPolicy = {
    var policy = PlacementPolicy(name: "linux-5.5", counting: .reference, forbidden: .cma, failure: .ignored)
    policy.collectsByStep = true
    return policy
  }()

  /// Before seed 001's exact count: FOLL_PIN adds 1024 to any page, large heads too.
  public static let pinBias = linux5_5.then("pin-bias") { $0.counting = .bias }

  /// Seed 001: an exact count on compound pages of order above 1.
  public static let pinExact = pinBias.then("pin-exact") { $0.counting = .exactAboveOrderOne }

  /// Before seed 000: long-term pins leave CMA if they can; failures are ignored (spec 6.3).
  public static let linux5_10 = pinExact.then("linux-5.10")

  /// Seed 002's dispute: away from CMA and ZONE_MOVABLE, failures ignored (spec 6.4).
  public static let movableV3 = linux5_10.then("movable-v3") {
    $0.forbidden = .cmaAndMovable
    $0.scopeClearsMovable = true
    $0.scopeInFastPath = true
  }

  /// Seed 000: retries limited to 10 migrations and 100 isolations as posted, failures honoured (spec 6.5).
  public static let movableV4 = movableV3.then("movable-v4") {
    $0.failure = .limited(migrations: 10, isolations: 100)
    $0.zeroPageExempt = true
    $0.drain = .always
    $0.longtermForcesWrite = true
    $0.collectsByStep = false
  }

  /// What was merged (spec 6.6 d).
  public static let linux5_13 = movableV4.then("linux-5.13") {
    $0.failure = .migrationFatal
    $0.drain = .ifOffList
    $0.longtermForcesWrite = false
  }

  /// Linux 6.1.192, the default (spec 6.6 e).
  public static let linux6_1 = linux5_13.then("linux-6.1") {
    $0.counting = .exactForLarge
    $0.forbidden = .cmaIsolateAndMovable
    $0.zeroPageCounted = false
    $0.drain = .ifUnexpectedReferences(ownPins: false)
    $0.tracksExclusive = true
    $0.refusesHugetlbMoves = true
  }

  /// Mainline (spec 6.7).
  public static let linuxMainline = linux6_1.then("linux-mainline") {
    $0.drain = .ifUnexpectedReferences(ownPins: true)
    $0.unsharesAnyPrivate = true
    $0.refusesHugetlbMoves = false
    $0.longtermUnlocked = true
    $0.reportsOverflow = true
    $0.refusesInternalFlags = true
  }

  /// Mainline during 6.14: pages that cannot be isolated stay pinned where they are (spec 6.7).
  public static let linux6_14 = linuxMainline.then("linux-6.14") { $0.failure = .emptyListSucceeds }

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
