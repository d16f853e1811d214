import Interleaving

/// One fix of the bug catalogue that concerns code of the engine: on, unless an explored machine is made without it.
///
/// Which row it belongs to, and which scenario shows it, is said in the lab's `Catalogue`.
public enum Safeguard: UInt8, CaseIterable, Hashable, Sendable {
  // Row 1: the lockless walk against unmapping, freeing and reuse.

  /// The lockless walk looks at an entry again once it holds the page's reference.
  case entryRecheck
  /// A page without references is free or frozen, and a lockless reader gets no reference to it.
  ///
  /// Without it the reference is added all the same; a second look that takes it back frees the page again.
  case freePageRefusal
  /// The lockless walk announces itself on its processor before its first read of a table.
  case walkAnnouncement
  // Row 5: the same from the side that frees.
  /// A table is freed only when the walks that may have seen its entry have ended.
  case walkerWait
  // Row 8: giving up exclusivity against a lockless pin.
  /// Migration asks whether an exclusive page is pinned only after it has cleared the entry.
  ///
  /// Without it the page is asked about first. The comparison of references that follows catches the pin in between
  /// as well, so that only the absence of both lets a pinned page be moved.
  case pinTestAfterClear
  /// Migration clears an entry by a store that no later load passes, the look at the pins first of all.
  ///
  /// Without it the store may wait in the processor's buffer: seen with store buffers only, and without
  /// `compareAfterUnmap`, since what is compared then comes behind a locked operation.
  case clearBeforeLook
  // Rows 34 to 43: long-term pins and where they may be.
  /// A long-term pin counts pages that could not be isolated or moved as pages that may not stay.
  ///
  /// Without it such pages stay pinned where they are, and the call succeeds, as before seed 000.
  case failureHonoured
  /// A long-term pin is content when it has found no page that may not stay.
  ///
  /// Without it it is content when it has isolated none, as before seed 000 and in 6.14.
  case collectedDecides
  /// A fatal signal ends the retries of a long-term pin, which have no limit of their own.
  case fatalSignalCheck
  /// A long-term pin empties the LRU batches, which hold references, and pages that cannot be isolated while they are there.
  case batchDrain
  /// A long-term pin may not stay in a pageblock that is being isolated, which hides that it is CMA, or removed.
  case isolateRefusal
  /// A long-term pin's own faults get their pages under the pin scope, outside ZONE_MOVABLE and CMA.
  ///
  /// Without it they are moved away afterwards: needless work, and no harm while `immovableTarget` holds.
  case pinScope
  /// The pages that a long-term pin moves to are not asked for as movable ones.
  ///
  /// Without it the pin scope still keeps them out of ZONE_MOVABLE and CMA; without both they land there again.
  case immovableTarget
  /// The pin scope holds from the first attempt of an allocation on, not only once that has failed.
  ///
  /// Without it what a long-term pin faults in is moved away afterwards, as without `pinScope`.
  case scopeInFastPath
  /// The zero page may be long-term pinned in ZONE_MOVABLE too: it is on no list and can never be moved.
  case zeroPageExemption
  // Rows 49 and 50: migration against pins, references and faults.
  /// Migration compares a page's references after its entries are gone, when no path can find it any more.
  case compareAfterUnmap
  /// Migration takes all references of a cached page at once, so that none can be added until they are given back.
  ///
  /// Without it the count is compared, and what it is to be is stored later.
  case countFreeze
  /// Who waits for a migration to end holds no reference on the page meanwhile.
  case waitWithoutReference
  // Row 51: hot-remove against pins.
  /// An offline tries again what did not move.
  ///
  /// Without it the first pass that leaves something is the last one.
  case offlineRetry
  /// An offline that fails gives the pageblocks that it has isolated back.
  case offlineUndo
  /// An offline that fails lets pages wait in LRU batches and per-CPU lists again.
  case offlineListsBack

  // Row 6: a folio that becomes another one under the walk.
  /// After taking a reference without a lock, a path looks again at which folio the frame is part of.
  case folioRecheck
  // Row 2: the lockless walk against a fork.
  /// A fork announces that it write-protects entries, so that a lockless pin of the same space gives up.
  case forkSequence
  // Rows 13 to 20 and 25: copy on write.
  /// A store reuses a page that is not exclusive only if there is no other reference to it.
  ///
  /// Without it, it is enough that no other entry maps the page, as up to 5.8.
  case soleReference
  /// A fork copies a page that may be pinned for the child at once.
  ///
  /// Without it the page is shared, and the first who writes to it gets another.
  case forkCopiesPinned
  /// A read-only pin of a page that others may map too gets the process a page of its own first.
  case unsharePinned
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
  // Row 65: pages that a device has exclusively.
  /// A fork takes such a page back before it copies the entry.
  case exclusiveForkRestore
  /// A fault takes such a page from the device before it maps it again.
  case exclusiveRevokeFirst
  /// A device gets a page only while the entry is there that says it has it.
  ///
  /// Without it a page that was discarded meanwhile becomes the device's, as hmm_dmirror's.
  case exclusiveEntryCheck
  /// A page stays locked until the device has it, so that no fault maps it before.
  ///
  /// `exclusiveEntryCheck` finds that out as well, so that only the absence of both gives a device a page that is mapped.
  case exclusiveHoldsLock

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
  func isEnabled(_ safeguard: Safeguard) -> Bool {
    !isExplored || absentSafeguards & safeguard.bit == 0
  }
}
