import Interleaving

/// Entries of pages that a device has exclusively, and how the processor gets such a page back.
///
/// Such an entry keeps the reference of the entry that it replaced. Up to 6.14 the page's mapping is not counted
/// meanwhile; from 6.15 on it is (`PlacementPolicy.exclusiveAccess`).
extension Faults {
  /// Serves a fault on a page that a device has exclusively: the device loses it, and the entry is as before.
  ///
  /// - Kernel: mm/memory.c:remove_device_exclusive_entry (6.1); without releasing the space's lock while it waits.
  func removeExclusive(_ fault: Fault, _ entry: PageTableEntry) -> FaultResult {
    // Without a reference the page could be freed while this waits for its lock. A page that has none has lost
    // its entry meanwhile.
    guard let head = folios.tryGet(entry.frame, processor: fault.processor) else { return .success }
    let lock = memmap.page(head).lock
    lock.lock()
    fault.space.pageTableLock.lock()
    if let slot = pageTables.leafSlot(fault.space, fault.page), slot.entry == entry {
      pageTables.restoreExclusive(fault.space, slot, fault.area, fault.page, on: fault.processor)
    }
    fault.space.pageTableLock.unlock()
    lock.unlock()
    folios.put(head, on: fault.processor)
    return .success
  }
}

extension PageTables {
  /// Turns an exclusive entry back into one that maps its page; the reference is there already.
  ///
  /// From 6.15 on the entry becomes writable if the area is and the page is the process's own; before, if it was
  /// writable and the area still is. (What is said of 6.15 is from memory; 6.12 is as 6.1.)
  ///
  /// - Locks: the caller holds the page-table lock and the page lock.
  /// - Kernel: mm/memory.c:restore_exclusive_pte (6.1); without soft-dirty and userfaultfd bits.
  func restoreExclusive(
    _ space: AddressSpace, _ slot: EntrySlot, _ area: VirtualMemoryArea, _ page: UInt64, on processor: Int
  ) {
    let entry = slot.entry
    if isEnabled(.exclusiveRevokeFirst) { mirrors.revoke(space, page) }
    var bits = leafBits(area) & ~PageTableEntry.accessed
    if policy.exclusiveAccess == .page {
      if area.flags.contains(.write), memmap.page(entry.frame).has(.anonExclusive) {
        bits |= PageTableEntry.writable
        if memmap.page(memmap.head(of: entry.frame)).has(.dirty) { bits |= PageTableEntry.dirty }
      }
    } else {
      if entry.swapKind == .exclusiveWrite { bits |= writtenBits(area) }
      reverseMap.add(entry.frame, area, page: page, huge: false, exclusive: false, on: processor)
    }
    setEntry(slot, .leaf(entry.frame, bits))
    if !isEnabled(.exclusiveRevokeFirst) { mirrors.revoke(space, page) }
  }

  /// Restores an entry for a fork, which copies it then as any other; false if the page's lock is taken.
  ///
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/memory.c:try_restore_exclusive_pte (6.1)
  func tryRestoreExclusive(
    _ space: AddressSpace, _ slot: EntrySlot, _ area: VirtualMemoryArea, _ page: UInt64, on processor: Int
  ) -> Bool {
    let lock = memmap.page(memmap.head(of: slot.entry.frame)).lock
    guard lock.tryLock() else { return false }
    restoreExclusive(space, slot, area, page, on: processor)
    lock.unlock()
    return true
  }

  /// Takes the right to write from an exclusive entry, and the page from its device.
  ///
  /// From 6.15 on the entry stays as it is: what it becomes is decided when it is restored.
  ///
  /// - Locks: the caller holds the page-table lock.
  func protectExclusive(_ space: AddressSpace, _ slot: EntrySlot, _ page: UInt64) {
    mirrors.revoke(space, page)
    if policy.exclusiveAccess != .page { setEntry(slot, .exclusive(slot.entry.frame, write: false)) }
  }

  /// Drops what an exclusive entry that was removed had: its reference, and its mapping if that was counted.
  ///
  /// - Locks: the caller holds the page-table lock.
  func dropExclusive(_ space: AddressSpace, _ entry: PageTableEntry, on processor: Int) {
    countResident(space, entry.frame, by: -1)
    if policy.exclusiveAccess == .page { reverseMap.remove(entry.frame, huge: false, on: processor) }
    folios.put(memmap.head(of: entry.frame), on: processor)
  }
}
