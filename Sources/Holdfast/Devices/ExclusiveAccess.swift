import Interleaving
import SystemPackage

/// Exclusive access of devices: the processor's entries of a page are replaced, until the processor touches it.
///
/// Up to 6.14 every mapping of a page is replaced, from 6.15 on the one entry of a page that is mapped writable, which
/// has only that. What is said of 6.15 is from memory; the sources at hand are 6.1 and 6.12, where both are the same.
extension Devices {
  /// Takes pages away from the processor.
  ///
  /// Those that were taken are locked and have a reference more, both the caller's.
  ///
  /// - Parameter frames: gets a frame for each page that was taken, `.none` for others.
  /// - Returns: how many pages were found, taken or not; or why none was.
  /// - Locks: the caller holds the space's lock, shared.
  /// - Kernel: mm/rmap.c:make_device_exclusive_range (6.1)
  func takeExclusive(
    _ space: RowID, _ page: UInt64, _ frames: UnsafeMutableBufferPointer<FrameNumber>, by process: Process
  ) -> (found: Int, failure: PinError?) {
    let taken = pins.getForDevice(process, space, page: page, frames)
    for index in 0..<taken.count {
      let frame = frames[index]
      let head = memmap.head(of: frame)
      let lock = memmap.page(head).lock
      guard head == frame, lock.tryLock() else {
        folios.put(head, on: process.processor)
        frames[index] = .none
        continue
      }
      if !replaceMappings(of: head, for: space, page + UInt64(index), on: process.processor) {
        lock.unlock()
        folios.put(head, on: process.processor)
        frames[index] = .none
      }
    }
    return (taken.count, taken.failure)
  }

  /// Replaces every mapping of an anonymous folio by exclusive entries.
  ///
  /// - Returns: whether nothing maps the folio now, and the page at the address was writable. Entries of a folio for
  ///   which that is not so stay, and are restored by faults.
  /// - Locks: the caller holds the page lock, and a reference.
  /// - Kernel: mm/rmap.c:folio_make_device_exclusive (6.1)
  private func replaceMappings(
    of head: FrameNumber, for space: RowID, _ page: UInt64, on processor: Int
  ) -> Bool {
    let folio = memmap.page(head)
    guard folio.mapping.isAnonymous, !folio.isHugetlb else { return false }
    var isValid = false
    reverseMap.forEachMapping(of: head) { owner, area, first in
      replaceEntries(of: head, owner, area, first, on: processor) { place, wasWritable in
        if area.space == space, place == page, wasWritable { isValid = true }
      } && folios.mappingCount(head) > 0
    }
    return isValid && folios.mappingCount(head) == 0
  }

  /// Replaces the entries of a folio in one area; false if one of them does not map its page.
  ///
  /// No other device's access ends here: what a device has is restored before a page is taken.
  ///
  /// - Kernel: mm/rmap.c:page_make_device_exclusive_one (6.1); without MMU notifiers, soft-dirty and userfaultfd bits.
  private func replaceEntries(
    of head: FrameNumber, _ space: AddressSpace, _ area: VirtualMemoryArea, _ first: UInt64,
    on processor: Int,
    _ replaced: (_ page: UInt64, _ wasWritable: Bool) -> Void
  ) -> Bool {
    space.pageTableLock.lock()
    defer { space.pageTableLock.unlock() }
    let folio = memmap.page(head)
    let skipped = area.offset(of: first) &- folio.index
    for index in Int(skipped)..<memmap.folioPages(head) {
      let page = first &+ UInt64(index) &- skipped
      guard page < area.end else { break }
      guard let slot = pageTables.leafSlot(space, page), slot.level == 0 else { continue }
      let entry = slot.entry
      guard entry.frame == head + index, !entry.isSpecial, entry.mapsFrame || entry.isExclusive else {
        continue
      }
      guard entry.mapsFrame else { return false }
      replaced(page, entry.isWritable)
      exclude(slot, entry)
      reverseMap.remove(entry.frame, huge: false, on: processor)
    }
    return true
  }

  /// Replaces an entry, whose reference the new one keeps.
  private func exclude(_ slot: EntrySlot, _ entry: PageTableEntry) {
    pageTables.setEntry(slot, .none)
    if entry.has(PageTableEntry.dirty) { memmap.page(memmap.head(of: entry.frame)).set(.dirty) }
    pageTables.setEntry(slot, .exclusive(entry.frame, write: entry.isWritable))
  }

  /// Takes one page away from the processor; its folio is locked and has a reference, both the caller's.
  ///
  /// - Throws: EOPNOTSUPP for memory that is not anonymous, and the error of GUP.
  /// - Locks: the caller holds the space's lock, shared.
  /// - Kernel: mm/rmap.c:make_device_exclusive (6.15); without being killed while it waits for the lock.
  func takeExclusivePage(
    _ id: RowID, _ page: UInt64, by process: Process
  ) throws(MirrorError) -> FrameNumber {
    let address = VirtualAddress(page: page)
    let space = spaces.space(id)
    while true {
      var frames = [FrameNumber.none]
      let taken = frames.withUnsafeMutableBufferPointer {
        pins.getForDevice(process, id, page: page, $0)
      }
      let frame = frames[0]
      guard taken.count == 1 else {
        guard let failure = taken.failure else { throw MirrorError(.badRange, .badAddress, at: address) }
        throw MirrorError(.pin(failure), failure.errno, at: address)
      }
      let head = memmap.head(of: frame)
      let folio = memmap.page(head)
      guard folio.mapping.isAnonymous, !folio.isHugetlb else {
        folios.put(head, on: process.processor)
        throw MirrorError(.notAnonymous, .notSupported, at: address)
      }
      folio.lock.lock()
      // Meanwhile the entry may have changed. A page that is mapped writable has only that entry.
      let isTaken = space.pageTableLock.withLock {
        guard let slot = pageTables.leafSlot(space, page), slot.level == 0, slot.entry.frame == frame,
          slot.entry.mapsFrame, slot.entry.isWritable
        else { return false }
        exclude(slot, slot.entry)
        return true
      }
      if isTaken { return frame }
      folio.lock.unlock()
      folios.put(head, on: process.processor)
    }
  }
}
