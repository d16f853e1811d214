import Interleaving
import SystemPackage

/// mprotect.
extension Machine {
  /// Changes what user space may do with a range: the system call mprotect.
  ///
  /// The parts before a hole or a refusal have changed when the call fails, as in Linux.
  ///
  /// - Throws: EINVAL for an unaligned start or a cut through a huge page of a hugetlb area, ENOMEM for a
  ///   wrap-around, a hole, or a full table of areas. A length of zero is no error.
  /// - Locks: takes the space's lock exclusively.
  /// - Kernel: mm/mprotect.c:do_mprotect_pkey (6.1); without protection keys, PROT_GROWSDOWN and
  ///   PROT_GROWSUP, limits that mmap set on the protection.
  /// - Kernel: mm/mprotect.c:mprotect_fixup (6.1); without merging areas, the accounting of committed memory,
  ///   populating a locked area that becomes writable.
  public func protect(
    _ process: Process, _ range: AddressRange, _ protection: Protection
  ) throws(AddressSpaceError) {
    let space = try spaces.liveSpace(of: process, .protect)
    let span = try spaces.span(of: range, .protect, overflowErrno: .noMemory)
    guard !span.isEmpty else { return }
    let processor = process.processor
    space.lock.lockExclusive()
    defer { space.lock.unlockExclusive() }
    var next = span.start
    while next < span.end {
      guard let area = spaces.firstArea(space, from: next), area.start <= next else {
        throw AddressSpaceError(.protect, .hole, at: VirtualAddress(page: next), errno: .noMemory)
      }
      let end = min(area.end, span.end)
      let flags = area.flags.subtracting([.read, .write, .execute]).union(protection.areaFlags)
      if flags != area.flags {
        try spaces.splitAreas(space, at: next, .protect, fullErrno: .noMemory, on: processor)
        try spaces.splitAreas(space, at: end, .protect, fullErrno: .noMemory, on: processor)
        guard let part = spaces.findArea(space, next) else { return }
        space.pageTableLock.withLock { part.flags = flags }
        spaces.changeProtection(space, part, on: processor)
      }
      next = end
    }
  }
}

extension Spaces {
  /// Gives the entries of an area the protection that its flags say.
  ///
  /// Write access is removed at once. It is restored only where a write fault would restore it without a
  /// further look: to shared pages, and to anonymous pages that are exclusive. A migration entry loses it,
  /// and a fault restores it.
  ///
  /// - Locks: the caller holds the space's lock exclusively.
  /// - Kernel: mm/mprotect.c:change_protection (6.1)
  /// - Kernel: mm/mprotect.c:change_pmd_range (6.1); without MMU notifiers but for exclusive pages.
  fileprivate func changeProtection(_ space: AddressSpace, _ area: VirtualMemoryArea, on processor: Int) {
    var at = area.start
    while at < area.end {
      let next = min(area.end, (at | (hugePages &- 1)) &+ 1)
      space.pageTableLock.lock()
      guard let slot = pageTables.slot(space, at, level: 1) else {
        space.pageTableLock.unlock()
        at = pageTables.skipMissing(space, at)
        continue
      }
      if !slot.entry.isNone {
        if !slot.entry.isTable, next - at < hugePages {
          pageTables.splitHuge(space, slot, at, on: processor)
        }
        if slot.entry.isTable {
          for page in at..<next {
            if let leaf = pageTables.leafSlot(space, page) { changeEntry(leaf, area, page, space) }
          }
        } else {
          changeEntry(slot, area, at, space)
        }
      }
      space.pageTableLock.unlock()
      at = next
    }
  }

  /// Changes one entry.
  ///
  /// - Kernel: mm/mprotect.c:change_pte_range (6.1); without NUMA hints, userfaultfd, swap and device-private
  ///   entries.
  /// - Kernel: mm/mprotect.c:can_change_pte_writable (6.1); without the test that the entry is dirty: a clean
  ///   entry of an exclusive page becomes writable here, in the kernel by a write fault.
  /// - Kernel: mm/huge_memory.c:change_huge_pmd (6.1); without NUMA hints, userfaultfd.
  /// - Kernel: mm/hugetlb.c:hugetlb_change_protection (6.1); without shared page tables, userfaultfd.
  private func changeEntry(
    _ slot: EntrySlot, _ area: VirtualMemoryArea, _ page: UInt64, _ space: AddressSpace
  ) {
    let entry = slot.entry
    if entry.isNone { return }
    if entry.isExclusive {
      pageTables.protectExclusive(space, slot, page)
      return
    }
    if entry.isMigration {
      guard entry.swapKind == .migrationWrite else { return }
      let folio = memmap.page(memmap.head(of: entry.frame))
      let isExclusive = folio.mapping.isAnonymous && policy.tracksExclusive
      pageTables.setEntry(
        slot,
        .migration(
          isExclusive ? .migrationReadExclusive : .migrationRead, entry.frame,
          young: entry.has(PageTableEntry.accessed), dirty: entry.has(PageTableEntry.dirty),
          huge: entry.isHuge))
      return
    }
    let kept =
      entry.rawValue
      & (PageTableEntry.accessed | PageTableEntry.dirty | PageTableEntry.special | PageTableEntry.huge)
    var bits = pageTables.leafBits(area) | kept
    let isAccessible = bits & PageTableEntry.present != 0
    if isAccessible, policy.tracksExclusive, !entry.isHuge, !entry.isSpecial,
      area.flags.contains(.write), memmap.page(memmap.head(of: entry.frame)).mapping.isAnonymous,
      memmap.page(entry.frame).has(.anonExclusive)
    {
      bits |= PageTableEntry.writable
    }
    pageTables.setEntry(slot, .leaf(entry.frame, bits))
  }
}
