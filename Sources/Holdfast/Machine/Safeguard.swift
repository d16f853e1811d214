import Interleaving

/// One fix of the bug catalogue that concerns code of the engine: on, unless an explored machine is made without it.
///
/// Which row it belongs to, and which scenario shows it, is said in the lab's `Catalogue`.
public enum Safeguard: UInt8, CaseIterable, Hashable, Sendable {
  /// The lockless walk looks at an entry again once it holds the page's reference.
  case entryRecheck

  // Row 6: a folio that becomes another one under the walk.
  /// Whoever took a reference without a lock looks again at which folio the frame is part of.
  case folioRecheck
  // Rows 15 and 25: copy on write.
  /// A store to an exclusive page goes to the page itself, however many references there are.
  ///
  /// Without it a page is copied unless its mapping holds the only reference, which a pin is another one of.
  case exclusiveReuse
  /// A forced write stays a demand for write after its fault has made a copy.
  ///
  /// Without it the second look is content with any readable page, be it the copy or not.
  case forcedWriteStays
  // Rows 27 to 31: counting.
  /// A count that has gone below zero is given no more references.
  case overflowRefusal
  /// Large folios count their pins exactly, instead of by the bias for each page.
  case exactLargeCount
  /// A pin of the zero page counts nothing.
  case zeroPageUncounted
  /// VFIO gives back its pins of the zero page, though it never charged them.
  case zeroPageRelease
  /// What is given back is given back as it was taken: a pin as a pin, by the ledger's record.
  case releaseByKind
  /// A call that has failed and given everything back forgets that it had anything.
  case unwindForgets
  // Rows 42 and 53: huge pages of the pool.
  /// In a pin scope the pool gives only huge pages that a long-term pin may stay on.
  case poolScope
  /// A huge page that took the place of a migrated one can be migrated again.
  case poolMigratable
  /// A fault that finds the migration entry of a huge page waits for it, and does not take it for a hole.
  case poolMigrationWait

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
