import Interleaving

/// The placement policy's rules for single pages.
///
/// They are computed once for each machine, since the lockless path asks for every page.
package struct PinRules: Sendable {
  /// Whether pins can be told from other references.
  let isTracked: Bool
  /// What a pin adds to the reference count of a folio that does not count its pins exactly
  /// (GUP_PIN_COUNTING_BIAS).
  let bias: Int32
  /// The lowest order of large folios that count their pins exactly.
  let leastExactOrder: Int
  /// The zero page if its pins are not counted (6.1.192, mainline), else `.none`.
  package let uncountedZeroPage: FrameNumber
  /// The zero page if it may be pinned in any zone, else `.none`.
  let exemptZeroPage: FrameNumber
  /// The pageblock types that a long-term pin may not stay in: a bit for each type.
  let forbiddenTypes: UInt32
  /// Whether a long-term pin may not stay in ZONE_MOVABLE.
  let forbidsMovable: Bool

  init(_ policy: PlacementPolicy, bias given: Int32, zeroPage: FrameNumber) {
    isTracked = policy.counting != .reference
    bias = isTracked ? given : 1
    leastExactOrder =
      switch policy.counting {
      case .reference, .bias: .max
      case .exactAboveOrderOne: 2
      case .exactForLarge: 1
      }
    uncountedZeroPage = policy.zeroPageCounted ? .none : zeroPage
    exemptZeroPage = policy.zeroPageExempt ? zeroPage : .none
    forbiddenTypes =
      1 << UInt32(MigrateType.cma.number)
      | (policy.forbidden == .cmaIsolateAndMovable ? 1 << UInt32(MigrateType.isolate.number) : 0)
    forbidsMovable = policy.forbidden != .cma
  }

  /// Whether a folio counts its pins exactly.
  @inline(__always)
  package func countsExactly(_ head: Page) -> Bool {
    countsExactly(head, flagWord: head.flagWord.load(.acquire))
  }

  /// The same, given the flag word of its head.
  @inline(__always)
  func countsExactly(_ head: Page, flagWord: UInt64) -> Bool {
    flagWord & PageFlags.head.rawValue != 0 && head.order >= leastExactOrder
  }

  /// What `refs` pins add to the reference count.
  @inline(__always)
  func references(_ refs: Int32, exact: Bool) -> Int32 { exact ? refs : refs &* bias }

  /// Whether a long-term pin may stay in a pageblock of the type with that number.
  @inline(__always)
  func mayStay(inBlockOf type: UInt8) -> Bool { forbiddenTypes &>> UInt32(type) & 1 == 0 }

  /// Whether a long-term pin may stay in the zone of a page that is not the zero page, given its flag word.
  @inline(__always)
  func mayStay(inZoneOf flagWord: UInt64) -> Bool {
    PageFlags.zoneKind(of: flagWord) != ZoneKind.movable.number || !forbidsMovable
  }

  /// Whether a long-term pin may stay on a frame, given the number of its pageblock's type and its head's
  /// flag word.
  ///
  /// This is what `isLongtermPinnable` asks, with both values read already.
  @inline(__always)
  func mayStay(_ frame: FrameNumber, inBlockOf type: UInt8, flagWord: UInt64) -> Bool {
    mayStay(inBlockOf: type) && (mayStay(inZoneOf: flagWord) || frame == exemptZeroPage)
  }
}
