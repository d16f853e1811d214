import Interleaving
import SystemPackage

extension Advice {
  /// The advice that the engine takes.
  ///
  /// The rest is refused as by a kernel that was built without it. MADV_NOMOVABLE is taken under every policy, as if
  /// seed 004 were applied to its kernel.
  ///
  /// - Kernel: mm/madvise.c:madvise_behavior_valid (6.1); without advice that depends on the kernel's
  ///   configuration.
  public static let implemented: [Advice] = [
    .dontNeed, .hugePage, .noHugePage, .populateRead, .populateWrite, .dontFork, .doFork, .wipeOnFork,
    .keepOnFork, .noMovable,
  ]
}

/// madvise, and faulting pages in ahead of use.
extension Machine {
  /// Gives advice about a range: the system call madvise.
  ///
  /// The advice is applied to the mapped parts of the range even if it has holes, which are reported at the
  /// end.
  ///
  /// - Throws: EINVAL for advice that is not implemented, an unaligned start, a wrap-around, or an area that
  ///   does not take the advice; ENOMEM for holes or lack of memory; EAGAIN if the table of areas is full;
  ///   EFAULT if a page to be populated lies beyond its object. A length of zero is no error.
  /// - Locks: takes the space's lock, exclusively for advice that changes areas.
  /// - Kernel: mm/madvise.c:do_madvise (6.1); without the advice that `implemented` does not list.
  /// - Kernel: mm/khugepaged.c:hugepage_madvise (6.1); without khugepaged.
  public func advise(
    _ process: Process, _ range: AddressRange, _ advice: Advice
  ) throws(AddressSpaceError) {
    guard Advice.implemented.contains(advice) else {
      throw AddressSpaceError(.advise, .adviceUnknown(advice), errno: .invalidArgument)
    }
    let space = try spaces.liveSpace(of: process, .advise)
    let span = try spaces.span(of: range, .advise, overflowErrno: .invalidArgument)
    guard !span.isEmpty else { return }
    switch advice {
    case .dontNeed:
      space.lock.lockShared()
      defer { space.lock.unlockShared() }
      try spaces.forEachMapped(space, span) { area, part throws(AddressSpaceError) in
        try spaces.dropPages(space, area, part, on: process.processor)
      }
    case .hugePage, .noHugePage, .dontFork, .doFork, .wipeOnFork, .keepOnFork, .noMovable:
      space.lock.lockExclusive()
      defer { space.lock.unlockExclusive() }
      try spaces.forEachMapped(space, span) { area, part throws(AddressSpaceError) in
        guard let flags = area.flags(after: advice) else {
          throw AddressSpaceError(
            .advise, .unsuitableArea, at: VirtualAddress(page: part.start), errno: .invalidArgument)
        }
        guard flags != area.flags else { return }
        let errno = Errno.resourceTemporarilyUnavailable
        try spaces.splitAreas(space, at: part.start, .advise, fullErrno: errno, on: process.processor)
        try spaces.splitAreas(space, at: part.end, .advise, fullErrno: errno, on: process.processor)
        let area = spaces.findArea(space, part.start)
        space.pageTableLock.withLock { area?.flags = flags }
      }
    case .populateRead, .populateWrite:
      try spaces.populate(space, span, write: advice == .populateWrite, for: process)
    default: break
    }
  }
}

extension VirtualMemoryArea {
  /// The area's flags after an advice that changes them; nil if the area does not take it.
  ///
  /// - Kernel: mm/madvise.c:madvise_vma_behavior (6.1); without advice that `Advice.implemented` does not
  ///   list.
  fileprivate func flags(after advice: Advice) -> VirtualMemoryAreaFlags? {
    switch advice {
    case .hugePage: flags.subtracting(.noHugePage).union(.hugePage)
    case .noHugePage: flags.subtracting(.hugePage).union(.noHugePage)
    case .dontFork: flags.union(.dontCopy)
    case .doFork: flags.contains(.io) ? nil : flags.subtracting(.dontCopy)
    // Shared anonymous memory and huge pages of the pool have an object, as they have a file in Linux.
    case .wipeOnFork: isAnonymous ? flags.union(.wipeOnFork) : nil
    case .keepOnFork: flags.subtracting(.wipeOnFork)
    // Seed 004 asks nothing about the area, and no advice takes the flag away.
    case .noMovable: flags.union(.noMovable)
    default: nil
    }
  }
}

extension Spaces {
  /// Calls `body` with every area that meets the span, and with the part of the span in it.
  ///
  /// A hole is an error at the end.
  ///
  /// - Kernel: mm/madvise.c:madvise_walk_vmas (6.1)
  fileprivate func forEachMapped(
    _ space: AddressSpace, _ span: PageSpan,
    _ body: (VirtualMemoryArea, PageSpan) throws(AddressSpaceError) -> Void
  ) throws(AddressSpaceError) {
    var hole: UInt64?
    var next = span.start
    while next < span.end {
      guard let area = firstArea(space, from: next), area.start < span.end else {
        hole = hole ?? next
        break
      }
      if area.start > next { hole = hole ?? next }
      let part = PageSpan(start: max(next, area.start), end: min(area.end, span.end))
      next = part.end
      try body(area, part)
    }
    if let hole {
      throw AddressSpaceError(.advise, .hole, at: VirtualAddress(page: hole), errno: .noMemory)
    }
  }

  /// Drops the pages of a part of an area.
  ///
  /// - Kernel: mm/madvise.c:madvise_dontneed_free (6.1); without userfaultfd, MADV_FREE,
  ///   MADV_DONTNEED_LOCKED.
  /// - Kernel: mm/madvise.c:madvise_dontneed_free_valid_vma (6.1)
  fileprivate func dropPages(
    _ space: AddressSpace, _ area: VirtualMemoryArea, _ part: PageSpan, on processor: Int
  ) throws(AddressSpaceError) {
    var part = part
    if area.flags.contains(.hugetlb) {
      guard part.start & (hugePages - 1) == 0 else {
        throw AddressSpaceError(
          .advise, .unaligned(bytes: hugePages << 12), at: VirtualAddress(page: part.start),
          errno: .invalidArgument)
      }
      part.end &= ~(hugePages - 1)
    } else if !area.flags.isDisjoint(with: [.locked, .frameMap]) {
      throw AddressSpaceError(
        .advise, .unsuitableArea, at: VirtualAddress(page: part.start), errno: .invalidArgument)
    }
    if !part.isEmpty { pageTables.zap(space, part, on: processor) }
  }

  // MARK: - Populating

  /// Faults in every page of a span.
  ///
  /// - Kernel: mm/madvise.c:madvise_populate (6.1); without the other checks of check_vma_flags, signals.
  fileprivate func populate(
    _ space: AddressSpace, _ span: PageSpan, write: Bool, for process: Process
  ) throws(AddressSpaceError) {
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    var next = span.start
    while next < span.end {
      let address = VirtualAddress(page: next)
      guard let area = findArea(space, next) else {
        throw AddressSpaceError(.advise, .hole, at: address, errno: .noMemory)
      }
      let needed: VirtualMemoryAreaFlags = write ? .write : .read
      guard area.flags.contains(needed), area.flags.isDisjoint(with: [.io, .frameMap]) else {
        throw AddressSpaceError(.advise, .accessDenied, at: address, errno: .invalidArgument)
      }
      let end = min(area.end, span.end)
      while next < end {
        switch faults.populatePage(space, area, next, write: write, for: process) {
        case .success: next += 1
        case let failure: throw faults.faultError(.advise, failure, at: VirtualAddress(page: next))
        }
      }
    }
  }
}

extension Faults {
  /// Faults in the pages of a new mapping (MAP_POPULATE); an area in which that fails is left as it is.
  ///
  /// Private writable memory is faulted for writing, so that its pages exist at once.
  ///
  /// - Kernel: mm/gup.c:__mm_populate (6.1); without ending at the first error, as mlock wants it.
  /// - Kernel: mm/gup.c:populate_vma_page_range (6.1); without get_user_pages and with it PG_referenced,
  ///   FOLL_FORCE, lru_add_drain at the end: the new pages stay in the LRU batch.
  func populateQuietly(_ space: AddressSpace, _ span: PageSpan, for process: Process) {
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    spaces.forEachArea(space, in: span) { area in
      guard !area.flags.isDisjoint(with: [.read, .write, .execute]) else { return }
      let isWrite = area.flags.contains(.write) && !area.flags.contains(.shared)
      var next = max(area.start, span.start)
      while next < min(area.end, span.end) {
        guard case .success = populatePage(space, area, next, write: isWrite, for: process) else { return }
        next += 1
      }
    }
  }

  /// Faults until a page is mapped as wanted.
  ///
  /// - Locks: the caller holds the space's lock, shared.
  /// - Kernel: mm/gup.c:faultin_vma_page_range (6.1); without get_user_pages and with it PG_referenced,
  ///   lru_add_drain at the end: the new pages stay in the LRU batch.
  fileprivate func populatePage(
    _ space: AddressSpace, _ area: VirtualMemoryArea, _ page: UInt64, write: Bool, for process: Process
  ) -> FaultResult {
    while true {
      let isMapped = space.pageTableLock.withLock { () -> Bool in
        guard let slot = pageTables.leafSlot(space, page) else { return false }
        let entry = slot.entry
        guard entry.isPresent, !write || entry.isWritable else { return false }
        touch(slot, entry, write: write)
        return true
      }
      if isMapped { return .success }
      let result = handle(process, space, area, page: page, write ? [.write, .killable] : .killable)
      guard case .success = result else { return result }
    }
  }

  /// The error that a fault's result is for the caller of a system call or for user space.
  func faultError(
    _ operation: AddressSpaceError.Operation, _ result: FaultResult, at address: VirtualAddress?
  ) -> AddressSpaceError {
    switch result {
    case .outOfMemory(let allocation):
      AddressSpaceError(
        operation, allocation == nil ? .tableFull("tables, groups or objects") : .noMemory, at: address,
        errno: .noMemory, allocation: allocation)
    case .busError: AddressSpaceError(operation, .busError, at: address, errno: .badAddress)
    case .hwpoison: AddressSpaceError(operation, .poisoned, at: address, errno: .poisonedPage)
    case .retry: AddressSpaceError(operation, .pageLocked, at: address, errno: .noMemory)
    case .segmentationFault, .success:
      AddressSpaceError(operation, .accessDenied, at: address, errno: .badAddress)
    }
  }
}
