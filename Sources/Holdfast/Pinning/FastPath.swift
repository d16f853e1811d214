import Interleaving

/// The lockless path: walk the page tables, grab each page, then check that its entries did not change.
extension Pins {
  /// Takes pages without any lock, as many from the start of the range as it can.
  ///
  /// The walk announces itself in `Processor.walkers`, for which `synchroniseWalkers` waits before page
  /// tables are freed; Linux disables interrupts. Pins are counted in the statistics once for each run of
  /// pages of one node, not page by page.
  ///
  /// - Returns: how many slots of the range were filled.
  /// - Kernel: mm/gup.c:lockless_pages_from_mm (6.1)
  func pinLockless(_ request: PinRequest, _ range: PinRange) -> Int {
    let space = spaces.space(request.space)
    let processor = request.process.processor
    var sequence: UInt32 = 0
    if request.isPin {
      sequence = space.writeProtectSequence.read()
      if sequence & 1 != 0 { return 0 }
    }
    let walkers = machine.processor(processor).walkers
    if isEnabled(.walkAnnouncement) { walkers.fetchAdd(1, .sequential) }
    var walk = LocklessWalk(range, request.flags, on: processor)
    walkTables(space.rootTable, &walk)
    if isEnabled(.walkAnnouncement) { walkers.fetchAdd(UInt32.max, .sequential) }
    if request.isPin {
      walk.flushCount(machine)
      if space.writeProtectSequence.read() != sequence {
        // fork has write-protected entries meanwhile, so these pages may be shared now.
        unpinAll(range.prefix(walk.taken).frames, pins: true, markDirty: false, on: processor)
        return 0
      }
    }
    return walk.taken
  }

  /// Walks down to each PMD entry of the range.
  ///
  /// - Kernel: mm/gup.c:gup_pgd_range (6.1); without huge entries.
  /// - Kernel: mm/gup.c:gup_p4d_range (6.1)
  /// - Kernel: mm/gup.c:gup_pud_range (6.1); without huge entries, device pages.
  /// - Kernel: mm/gup.c:gup_pmd_range (6.1); without device pages.
  @inline(__always)
  private func walkTables(_ root: RowID, _ walk: inout LocklessWalk) {
    let bits = UInt64(geometry.tableBits)
    let mask = UInt64(geometry.tableEntries &- 1)
    while walk.page < walk.end {
      var table = root
      var shift = 3 &* bits
      while shift > bits {
        let entry = pageTables.tablePage(table).entry(Int((walk.page &>> shift) & mask)).load()
        guard entry.isTable else { return }
        table = entry.tableID
        shift &-= bits
      }
      let upper = ReadEntry(pageTables.tablePage(table).entry(Int((walk.page &>> bits) & mask)))
      let regionEnd = min(walk.end, (walk.page | mask) &+ 1)
      if upper.entry.isTable {
        guard pinEntries(upper, upTo: regionEnd, &walk) else { return }
      } else {
        guard upper.entry.isPresent, upper.entry.isHuge, pinLeaf(upper, upTo: regionEnd, &walk) else {
          return
        }
      }
    }
  }

  /// Takes the pages of one table of PTEs; false ends the walk.
  ///
  /// Runs of small pages are pinned by `pinSmallPages`; it leaves every other page to `pinEntry`. The two
  /// together are the loop of gup_pte_range.
  ///
  /// - Kernel: mm/gup.c:gup_pte_range (6.1); without device pages, secret memory, protection keys.
  @inline(never)
  private func pinEntries(_ upper: ReadEntry, upTo end: UInt64, _ walk: inout LocklessWalk) -> Bool {
    let table = pageTables.tablePage(upper.entry.tableID)
    let mask = UInt64(geometry.tableEntries &- 1)
    while true {
      if walk.flags.contains(.pin) {
        let lost = pinSmallPages(upper, upTo: end, &walk)
        if lost != .none {
          folios.put(lost, refs: pinRules.bias, on: walk.processor)
          return false
        }
        if walk.page == end { return true }
      }
      let place = table.entry(Int(truncatingIfNeeded: walk.page & mask))
      guard pinEntry(ReadEntry(place), under: upper, &walk) else { return false }
      if walk.page == end { return true }
    }
  }

  /// Pins small pages up to the first entry that `pinEntry` must look at.
  ///
  /// The cost of a pin is the cost of this loop, so it contains no calls and no rare cases. It stops at a
  /// page of a large folio, at the zero page, and at a page of another zone than the last one: whether a
  /// long-term pin may stay in that zone has not been checked yet.
  ///
  /// - Returns: a page that was pinned although its entry has changed, for the caller to unpin; else `.none`.
  @inline(never)
  private func pinSmallPages(
    _ upper: ReadEntry, upTo end: UInt64, _ walk: inout LocklessWalk
  ) -> FrameNumber {
    // A read-only pin may have to unshare the page first, which only `pinEntry` checks.
    let isWrite = walk.flags.contains(.write) || policy.tracksExclusive
    let needed =
      PageTableEntry.present | PageTableEntry.user | (isWrite ? PageTableEntry.writable : 0)
    let longterm = walk.flags.contains(.longterm)
    let first = walk.page
    let offset = Int(truncatingIfNeeded: first) & (geometry.tableEntries &- 1)
    let entries = pageTables.tablePage(upper.entry.tableID).entries(from: offset)
    let frames = walk.room
    let count = Int(truncatingIfNeeded: end &- first)
    let zone = walk.zone
    var lost = FrameNumber.none
    var taken = 0
    while taken < count {
      let read = ReadEntry(entries[taken])
      if read.entry.rawValue & (needed | PageTableEntry.special) != needed { break }
      let frame = read.entry.frame
      let page = memmap.page(frame)
      let word = page.flagWord.load(.acquire)
      if word & PageFlags.head.rawValue != 0 || page.isTail || frame == pinRules.uncountedZeroPage
        || word &>> PageFlags.zoneShift != zone
      {
        break
      }
      if longterm, !pinRules.mayStay(inBlockOf: buddy.pageblockTypeNumber(of: frame)) { break }
      if !folios.addReferences(page, pinRules.bias) { break }
      let after = page.flagWord.load(.acquire)
      // If the entry was changed before the reference was taken, the path that changed it did not see the
      // reference.
      if isEnabled(.entryRecheck),
        after & PageFlags.head.rawValue != 0 || page.isTail || !read.isUnchanged || !upper.isUnchanged
      {
        lost = frame
        break
      }
      if after & PageFlags.referenced.rawValue == 0 { page.set(.referenced) }
      frames[taken] = frame
      taken &+= 1
    }
    walk.advance(by: taken, pins: taken)
    return lost
  }

  /// Takes the page of one entry of any kind; false ends the walk.
  @inline(never)
  private func pinEntry(
    _ read: ReadEntry, under upper: ReadEntry, _ walk: inout LocklessWalk
  ) -> Bool {
    let flags = walk.flags
    let needed =
      PageTableEntry.present | PageTableEntry.user | (flags.contains(.write) ? PageTableEntry.writable : 0)
    let entry = read.entry
    guard entry.rawValue & (needed | PageTableEntry.special) == needed else { return false }
    let head = tryGrabFolio(entry.frame, 1, flags, on: walk.processor)
    if head == .none { return false }
    // As in `pinSmallPages`.
    guard !isEnabled(.entryRecheck) || (read.isUnchanged && upper.isUnchanged),
      !mustUnshare(entry.frame, entry, flags)
    else {
      putGrabbed(head, 1, flags, on: walk.processor)
      return false
    }
    let folio = memmap.page(head)
    if !folio.has(.referenced) { folio.set(.referenced) }
    walk.change(to: folio.flagWord.load(.relaxed), machine)
    walk.frames[walk.taken] = entry.frame
    walk.advance(by: 1, pins: flags.contains(.pin) && entry.frame != pinRules.uncountedZeroPage ? 1 : 0)
    return true
  }

  /// Takes the wanted part of a folio that one PMD entry maps, with one grab; false ends the walk.
  ///
  /// - Kernel: mm/gup.c:gup_huge_pmd (6.1); without device pages, protection keys.
  /// - Kernel: mm/gup.c:record_subpages (6.1)
  @inline(__always)
  private func pinLeaf(_ read: ReadEntry, upTo end: UInt64, _ walk: inout LocklessWalk) -> Bool {
    let (flags, entry) = (walk.flags, read.entry)
    if flags.contains(.write), !entry.isWritable { return false }
    let frame = entry.frame + (Int(truncatingIfNeeded: walk.page) & (geometry.tableEntries &- 1))
    let refs = Int32(truncatingIfNeeded: end &- walk.page)
    let head = tryGrabFolio(frame, refs, flags, on: walk.processor)
    if head == .none { return false }
    guard !isEnabled(.entryRecheck) || read.isUnchanged, !mustUnshare(entry.frame, entry, flags) else {
      putGrabbed(head, refs, flags, on: walk.processor)
      return false
    }
    if !memmap.page(head).has(.referenced) { memmap.page(head).set(.referenced) }
    walk.change(to: memmap.page(head).flagWord.load(.relaxed), machine)
    let next = walk.room
    for i in 0..<Int(refs) { next[i] = frame + i }
    walk.advance(by: Int(refs), pins: flags.contains(.pin) ? Int(refs) : 0)
    return true
  }

  /// Whether a read-only pin must first make the page exclusive to the process.
  ///
  /// Mainline also unshares pages of any private mapping before a long-term pin (`unsharesAnyPrivate`).
  ///
  /// - Kernel: include/linux/mm.h:gup_must_unshare (6.1)
  @inline(never)
  func mustUnshare(_ frame: FrameNumber, _ entry: PageTableEntry, _ flags: PinFlags) -> Bool {
    guard policy.tracksExclusive, isEnabled(.unsharePinned), flags.contains(.pin), !flags.contains(.write),
      !entry.isWritable
    else { return false }
    let page = memmap.page(frame)
    if memmap.page(memmap.head(of: frame)).mapping.isAnonymous { return !page.has(.anonExclusive) }
    // Whether the mapping is private is not known without its area, so the slow path must find out.
    return policy.unsharesAnyPrivate && flags.contains(.longterm)
  }
}

/// An entry as a walk has read it, with its place.
private struct ReadEntry {
  let cell: EntryCell
  let entry: PageTableEntry

  @inline(__always)
  init(_ cell: EntryCell) {
    self.cell = cell
    entry = cell.load()
  }

  /// Whether the entry is still the same.
  @inline(__always)
  var isUnchanged: Bool { cell.load() == entry }
}

/// The state of a lockless walk: its position, and the pins that are not yet counted in the statistics.
private struct LocklessWalk {
  private(set) var page: UInt64
  let end: UInt64
  let flags: PinFlags
  let processor: Int
  /// A slot for the frame of each page.
  let frames: UnsafeMutableBufferPointer<FrameNumber>
  private(set) var taken = 0
  private var pending = 0
  private var node = 0
  /// Zone and node of the last page, as its flag word has them; `.max` if `pinSmallPages` must not take the
  /// next page.
  private(set) var zone = UInt64.max

  init(_ range: PinRange, _ flags: PinFlags, on processor: Int) {
    page = range.start
    end = range.start &+ UInt64(truncatingIfNeeded: range.count)
    frames = range.frames
    self.flags = flags
    self.processor = processor
  }

  /// The slots that are not filled yet.
  @inline(__always)
  var room: UnsafeMutableBufferPointer<FrameNumber> {
    UnsafeMutableBufferPointer(rebasing: frames.dropFirst(taken))
  }

  /// Advances past `pages` pages and adds `pins` to the pins that are not yet counted.
  @inline(__always)
  mutating func advance(by pages: Int, pins: Int) {
    taken &+= pages
    page &+= UInt64(truncatingIfNeeded: pages)
    pending &+= pins
  }

  /// Sets the zone from the flag word of a page that was taken; pins are counted for its node from here on.
  @inline(__always)
  mutating func change(to word: UInt64, _ machine: Machine) {
    // The zero page may be pinned in a zone where other pages may not be.
    let mayStay = !flags.contains(.longterm) || machine.pinRules.mayStay(inZoneOf: word)
    zone = mayStay ? word &>> PageFlags.zoneShift : .max
    if PageFlags.node(of: word) == node { return }
    flushCount(machine)
    node = PageFlags.node(of: word)
  }

  /// Counts the pins in the statistics of their node.
  @inline(never)
  mutating func flushCount(_ machine: Machine) {
    if pending > 0 { machine.pins.countAcquired(pending, node: node, on: processor) }
    pending = 0
  }
}
