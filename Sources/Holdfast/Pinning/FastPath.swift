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
    walkers.fetchAdd(1, .sequential)
    var walk = LocklessWalk(page: start, end: start &+ UInt64(count), flags: flags, processor: processor)
    walkTables(space.rootTable, out, &walk)
    walkers.fetchAdd(UInt32.max, .sequential)
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
  @inline(__always)
  private func takeEntries(
    _ upper: PageTableEntry, _ upperCell: AtomicUInt64, _ end: UInt64, _ mask: UInt64,
    _ out: UnsafeMutablePointer<FrameNumber>, _ walk: inout LocklessWalk
  ) -> Bool {
    let table = tablePage(upper.tableID)
    let flags = walk.flags
    let needed =
      PageTableEntry.present | PageTableEntry.user | (flags.contains(.write) ? PageTableEntry.writable : 0)
    while walk.page < end {
      let cell = table.entry(Int(walk.page & mask))
      let raw = cell.load()
      let entry = PageTableEntry(rawValue: raw)
      guard raw & (needed | PageTableEntry.special) == needed else { return false }
      let frame = entry.frame
      guard let head = grabLockless(frame, 1, flags, on: walk.processor) else { return false }
      // Whoever removed or replaced the entry before the reference was there did not see the reference.
      guard cell.load() == raw, upperCell.load() == upper.rawValue,
        !mustUnshare(frame, entry, flags)
      else {
        undoLocklessGrab(head, 1, flags, on: walk.processor)
        return false
      }
      let descriptor = page(head)
      let word = descriptor.flagWord.load(.relaxed)
      if word & PageFlags.referenced.rawValue == 0 { descriptor.set(.referenced) }
      if flags.contains(.pin), !isUncountedZeroPage(frame) {
        walk.count(1, node: Int((word &>> PageFlags.nodeShift) & 0x3ff), self)
      }
      out[walk.taken] = frame
      walk.taken &+= 1
      walk.page &+= 1
    }
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
    guard let head = grabLockless(frame, refs, flags, on: walk.processor) else { return false }
    guard cell.load() == entry.rawValue, !mustUnshare(entry.frame, entry, flags) else {
      undoLocklessGrab(head, refs, flags, on: walk.processor)
      return false
    }
    if !page(head).has(.referenced) { page(head).set(.referenced) }
    if flags.contains(.pin) { walk.count(Int(refs), node: page(head).zone.node, self) }
    for i in 0..<Int(refs) { out[walk.taken &+ i] = frame + i }
    walk.taken &+= Int(refs)
    walk.page = end
    return true
  }

  /// Whether a read-only pin must first make the page the process's own (gup_must_unshare, spec 5.8).
  @inline(__always)
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
  var page: UInt64
  let end: UInt64
  let flags: PinFlags
  let processor: Int
  var taken = 0
  private var pending = 0
  private var node = 0

  init(page: UInt64, end: UInt64, flags: PinFlags, processor: Int) {
    self.page = page
    self.end = end
    self.flags = flags
    self.processor = processor
  }

  @inline(__always)
  mutating func count(_ pins: Int, node: Int, _ machine: Machine) {
    if node != self.node {
      flushCount(machine)
      self.node = node
    }
    pending &+= pins
  }

  mutating func flushCount(_ machine: Machine) {
    if pending > 0 { machine.countAcquired(pending, node: node, on: processor) }
    pending = 0
  }
}
