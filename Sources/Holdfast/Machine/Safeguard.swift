import Interleaving

/// One fix of the bug catalogue that concerns code of the engine: on, unless an explored machine is made without it.
///
/// What a safeguard prevents, and which scenario shows it, is said beside its name in `Safeguard.facts`.
public enum Safeguard: UInt8, CaseIterable, Hashable, Sendable {
  /// The lockless walk looks at an entry again once it holds the page's reference.
  case entryRecheck

  /// The name on the command line: `entry-recheck`.
  public var name: String {
    "\(self)".reduce(into: "") { name, letter in
      if letter.isUppercase { name += "-" }
      name += letter.lowercased()
    }
  }

  /// The safeguard of that name, or nil.
  public init?(name: String) {
    guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }

  @inline(__always)
  var bit: UInt64 { 1 &<< UInt64(rawValue) }
}

extension Machine {
  /// Whether the machine has a safeguard; in a build that does not explore that is a constant.
  @inline(__always)
  func has(_ safeguard: Safeguard) -> Bool {
    !isExplored || absentSafeguards & safeguard.bit == 0
  }
}
