import Interleaving

/// Replacing a folio's mappings by migration entries, and back.
extension Migration {
  /// Replaces every mapping of a locked folio by a migration entry.
  ///
  /// Order in each entry: clear it, then ask whether the page is pinned, then write the migration entry. A
  /// lockless pin does the mirror image: it takes its reference, then looks at the entry again. So exactly
  /// one of the two wins.
  ///
  /// Entries of pages that a device has exclusively are found from 6.15 on, and the device loses the page. Before,
  /// their mapping is not counted, so that nothing looks for them and their reference makes the move fail.
  ///
  /// - Parameter groupIsHeld: whether the caller keeps the folio's anonymous group from going away.
  /// - Returns: false if an exclusive page turned out to be pinned, or a failure was injected; entries
  ///   replaced so far stay, for the caller to restore.
  /// - Kernel: mm/rmap.c:try_to_migrate (6.1); without device memory, the temporary stack of exec.
  /// - Kernel: mm/rmap.c:try_to_migrate_one (6.1); without MMU notifiers but for exclusive pages, hwpoison entries,
  ///   exclusive entries beside mappings of the same folio, for which 6.1 takes a wrong page, device-private pages, soft-dirty and userfaultfd bits, shared PMD tables, PG_dirty on a folio whose dirty entry is
  ///   put back because of a pin.
  /// - Kernel: mm/huge_memory.c:set_pmd_migration_entry (6.1); without soft-dirty and userfaultfd bits.
  /// - Kernel: include/linux/rmap.h:page_try_share_anon_rmap (6.1)
  func replaceMappings(of head: FrameNumber, groupIsHeld: Bool, on processor: Int) -> Bool {
    guard isMapped(head) else { return true }
    var refused = false
    reverseMap.forEachMapping(of: head, groupIsHeld: groupIsHeld) { space, area, _ in
      space.pageTableLock.withLock {
        forEachSlot(of: head, in: area, space) { slot, virtual, first, count in
          if refused { return }
          let entry = slot.entry
          let isDevices = policy.exclusiveAccess == .page && entry.isExclusive
          guard entry.mapsFrame || isDevices, !entry.isSpecial, entry.frame == first else { return }
          if failures.shouldFail(.unmap) {
            refused = true
            return
          }
          if isDevices { mirrors.revoke(space, virtual) }
          let wasPinned = !isEnabled(.pinTestAfterClear) && folios.isMaybePinned(head)
          pageTables.setEntry(slot, .none, isEnabled(.clearBeforeLook) ? .sequential : .release)
          let exclusive = policy.tracksExclusive && memmap.page(first).has(.anonExclusive)
          if exclusive {
            if isEnabled(.pinTestAfterClear) ? folios.isMaybePinned(head) : wasPinned {
              pageTables.setEntry(slot, entry, .sequential)
              refused = true
              return
            }
            memmap.page(first).clear(.anonExclusive)
          }
          let kind: PageTableEntry.SwapKind =
            entry.mapsFrame && entry.isWritable
            ? .migrationWrite : exclusive ? .migrationReadExclusive : .migrationRead
          let replacement = PageTableEntry.migration(
            kind, first, young: entry.has(PageTableEntry.accessed), dirty: entry.has(PageTableEntry.dirty),
            huge: count > 1)
          if entry.has(PageTableEntry.dirty) { memmap.page(head).set(.dirty) }
          pageTables.setEntry(slot, replacement)
          reverseMap.remove(first, huge: count > 1, on: processor)
          folios.put(head, on: processor)
        }
      }
      return !refused
    }
    return !refused && !isMapped(head)
  }

  /// Turns the migration entries that name `source` into mappings of `target`.
  ///
  /// The target is the same folio or the one that it was moved to. Entries inherit what the migration entry
  /// kept. An entry that was writable becomes writable again only if the area allows it now.
  ///
  /// - Kernel: mm/migrate.c:remove_migration_ptes (6.1)
  /// - Kernel: mm/migrate.c:remove_migration_pte (6.1); without soft-dirty and userfaultfd bits,
  ///   device-private pages, locked areas, the test that the folio is still dirty.
  /// - Kernel: mm/huge_memory.c:remove_migration_pmd (6.1); without soft-dirty and userfaultfd bits, the test
  ///   that the page is still dirty.
  func restoreMappings(
    from source: FrameNumber, to target: FrameNumber, groupIsHeld: Bool, on processor: Int
  ) {
    reverseMap.forEachMapping(of: target, groupIsHeld: groupIsHeld) { space, area, _ in
      space.pageTableLock.withLock {
        forEachSlot(of: source, identity: target, in: area, space) { slot, virtual, first, count in
          let entry = slot.entry
          guard entry.isMigration, let kind = entry.swapKind, entry.frame == first else { return }
          let frame = target + (first.index - source.index)
          var bits = PageTableEntry.user
          bits |=
            area.flags.isDisjoint(with: [.read, .write]) ? PageTableEntry.protNone : PageTableEntry.present
          if entry.has(PageTableEntry.accessed) { bits |= PageTableEntry.accessed }
          if entry.has(PageTableEntry.dirty) { bits |= PageTableEntry.dirty }
          if count > 1 { bits |= PageTableEntry.huge }
          if kind == .migrationWrite, area.flags.contains(.write) { bits |= PageTableEntry.writable }
          folios.get(target)
          let exclusive =
            policy.tracksExclusive && memmap.page(target).mapping.isAnonymous && kind != .migrationRead
          reverseMap.add(
            frame, area, page: virtual, huge: count > 1, exclusive: exclusive, on: processor)
          pageTables.setEntry(slot, .leaf(frame, bits), .sequential)
        }
      }
      return true
    }
  }

  /// Visits the leaf slots of an area at which a folio's pages belong: one PMD slot, or one slot a page.
  ///
  /// - Parameters:
  ///   - identity: the folio whose `index` says where, if `head` has given its identity away already.
  ///   - body: gets the slot, its virtual page, the frame of `head`'s folio that belongs there, and how many
  ///     frames the slot covers.
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/page_vma_mapped.c:page_vma_mapped_walk (6.1); without hugetlb sizes other than a PMD's,
  ///   taking the lock itself, the test of the entry, which `body` makes.
  @inline(__always)
  private func forEachSlot(
    of head: FrameNumber, identity: FrameNumber? = nil, in area: VirtualMemoryArea, _ space: AddressSpace,
    _ body: (EntrySlot, UInt64, FrameNumber, Int) -> Void
  ) {
    let pages = memmap.folioPages(head)
    let index = memmap.page(identity ?? head).index
    var i = area.pageOffset > index ? Int(area.pageOffset - index) : 0
    while i < pages {
      let virtual = area.start + (index + UInt64(i) - area.pageOffset)
      guard virtual < area.end else { return }
      guard let slot = pageTables.leafSlot(space, virtual) else {
        i += 1
        continue
      }
      if slot.level == 1 {
        // A PMD slot covers the folio from its first page on, whatever page the area begins with.
        body(slot, virtual, head, pages)
        i += geometry.tableEntries - Int(virtual & UInt64(geometry.tableEntries - 1))
      } else {
        body(slot, virtual, head + i, 1)
        i += 1
      }
    }
  }
}
