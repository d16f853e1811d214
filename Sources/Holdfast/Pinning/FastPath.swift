import Interleaving

/// The lockless path: walk, try to grab, look again, give up where the kernel gives up (spec 5.7).
extension Machine {
  /// Takes pages without any lock, as many from the start as it can.
  ///
  /// Tables are not freed meanwhile, since freeing waits for `Processor.walkers` (interrupts off, in Linux).
  /// Statistics of pins are added here, once a run of pages of one node.
  ///
  /// - Returns: how many entries of `out` were filled: a prefix of the range (mm/gup.c:lockless_pages_from_mm).
  func takeLockless(_ request: PinRequest, _ range: PinRange) -> Int {
    let space = space(request.space)
    let processor = request.process.processor
    var sequence: UInt32 = 0
    if request.isPin {
      sequence = space.writeProtectSequence.read()
      if sequence & 1 != 0 { return 0 }
    }
    let walkers = self.processor(processor).walkers
    if isEnabled(.walkAnnouncement) { walkers.fetchAdd(1, .sequential) }
    var walk = LocklessWalk(range, request.flags, on: processor)
    walkTables(space.rootTable, &walk)
    if isEnabled(.walkAnnouncement) { walkers.fetchAdd(UInt32.max, .sequential) }
    if request.isPin {
      walk.flushCount(self)
      if space.writeProtectSequence.read() != sequence {
        // fork copied meanwhile: these pages may be shared now.
        releaseAll(range.prefix(walk.taken).frames, pins: true, markDirty: false, on: processor)
        return 0
      }
    }
    return walk.taken
  }

  @inline(__always)
  private func walkTables(_ root: RowID, _ walk: inout LocklessWalk) {
    let bits = UInt64(geometry.tableBits)
    let mask = UInt64(geometry.tableEntries &- 1)
    while walk.page < walk.end {
      var table = root
      var shift = 3 &* bits
      while shift > bits {
        let entry = tablePage(table).entry(Int((walk.page &>> shift) & mask)).load()
        guard entry.isTable else { return }
        table = entry.tableID
        shift &-= bits
      }
      let upper = ReadEntry(tablePage(table).entry(Int((walk.page &>> bits) & mask)))
      let regionEnd = min(walk.end, (walk.page | mask) &+ 1)
      if upper.entry.isTable {
        guard takeEntries(upper, upTo: regionEnd, &walk) else { return }
      } else {
        guard upper.entry.isPresent, upper.entry.isHuge, takeLeaf(upper, upTo: regionEnd, &walk) else {
          return
        }
      }
    }
  }

  /// Takes the pages of one table of PTEs; false ends the walk.
  @inline(never)
  private func takeEntries(_ upper: ReadEntry, upTo end: UInt64, _ walk: inout LocklessWalk) -> Bool {
    let table = tablePage(upper.entry.tableID)
    let mask = UInt64(geometry.tableEntries &- 1)
    while true {
      if walk.flags.contains(.pin) {
        let lost = takeSmallPages(upper, upTo: end, &walk)
        if lost != .none {
          putFolio(lost, refs: pinRules.bias, on: walk.processor)
          return false
        }
        if walk.page == end { return true }
      }
      let place = table.entry(Int(truncatingIfNeeded: walk.page & mask))
      guard takeEntry(ReadEntry(place), under: upper, &walk) else { return false }
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
    _ upper: ReadEntry, upTo end: UInt64, _ walk: inout LocklessWalk
  ) -> FrameNumber {
    // Read-only pins of pages that might have to be unshared first need the closer look.
    let isWrite = walk.flags.contains(.write) || policy.tracksExclusive
    let needed =
      PageTableEntry.present | PageTableEntry.user | (isWrite ? PageTableEntry.writable : 0)
    let longterm = walk.flags.contains(.longterm)
    let first = walk.page
    let offset = Int(truncatingIfNeeded: first) & (geometry.tableEntries &- 1)
    let entries = tablePage(upper.entry.tableID).entries(from: offset)
    let frames = walk.room
    let count = Int(truncatingIfNeeded: end &- first)
    let zone = walk.zone
    var lost = FrameNumber.none
    var taken = 0
    while taken < count {
      let read = ReadEntry(entries[taken])
      if read.entry.rawValue & (needed | PageTableEntry.special) != needed { break }
      let frame = read.entry.frame
      let descriptor = page(frame)
      let word = descriptor.flagWord.load(.acquire)
      if word & PageFlags.head.rawValue != 0 || descriptor.isTail || frame == pinRules.uncountedZeroPage
        || word &>> PageFlags.zoneShift != zone
      {
        break
      }
      if longterm, !pinRules.mayStay(inBlockOf: pageblockTypeNumber(of: frame)) { break }
      if !addReferences(descriptor, pinRules.bias) { break }
      let after = descriptor.flagWord.load(.acquire)
      // Whoever removed or replaced the entry before the reference was there did not see the reference.
      if isEnabled(.entryRecheck),
        after & PageFlags.head.rawValue != 0 || descriptor.isTail || !read.isUnchanged || !upper.isUnchanged
      {
        lost = frame
        break
      }
      if after & PageFlags.referenced.rawValue == 0 { descriptor.set(.referenced) }
      frames[taken] = frame
      taken &+= 1
    }
    walk.advance(by: taken, pins: taken)
    return lost
  }

  /// Takes the page of one entry, whatever it is; false ends the walk.
  @inline(never)
  private func takeEntry(
    _ read: ReadEntry, under upper: ReadEntry, _ walk: inout LocklessWalk
  ) -> Bool {
    let flags = walk.flags
    let needed =
      PageTableEntry.present | PageTableEntry.user | (flags.contains(.write) ? PageTableEntry.writable : 0)
    let entry = read.entry
    guard entry.rawValue & (needed | PageTableEntry.special) == needed else { return false }
    let head = grabLockless(entry.frame, 1, flags, on: walk.processor)
    if head == .none { return false }
    // As above.
    guard !isEnabled(.entryRecheck) || (read.isUnchanged && upper.isUnchanged),
      !mustUnshare(entry.frame, entry, flags)
    else {
      undoLocklessGrab(head, 1, flags, on: walk.processor)
      return false
    }
    let descriptor = page(head)
    if !descriptor.has(.referenced) { descriptor.set(.referenced) }
    walk.change(to: descriptor.flagWord.load(.relaxed), self)
    walk.frames[walk.taken] = entry.frame
    walk.advance(by: 1, pins: flags.contains(.pin) && entry.frame != pinRules.uncountedZeroPage ? 1 : 0)
    return true
  }

  /// Takes the wanted part of a folio that one PMD entry maps, with one grab; false ends the walk.
  private func takeLeaf(_ read: ReadEntry, upTo end: UInt64, _ walk: inout LocklessWalk) -> Bool {
    let (flags, entry) = (walk.flags, read.entry)
    if flags.contains(.write), !entry.isWritable { return false }
    let frame = entry.frame + (Int(truncatingIfNeeded: walk.page) & (geometry.tableEntries &- 1))
    let refs = Int32(truncatingIfNeeded: end &- walk.page)
    let head = grabLockless(frame, refs, flags, on: walk.processor)
    if head == .none { return false }
    guard !isEnabled(.entryRecheck) || read.isUnchanged, !mustUnshare(entry.frame, entry, flags) else {
      undoLocklessGrab(head, refs, flags, on: walk.processor)
      return false
    }
    if !page(head).has(.referenced) { page(head).set(.referenced) }
    walk.change(to: page(head).flagWord.load(.relaxed), self)
    let next = walk.room
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

/// An entry as a walk has read it, and where it stands.
private struct ReadEntry {
  let cell: EntryCell
  let entry: PageTableEntry

  @inline(__always)
  init(_ cell: EntryCell) {
    self.cell = cell
    entry = cell.load()
  }

  /// Whether it is the same at a second look.
  @inline(__always)
  var isUnchanged: Bool { cell.load() == entry }
}

/// Where a lockless walk is, and what it has counted but not yet added to the statistics.
private struct LocklessWalk {
  private(set) var page: UInt64
  let end: UInt64
  let flags: PinFlags
  let processor: Int
  /// Where the frames go.
  let frames: UnsafeMutableBufferPointer<FrameNumber>
  private(set) var taken = 0
  private var pending = 0
  private var node = 0
  /// Zone and node, as a flag word has them, of the last page; none where the next one must be looked at anyway.
  private(set) var zone = UInt64.max

  init(_ range: PinRange, _ flags: PinFlags, on processor: Int) {
    page = range.start
    end = range.start &+ UInt64(truncatingIfNeeded: range.count)
    frames = range.frames
    self.flags = flags
    self.processor = processor
  }

  /// Where the frames of the pages go that were not taken yet.
  @inline(__always)
  var room: UnsafeMutableBufferPointer<FrameNumber> {
    UnsafeMutableBufferPointer(rebasing: frames.dropFirst(taken))
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
