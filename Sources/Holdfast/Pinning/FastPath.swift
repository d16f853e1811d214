import Interleaving

/// The lockless path: walk, try to grab, look again, give up where the kernel gives up (spec 5.7).
extension Machine {
  /// Takes pages without any lock, as many from the start as it can.
  ///
  /// Tables are not freed meanwhile, since freeing waits for `Processor.walkers` (interrupts off, in Linux).
  /// Statistics of pins are added here, once a run of pages of one node.
  ///
  /// - Returns: how many entries of `out` were filled: a prefix of the range (mm/gup.c:lockless_pages_from_mm).
  func takeLockless(
    _ space: AddressSpace, _ start: UInt64, _ count: Int, _ flags: PinFlags,
    _ out: UnsafeMutablePointer<FrameNumber>, on processor: Int
  ) -> Int {
    let pins = flags.contains(.pin)
    var sequence: UInt32 = 0
    if pins {
      sequence = space.writeProtectSequence.read()
      if sequence & 1 != 0 { return 0 }
    }
    let walkers = self.processor(processor).walkers
    if isEnabled(.walkAnnouncement) { walkers.fetchAdd(1, .sequential) }
    var walk = LocklessWalk(page: start, end: start &+ UInt64(count), flags: flags, processor: processor)
    walkTables(space.rootTable, out, &walk)
    if isEnabled(.walkAnnouncement) { walkers.fetchAdd(UInt32.max, .sequential) }
    if pins {
      walk.flushCount(self)
      if space.writeProtectSequence.read() != sequence {
        // fork copied meanwhile: these pages may be shared now.
        releaseAll(out, walk.taken, pins: true, markDirty: false, on: processor)
        return 0
      }
    }
    return walk.taken
  }

  @inline(__always)
  private func walkTables(
    _ root: RowID, _ out: UnsafeMutablePointer<FrameNumber>, _ walk: inout LocklessWalk
  ) {
    let bits = UInt64(geometry.tableBits)
    let mask = UInt64(geometry.tableEntries &- 1)
    while walk.page < walk.end {
      var table = root
      var shift = 3 &* bits
      while shift > bits {
        let entry = PageTableEntry(
          rawValue: tablePage(table).entry(Int((walk.page &>> shift) & mask)).load())
        guard entry.isTable else { return }
        table = entry.tableID
        shift &-= bits
      }
      let cell = tablePage(table).entry(Int((walk.page &>> bits) & mask))
      let upper = PageTableEntry(rawValue: cell.load())
      let regionEnd = min(walk.end, (walk.page | mask) &+ 1)
      if upper.isTable {
        guard takeEntries(upper, cell, regionEnd, mask, out, &walk) else { return }
      } else {
        guard upper.isPresent, upper.isHuge, takeLeaf(upper, cell, regionEnd, mask, out, &walk) else {
          return
        }
      }
    }
  }

  /// Takes the pages of one table of PTEs; false ends the walk.
  @inline(never)
  private func takeEntries(
    _ upper: PageTableEntry, _ upperCell: AtomicUInt64, _ end: UInt64, _ mask: UInt64,
    _ out: UnsafeMutablePointer<FrameNumber>, _ walk: inout LocklessWalk
  ) -> Bool {
    let table = tablePage(upper.tableID)
    while true {
      if walk.flags.contains(.pin) {
        let lost = takeSmallPages(table, upper, upperCell, end, mask, out, &walk)
        if lost != .none {
          putFolio(lost, refs: pinRules.bias, on: walk.processor)
          return false
        }
        if walk.page == end { return true }
      }
      let cell = table.entry(Int(truncatingIfNeeded: walk.page & mask))
      guard takeEntry(cell, upper, upperCell, out, &walk) else { return false }
      if walk.page == end { return true }
    }
  }

  /// Pins pages that are no part of a folio, up to the first entry that needs a closer look.
  ///
  /// No call and no rare case inside, and registers to itself: this loop is what a pin costs. Pages of another zone
  /// than the last one's need the closer look too, which finds out whether they may be pinned there.
  ///
  /// - Returns: a page whose pin must be taken back, since its entry changed meanwhile.
  @inline(never)
  private func takeSmallPages(
    _ table: TablePage, _ upper: PageTableEntry, _ upperCell: AtomicUInt64, _ end: UInt64, _ mask: UInt64,
    _ out: UnsafeMutablePointer<FrameNumber>, _ walk: inout LocklessWalk
  ) -> FrameNumber {
    // Read-only pins of pages that might have to be unshared first need the closer look.
    let isWrite = walk.flags.contains(.write) || policy.tracksExclusive
    let needed =
      PageTableEntry.present | PageTableEntry.user | (isWrite ? PageTableEntry.writable : 0)
    let longterm = walk.flags.contains(.longterm)
    let first = walk.page
    let entries = table.entries(from: Int(truncatingIfNeeded: first & mask))
    let out = out + walk.taken
    let count = Int(truncatingIfNeeded: end &- first)
    let zone = walk.zone
    var lost = FrameNumber.none
    var taken = 0
    while taken < count {
      let cell = entries[taken]
      let raw = cell.load()
      if raw & (needed | PageTableEntry.special) != needed { break }
      let frame = PageTableEntry(rawValue: raw).frame
      let descriptor = page(frame)
      let word = descriptor.flagWord.load(.acquire)
      if word & PageFlags.head.rawValue != 0 || descriptor.isTail || isUncountedZeroPage(frame)
        || word &>> PageFlags.zoneShift != zone
      {
        break
      }
      if longterm, !pinRules.mayStay(inBlockOf: pageblockTypeNumber(of: frame)) { break }
      if !addReferences(descriptor, pinRules.bias) { break }
      let after = descriptor.flagWord.load(.acquire)
      // Whoever removed or replaced the entry before the reference was there did not see the reference.
      if isEnabled(.entryRecheck),
        after & PageFlags.head.rawValue != 0 || descriptor.isTail || cell.load() != raw
          || upperCell.load() != upper.rawValue
      {
        lost = frame
        break
      }
      if after & PageFlags.referenced.rawValue == 0 { descriptor.set(.referenced) }
      out[taken] = frame
      taken &+= 1
    }
    walk.advance(by: taken, pins: taken)
    return lost
  }

  /// Takes the page of one entry, whatever it is; false ends the walk.
  @inline(never)
  private func takeEntry(
    _ cell: AtomicUInt64, _ upper: PageTableEntry, _ upperCell: AtomicUInt64,
    _ out: UnsafeMutablePointer<FrameNumber>, _ walk: inout LocklessWalk
  ) -> Bool {
    let flags = walk.flags
    let needed =
      PageTableEntry.present | PageTableEntry.user | (flags.contains(.write) ? PageTableEntry.writable : 0)
    let entry = PageTableEntry(rawValue: cell.load())
    guard entry.rawValue & (needed | PageTableEntry.special) == needed else { return false }
    let head = grabLockless(entry.frame, 1, flags, on: walk.processor)
    if head == .none { return false }
    // As above.
    guard !isEnabled(.entryRecheck) || (cell.load() == entry.rawValue && upperCell.load() == upper.rawValue),
      !mustUnshare(entry.frame, entry, flags)
    else {
      undoLocklessGrab(head, 1, flags, on: walk.processor)
      return false
    }
    let descriptor = page(head)
    if !descriptor.has(.referenced) { descriptor.set(.referenced) }
    walk.change(to: descriptor.flagWord.load(.relaxed), self)
    out[walk.taken] = entry.frame
    walk.advance(by: 1, pins: flags.contains(.pin) && !isUncountedZeroPage(entry.frame) ? 1 : 0)
    return true
  }

  /// Takes the wanted part of a folio that one PMD entry maps, with one grab; false ends the walk.
  private func takeLeaf(
    _ entry: PageTableEntry, _ cell: AtomicUInt64, _ end: UInt64, _ mask: UInt64,
    _ out: UnsafeMutablePointer<FrameNumber>, _ walk: inout LocklessWalk
  ) -> Bool {
    let flags = walk.flags
    if flags.contains(.write), !entry.isWritable { return false }
    let frame = entry.frame + Int(walk.page & mask)
    let refs = Int32(truncatingIfNeeded: end &- walk.page)
    let head = grabLockless(frame, refs, flags, on: walk.processor)
    if head == .none { return false }
    guard !isEnabled(.entryRecheck) || cell.load() == entry.rawValue, !mustUnshare(entry.frame, entry, flags) else {
      undoLocklessGrab(head, refs, flags, on: walk.processor)
      return false
    }
    if !page(head).has(.referenced) { page(head).set(.referenced) }
    walk.change(to: page(head).flagWord.load(.relaxed), self)
    let next = out + walk.taken
    for i in 0..<Int(refs) { next[i] = frame + i }
    walk.advance(by: Int(refs), pins: flags.contains(.pin) ? Int(refs) : 0)
    return true
  }

  /// Whether a read-only pin must first make the page the process's own (gup_must_unshare, spec 5.8).
  @inline(never)
  func mustUnshare(_ frame: FrameNumber, _ entry: PageTableEntry, _ flags: PinFlags) -> Bool {
    guard policy.tracksExclusive, flags.contains(.pin), !flags.contains(.write), !entry.isWritable else {
      return false
    }
    let descriptor = page(frame)
    if page(head(of: frame)).mapping.isAnonymous { return !descriptor.has(.anonExclusive) }
    // Without the area at hand, a long-term pin of anything else goes the slow way where it might matter.
    return policy.unsharesAnyPrivate && flags.contains(.longterm)
  }
}

/// Where a lockless walk is, and what it has counted but not yet added to the statistics.
private struct LocklessWalk {
  private(set) var page: UInt64
  let end: UInt64
  let flags: PinFlags
  let processor: Int
  private(set) var taken = 0
  private var pending = 0
  private var node = 0
  /// Zone and node, as a flag word has them, of the last page; none where the next one must be looked at anyway.
  private(set) var zone = UInt64.max

  init(page: UInt64, end: UInt64, flags: PinFlags, processor: Int) {
    self.page = page
    self.end = end
    self.flags = flags
    self.processor = processor
  }

  /// Goes on by so many pages, of which so many are pins that count.
  @inline(__always)
  mutating func advance(by pages: Int, pins: Int) {
    taken &+= pages
    page &+= UInt64(truncatingIfNeeded: pages)
    pending &+= pins
  }

  /// Notes the zone of a page that was taken, given its flag word, and counts for its node from here on.
  @inline(__always)
  mutating func change(to word: UInt64, _ machine: Machine) {
    // The zero page may be where others may not.
    let mayStay = !flags.contains(.longterm) || machine.pinRules.mayStay(inZoneOf: word)
    zone = mayStay ? word &>> PageFlags.zoneShift : .max
    if PageFlags.node(of: word) == node { return }
    flushCount(machine)
    node = PageFlags.node(of: word)
  }

  @inline(never)
  mutating func flushCount(_ machine: Machine) {
    if pending > 0 { machine.countAcquired(pending, node: node, on: processor) }
    pending = 0
  }
}
