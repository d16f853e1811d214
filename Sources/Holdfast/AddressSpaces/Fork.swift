import Interleaving
import SystemPackage

/// fork: a process with a copy of the address space, whose pages are shared until someone writes to them.
extension Machine {
  /// Makes a child of a process: the system call fork.
  ///
  /// The child gets the areas that were not advised with MADV_DONTFORK, at the same addresses. Pages of private
  /// mappings are shared and write-protected, or copied at once if they may be pinned. Limits and capabilities
  /// are those of the parent; nothing is locked or charged in the child, and it has pinned nothing.
  ///
  /// - Parameters:
  ///   - process: the parent.
  ///   - name: the name that listings show, if not the parent's.
  ///   - processor: the processor that the child runs on, if not the parent's.
  /// - Throws: EINVAL for a processor that does not exist, ESRCH for a process that has ended, EAGAIN if the
  ///   table of processes is full; ENOMEM if another table is full, memory is short, or no huge page is free
  ///   for the copy of a pinned one. The child is gone then; pages that were shared stay write-protected.
  /// - Locks: takes the space's lock exclusively.
  /// - Kernel: kernel/fork.c:copy_process (6.1); without everything but the address space and its limits.
  /// - Kernel: kernel/fork.c:dup_mm (6.1); without counts of committed memory, the executable file.
  public func fork(
    _ process: Process, name: String? = nil, processor: Int? = nil
  ) throws(AddressSpaceError) -> Process {
    let parent = try spaces.liveSpace(of: process, .fork)
    let processor = processor ?? process.processor
    guard (0..<configuration.processors).contains(processor) else {
      throw AddressSpaceError(.fork, .noSuchProcessor(processor), errno: .invalidArgument)
    }
    guard let id = pools.allocate(.processes) else {
      throw AddressSpaceError(.fork, .tableFull("processes"), errno: .resourceTemporarilyUnavailable)
    }
    do {
      let space = try spaces.createChild(of: parent, ProcessID(rawValue: id.rawValue), for: process)
      let child = spaces.process(ProcessID(rawValue: id.rawValue))
      child.unshared.id = ProcessID(rawValue: id.rawValue)
      child.unshared.storedName = name.map(ProcessName.init) ?? process.storedName
      child.processor = processor
      child.memlockLimit = process.memlockLimit
      child.capabilities = process.capabilities
      child.scope = process.scope
      spaces.setSpace(of: child, to: space)
      return child
    } catch {
      pools.free(.processes, id)
      throw error
    }
  }
}

extension Spaces {
  /// Makes the space of a child and copies the parent's areas and tables into it.
  fileprivate func createChild(
    of parent: AddressSpace, _ owner: ProcessID, for process: Process
  ) throws(AddressSpaceError) -> RowID {
    let id = try createSpace(of: owner, allocatingFor: process, .fork, fullErrno: .noMemory)
    do {
      try copyAreas(from: parent, to: id, for: process)
    } catch {
      putSpace(id, on: process.processor)
      throw error
    }
    return id
  }

  /// Copies areas with their tables.
  ///
  /// No process has the child's space yet, so its lock is not needed. Walks of the reverse mapping find its
  /// areas as soon as they are linked; from them its tables are protected by the page-table lock.
  ///
  /// - Kernel: kernel/fork.c:dup_mmap (6.1); without fatal signals, memory policies, userfaultfd, KSM,
  ///   khugepaged, the accounting of committed memory.
  private func copyAreas(
    from parent: AddressSpace, to childID: RowID, for process: Process
  ) throws(AddressSpaceError) {
    parent.lock.lockExclusive()
    defer { parent.lock.unlockExclusive() }
    try forEachArea(parent, in: PageSpan(start: 0, end: geometry.addressSpacePages)) {
      source throws(AddressSpaceError) in
      guard !source.flags.contains(.dontCopy) else { return }
      let target = try copyArea(source, of: parent, to: childID)
      guard isCopied(source) else { return }
      let copy = AreaCopy(
        parent: parent, child: space(childID), source: source, target: target, process: process)
      if let failure = pageTables.copy(copy) { throw faults.faultError(.fork, failure, at: nil) }
    }
  }

  /// Whether a fork copies an area's entries; faults make the others again.
  ///
  /// - Kernel: mm/memory.c:vma_needs_copy (6.1); without userfaultfd.
  private func isCopied(_ area: VirtualMemoryArea) -> Bool {
    !area.flags.contains(.wipeOnFork) && (area.flags.contains(.frameMap) || area.anonGroup != .none)
  }

  /// Copies an area without its entries.
  ///
  /// Parent and child share the anonymous group, so that a walk from a page finds the areas of both, and those
  /// of later children too. Of a private hugetlb mapping the child has the object, but not what is reserved, nor
  /// the mark of a page that was taken away.
  ///
  /// - Kernel: kernel/fork.c:vm_area_dup (6.1)
  /// - Kernel: mm/rmap.c:anon_vma_fork (6.1); without an anon_vma for the child's own pages, which the kernel
  ///   makes so that walks from them visit fewer areas.
  /// - Kernel: mm/rmap.c:anon_vma_clone (6.1); without chains of several anon_vmas.
  /// - Kernel: mm/hugetlb.c:hugetlb_dup_vma_private (6.1)
  private func copyArea(
    _ source: VirtualMemoryArea, of parent: AddressSpace, to childID: RowID
  ) throws(AddressSpaceError) -> VirtualMemoryArea {
    guard let id = pools.allocate(.areas) else {
      throw AddressSpaceError(
        .fork, .tableFull("areas"), at: VirtualAddress(page: source.start), errno: .noMemory)
    }
    let object = source.object
    if object != .none { _ = pageCache.getObject(object) }
    let group = source.flags.contains(.wipeOnFork) ? RowID.none : source.anonGroup
    if group != .none { _ = reverseMap.getGroup(group) }
    let new = area(id)
    let fresh = new.unshared
    fresh.space = childID
    fresh.start = source.start
    fresh.end = source.end
    fresh.flags = source.flags.subtracting(.locked)
    fresh.pageOffset = source.pageOffset
    fresh.object = object
    fresh.anonGroup = group
    if object != .none {
      let backing = pageCache.object(object)
      backing.lock.withLock { pageCache.linkToObject(new, backing, after: source) }
    }
    if group != .none {
      let row = reverseMap.anonGroup(group)
      row.lock.withLock { reverseMap.linkToGroup(new, row, after: source) }
    }
    // Walks of the reverse mapping do not look at the tree.
    insertArea(space(childID).unshared, new)
    return new
  }
}
