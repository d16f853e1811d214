/// One line of the table of bars: contenders that do the same work, and what is asked of them.
struct Row: Sendable {
  /// What a side must not exceed, in nanoseconds per unit.
  enum Bar: Sendable {
    /// At most `factor` times `other`.
    case times(Double, of: String)
    /// At most `nanoseconds` more than `other`.
    case plus(Double, over: String)
    /// At least this share of the rate of `other`.
    case share(Double, of: String)
    /// At most this, whatever else was measured.
    case nanoseconds(Double)
    /// Nothing is asked: the value, or the ratio to another side, is for reading.
    case none
    case besides(String)
  }

  var name: String
  /// What one unit is: "page", "alloc + free".
  var unit: String
  /// Whether the bars hold on a quiet machine with room to spare, so that `--check` may fail on them.
  var stable: Bool
  var contenders: [Contender]
  /// The side that the bars are asked of.
  var subject: String
  var bars: [Bar]

  /// A row that asks `bars` of `ours`, beside `references`.
  ///
  /// Without `ours` the row is a floor: the bars are asked of the first reference, to show that they can be
  /// met, and the row is only measured on request.
  init(
    _ name: String, unit: String, ours: Contender?, references: [Contender], bars: [Bar], stable: Bool = true
  ) {
    let contenders = (ours.map { [$0] } ?? []) + references
    let subject = contenders[0].name
    self.name = ours == nil ? "floor/\(name)" : name
    self.unit = unit
    self.stable = stable
    self.contenders = contenders
    self.subject = subject
    self.bars = bars.filter { $0.other != subject }
    if self.bars.isEmpty {
      self.bars = [.none]
    }
  }

  /// Whether `--check` fails on a bar.
  ///
  /// Only bars that hold with room to spare on any machine: bounds in nanoseconds of stable rows, and the host's own
  /// kernel. A ratio to the C twin is within a tenth of its bar or over it; `instructions.sh` watches those, since
  /// instruction counts repeat and wall time does not.
  func gates(_ bar: Bar) -> Bool {
    guard stable else { return false }
    return switch bar {
    case .nanoseconds: true
    case .times(_, let other): other == "io_uring"
    case .plus, .share, .none, .besides: false
    }
  }

  /// Whether the row measures references only.
  var isFloor: Bool { name.hasPrefix("floor/") }
}

extension Row.Bar: CustomStringConvertible {
  /// The side that the subject is compared with.
  var other: String? {
    switch self {
    case .times(_, let other), .plus(_, let other), .share(_, let other), .besides(let other): other
    case .nanoseconds, .none: nil
    }
  }

  var description: String {
    switch self {
    case .times(let factor, _): "<= \(decimal(factor, 2))x"
    case .plus(let nanoseconds, _): "<= +\(duration(nanoseconds))"
    case .share(let share, _): ">= \(decimal(share * 100, 0)) %"
    case .nanoseconds(let nanoseconds): "<= \(duration(nanoseconds))"
    case .none, .besides: "-"
    }
  }

  /// Whether `value` is within the bar, given the value of the other side and the ratio between them.
  func holds(value: Double, other: Double?, ratio: Double?) -> Bool? {
    switch self {
    case .times(let factor, _): ratio.map { $0 <= factor }
    case .plus(let nanoseconds, _): other.map { value <= $0 + nanoseconds }
    case .share(let share, _): ratio.map { $0 > 0 && 1 / $0 >= share }
    case .nanoseconds(let nanoseconds): value <= nanoseconds
    case .none, .besides: nil
    }
  }
}
