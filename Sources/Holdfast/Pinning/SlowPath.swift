import Interleaving
import SystemPackage

/// The virtual page that the slow path follows, with the flags of the call.
private struct FollowedPlace {
  let space: AddressSpace
  let area: VirtualMemoryArea
  let page: UInt64
  let flags: PinFlags
  /// Whether a forced write has faulted on the page already, so that a copy is mapped now (FOLL_COW).
  let wasCopied: Bool

  var address: VirtualAddress { VirtualAddress(page: page) }
}

/// What following one address found.
private enum Followed {
  /// The page, which was grabbed, and how many pages its entry maps from it on.
  case page(FrameNumber, mapped: Int)
  /// No page that the call may use; a fault is needed.
  case fault(unshare: Bool)
  /// The call ends here.
  case failed(PinError)
}

/// The slow path: one page at a time, with a fault where an entry does not give the page.
extension Pins {
  /// Takes pages one by one.
  ///
  /// - Returns: the number of pages, and the reason if they are fewer than requested. Linux returns the
  ///   reason only if there is no page.
  /// - Locks: the caller holds the space's lock, shared.
  /// - Kernel: mm/gup.c:__get_user_pages (6.1); with all pages of a huge entry at once, as 6.5 on; without the gate page, FOLL_NOWAIT, calls that want no pages;
  ///   a signal is looked for before the area, in the kernel after it and after follow_hugetlb_page.
  func pinSlowly(_ request: PinRequest, _ range: PinRange) -> Taken {
    let process = request.process
    let space = spaces.space(request.space)
    let flags = request.flags
    if request.isPin { markHasPinned(space) }
    var area: VirtualMemoryArea?
    var taken = 0
    // The page on which a forced write has just faulted (FOLL_COW).
    var copied: UInt64?
    func ended(_ failure: PinError?) -> Taken { Taken(count: taken, failure: failure) }
    while taken < range.count {
      let virtual = range.start + UInt64(taken)
      let address = VirtualAddress(page: virtual)
      if isEnabled(.fatalSignalCheck), process.hasFatalSignal {
        return ended(PinError(.signal, .interrupted, .interrupted, address: address))
      }
      if area == nil || virtual >= (area?.end ?? 0) {
        area = spaces.findArea(space, virtual)
        if let failure = checkArea(area, flags, address) { return ended(failure) }
      }
      guard let current = area else { return ended(nil) }
      var wanted = flags
      if !isEnabled(.forcedWriteStays), copied == virtual { wanted.remove(.write) }
      let place = FollowedPlace(
        space: space, area: current, page: virtual, flags: wanted, wasCopied: copied == virtual)
      switch follow(place, on: process.processor) {
      case .page(let frame, let mapped):
        let count = policy.takesHugeEntriesWhole ? min(mapped, range.count - taken) : 1
        for i in 0..<count { range.frames[taken &+ i] = frame + i }
        if count > 1, !tryGrabPage(frame, refs: Int32(count - 1), flags, on: process.processor) {
          let references = memmap.page(memmap.head(of: frame)).refcount.load()
          let first = UnsafeMutableBufferPointer(rebasing: range.frames[taken...taken])
          unpinAll(first, pins: request.isPin, markDirty: false, on: process.processor)
          return ended(
            PinError(
              .grab, .countOverflow(references: references), .badAddress, address: address, frame: frame))
        }
        taken += count
      case .fault(let unshare):
        if flags.contains(.noFault) {
          return ended(PinError(.fault, .wouldFault, .badAddress, address: address))
        }
        if let failure = faultIn(place, unshare: unshare, by: process) { return ended(failure) }
        if flags.contains([.force, .write]) { copied = virtual }
      case .failed(let failure): return ended(failure)
      }
    }
    return ended(nil)
  }

  /// Takes references on pages, which are writable then, for a device that is to have them exclusively.
  ///
  /// - Returns: the number of pages, and the reason if they are fewer than there is room for.
  /// - Locks: the caller holds the space's lock, shared.
  package func getForDevice(
    _ process: Process, _ space: RowID, page: UInt64, _ frames: UnsafeMutableBufferPointer<FrameNumber>
  ) -> (count: Int, failure: PinError?) {
    let request = PinRequest(
      process: process, space: space, address: VirtualAddress(page: page), pages: frames.count,
      flags: [.get, .write, .splitPMD, .touch, .remote], entry: .remote, isPin: false, purpose: PinLabel(""),
      accounting: .none)
    let taken = pinSlowly(request, PinRange(start: page, frames: frames))
    return (taken.count, taken.failure)
  }

  /// The reason why an area does not give its pages to a caller with these flags; nil if it does.
  ///
  /// - Kernel: mm/gup.c:check_vma_flags (6.1); without filesystem DAX, secret memory, protection keys.
  private func checkArea(_ area: VirtualMemoryArea?, _ flags: PinFlags, _ address: VirtualAddress)
    -> PinError?
  {
    func refuse(_ cause: PinError.Cause) -> PinError {
      PinError(.area, cause, .badAddress, address: address)
    }
    guard let area else { return refuse(.noArea) }
    let allowed = area.flags
    if !allowed.isDisjoint(with: [.io, .frameMap]) { return refuse(.noPages) }
    if flags.contains(.anonymous), !area.isAnonymous { return refuse(.notAnonymous) }
    if policy.refusesInternalFlags, flags.contains(.splitPMD), allowed.contains(.hugetlb) {
      return PinError(.area, .hugetlbSplit, .notSupported, address: address)
    }
    if flags.contains(.write) {
      if !allowed.contains(.write) {
        guard flags.contains(.force), !allowed.contains(.hugetlb), area.isCopyOnWrite else {
          return refuse(.notPermitted(write: true))
        }
      }
    } else if !allowed.contains(.read) {
      guard flags.contains(.force), allowed.contains(.mayRead) else {
        return refuse(.notPermitted(write: false))
      }
    }
    return nil
  }

  /// Looks up the page at one address and grabs it if the call may use it.
  ///
  /// - Locks: takes the page-table lock.
  /// - Kernel: mm/gup.c:follow_page_mask (6.1); without huge entries above the PMD level.
  /// - Kernel: mm/gup.c:follow_pmd_mask (6.1); without device pages, FOLL_MIGRATION.
  /// - Kernel: mm/gup.c:follow_page_pte (6.1); without device pages, FOLL_MIGRATION, frames without
  ///   descriptors.
  /// - Kernel: mm/huge_memory.c:follow_trans_huge_pmd (6.1); without the huge zero page.
  /// - Kernel: mm/hugetlb.c:follow_hugetlb_page (6.1); without taking the pages of a huge page with one grab,
  ///   hugetlbfs_pagecache_present for FOLL_DUMP; FOLL_NOFAULT is refused, in the kernel ignored.
  private func follow(_ place: FollowedPlace, on processor: Int) -> Followed {
    let (space, area, virtual, flags) = (place.space, place.area, place.page, place.flags)
    let address = place.address
    space.pageTableLock.lock()
    defer { space.pageTableLock.unlock() }
    guard var slot = pageTables.leafSlot(space, virtual) else { return hole(place) }
    if slot.level == 1, flags.contains(.splitPMD), !area.flags.contains(.hugetlb), !slot.entry.isMigration {
      pageTables.splitHuge(space, slot, virtual, on: processor)
      guard let small = pageTables.leafSlot(space, virtual) else { return hole(place) }
      slot = small
    }
    let entry = slot.entry
    if entry.isNone { return hole(place) }
    if entry.swapKind != nil { return .fault(unshare: false) }
    if entry.isProtNone, !flags.contains(.force) { return .fault(unshare: false) }
    let offset = slot.level == 1 ? Int(virtual & UInt64(geometry.tableEntries - 1)) : 0
    let frame = entry.frame + offset
    let first = slot.level == 1 ? entry.frame : frame
    if flags.contains(.write), !entry.isWritable {
      guard mayForceWrite(first, entry, place) else { return .fault(unshare: false) }
    }
    if entry.isSpecial, flags.contains(.dump) {
      return .failed(PinError(.fault, .holeForDump, .badAddress, address: address))
    }
    if needsUnsharing(first, entry, place) { return .fault(unshare: true) }
    if policy.refusesHugetlbMoves, area.flags.contains(.hugetlb), flags.contains([.pin, .longterm]),
      !folios.isLongtermPinnable(frame)
    {
      return .failed(
        PinError(.grab, .hugetlbMayNotStay, .noMemory, address: address, frame: frame))
    }
    guard tryGrabPage(frame, flags, on: processor) else {
      let head = memmap.head(of: frame)
      return .failed(
        PinError(
          .grab, .countOverflow(references: memmap.page(head).refcount.load()), .noMemory, address: address,
          frame: frame))
    }
    if flags.contains(.touch), slot.level == 1 {
      // Only the entry of a huge page is marked, and none of hugetlb (follow_trans_huge_pmd,
      // follow_hugetlb_page).
      if !area.flags.contains(.hugetlb) { faults.touch(slot, entry, write: flags.contains(.write)) }
    } else if flags.contains(.touch) {
      let head = memmap.head(of: frame)
      if flags.contains(.write), !entry.has(PageTableEntry.dirty), !memmap.page(head).has(.dirty),
        !entry.isSpecial
      {
        memmap.page(head).set(.dirty)
      }
      lru.markAccessed(head, on: processor)
    }
    return .page(frame, mapped: slot.level == 1 ? geometry.tableEntries - offset : 1)
  }

  /// What to do where no entry maps a page: a core dump leaves holes in anonymous memory, other calls fault.
  ///
  /// - Kernel: mm/gup.c:no_page_table (6.1)
  private func hole(_ place: FollowedPlace) -> Followed {
    if place.flags.contains(.dump), place.area.isAnonymous {
      return .failed(PinError(.fault, .holeForDump, .badAddress, address: place.address))
    }
    return .fault(unshare: false)
  }

  /// Whether FOLL_FORCE may write through a read-only entry: only to an exclusive anonymous page.
  ///
  /// Before 5.19 no bit says that a page is exclusive; then it must be the dirty copy that this call's fault
  /// has made.
  ///
  /// - Kernel: mm/gup.c:can_follow_write_pte (6.1); without soft-dirty bits, userfaultfd.
  /// - Kernel: mm/huge_memory.c:can_follow_write_pmd (6.1); without soft-dirty bits, userfaultfd.
  private func mayForceWrite(
    _ frame: FrameNumber, _ entry: PageTableEntry, _ place: FollowedPlace
  ) -> Bool {
    let area = place.area
    return place.flags.contains(.force) && area.isCopyOnWrite && !area.flags.contains(.write)
      && memmap.page(memmap.head(of: frame)).mapping.isAnonymous
      && (policy.tracksExclusive
        ? memmap.page(frame).has(.anonExclusive) : place.wasCopied && entry.has(PageTableEntry.dirty))
  }

  /// Whether the page must be unshared before it is pinned; the area says whether the mapping is private.
  private func needsUnsharing(
    _ frame: FrameNumber, _ entry: PageTableEntry, _ place: FollowedPlace
  ) -> Bool {
    guard mustUnshare(frame, entry, place.flags) else { return false }
    return memmap.page(memmap.head(of: frame)).mapping.isAnonymous || place.area.isCopyOnWrite
  }

  /// Faults one page in.
  ///
  /// - Returns: nil if the caller is to look at the entry again.
  /// - Kernel: mm/gup.c:faultin_page (6.1); without releasing the space's lock, FOLL_NOWAIT, FOLL_TRIED.
  private func faultIn(_ place: FollowedPlace, unshare: Bool, by process: Process) -> PinError? {
    let (flags, address) = (place.flags, place.address)
    var fault: FaultFlags = []
    if flags.contains(.write) { fault.insert(.write) }
    if flags.contains(.remote) { fault.insert(.remote) }
    if unshare { fault.insert(.unshare) }
    switch faults.handle(process, place.space, place.area, page: place.page, fault) {
    case .success, .retry: return nil
    case .outOfMemory(let error):
      return PinError(
        .fault, .faultNoMemory(error?.description ?? "no table page"), .noMemory, address: address)
    case .busError:
      return PinError(.fault, .faultRefused("beyond the end of the object"), .badAddress, address: address)
    case .segmentationFault:
      return PinError(.fault, .faultRefused("no such access"), .badAddress, address: address)
    case .hwpoison:
      return PinError(
        .fault, .faultRefused("the page is poisoned"),
        flags.contains(.hwpoison) ? .poisonedPage : .badAddress, address: address)
    }
  }
}
