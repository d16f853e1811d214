/// The kernels and patch series whose long-term pinning rules can be selected.
public enum PolicyName: String, Sendable, Hashable, Codable, CaseIterable, CustomStringConvertible {
  /// Before pin tracking.
  case linux55 = "linux-5.5"
  /// Every pin adds 1024 to a reference count.
  case pinBias = "pin-bias"
  /// Seed 001.
  case pinExact = "pin-exact"
  /// Long-term pins avoid CMA only.
  case linux510 = "linux-5.10"
  /// Seed 002's dispute.
  case movableV3 = "movable-v3"
  /// Seed 000 as posted.
  case movableV4 = "movable-v4"
  /// What was merged of seed 000.
  case linux513 = "linux-5.13"
  /// The default.
  case linux61 = "linux-6.1"
  /// Mainline while an empty list of isolated pages counted as nothing to do.
  case linux614 = "linux-6.14"
  /// Folio based.
  case linuxMainline = "linux-mainline"

  /// The policy of a scenario that names none.
  public static let standard = PolicyName.linux61

  /// The name as it is written.
  public var description: String { rawValue }

  /// The rule in one sentence.
  public var rule: String {
    switch self {
    case .linux55: "no pin tracking: a pin is an ordinary reference"
    case .pinBias: "a pin adds 1024 to the reference count of any page, heads of huge pages too"
    case .pinExact: "huge pages count their pins exactly, small pages by 1024"
    case .linux510: "long-term pins move pages out of CMA only; failures are ignored"
    case .movableV3: "long-term pins move pages out of CMA and ZONE_MOVABLE; failures are ignored"
    case .movableV4: "the same, with 10 migration and 100 isolation retries, then the pin fails"
    case .linux513:
      "long-term pins move pages out of CMA and ZONE_MOVABLE; a page that cannot move fails the pin"
    case .linux61: "as linux-5.13, and pages of blocks that are being taken away are moved too"
    case .linux614: "as linux-mainline, but pages that cannot be isolated stay pinned where they are"
    case .linuxMainline: "as linux-6.1 on whole folios, draining only where a reference is unexplained"
    }
  }

  /// The discussion or the release that the rule comes from.
  public var origin: String {
    switch self {
    case .linux55: "Linux 5.5, before seed 001"
    case .pinBias: "Linux FOLL_PIN v11, before seed 001's exact count"
    case .pinExact: "seed 001, merged in 5.7"
    case .linux510: "Linux 5.10, before seed 000"
    case .movableV3: "version 3 of seed 000's series, disputed in seed 002"
    case .movableV4: "seed 000"
    case .linux513: "Linux 5.13"
    case .linux61: "Linux 6.1"
    case .linux614: "Linux 6.14 to 6.15, reverted: seed 002's hole again"
    case .linuxMainline: "Linux mainline"
    }
  }
}
