import Interleaving

/// How a fault came about: FAULT_FLAG_* with the kernel's numbers.
package struct FaultFlags: OptionSet, Hashable, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let write = FaultFlags(rawValue: 0x1)
  package static let retryNoWait = FaultFlags(rawValue: 0x8)
  package static let killable = FaultFlags(rawValue: 0x10)
  package static let user = FaultFlags(rawValue: 0x40)
  package static let remote = FaultFlags(rawValue: 0x80)
  package static let unshare = FaultFlags(rawValue: 0x400)
}

/// Result of a fault: VM_FAULT_*.
package enum FaultResult: Sendable {
  /// The entry is as wanted, or must be looked at again.
  case success
  /// No memory: the allocation's error, or nil if a table of the machine is full.
  case outOfMemory(AllocationError?)
  /// The address lies beyond the end of the object, or there is no huge page for a hugetlb area.
  case busError
  /// The area does not allow the access.
  case segmentationFault
  /// The page is damaged.
  case hwpoison
  /// The caller did not want to wait: a fork, for the lock of a page that a device has exclusively. The space's lock is
  /// still held.
  case retry
}

/// Page faults of each kind.
package struct Faults: Room {
  package let machine: Machine
}

extension Room {
  /// Page faults.
  @inline(__always)
  package var faults: Faults { Faults(machine: machine) }
}

extension Faults {
  /// Serves a fault.
  ///
  /// The caller has checked the area's protection, and looks at the entry again afterwards: success does not
  /// say that the page is still mapped. Allocations follow the scope of `process`, which need not own the
  /// space. The check of the flags is that of later kernels, mm/memory.c:sanitize_fault_flags (6.12).
  ///
  /// - Locks: the caller holds the space's lock, shared.
  /// - Kernel: mm/memory.c:handle_mm_fault (6.1); without protection keys, memory control groups, the
  ///   multi-generational LRU, VM_FAULT_RETRY and VM_FAULT_COMPLETED: the lock is never dropped.
  package func handle(
    _ process: Process, _ space: AddressSpace, _ area: VirtualMemoryArea, page: UInt64, _ flags: FaultFlags
  ) -> FaultResult {
    counters.bump(.pgfault, on: process)
    var flags = flags
    if flags.contains(.unshare) {
      if flags.contains(.write) { return .segmentationFault }
      if !area.isCopyOnWrite { flags.remove(.unshare) }
    }
    if flags.contains(.write), !area.flags.contains(.write), !area.isCopyOnWrite {
      return .segmentationFault
    }
    let fault = Fault(process: process, space: space, area: area, page: page, flags: flags)
    let result = area.flags.contains(.noMovable) ? serveInPinScope(fault) : serve(fault)
    if let trace {
      var frame: FrameNumber?
      if case .success = result {
        space.pageTableLock.withLock { frame = mappedFrame(space, page) }
      }
      trace(
        .fault(
          process: process.id, address: VirtualAddress(page: page), write: flags.contains(.write),
          frame: frame))
    }
    return result
  }

  private func serve(_ fault: Fault) -> FaultResult {
    fault.area.flags.contains(.hugetlb) ? hugetlbFault(fault) : pageFault(fault)
  }

  /// Serves a fault in an area with MADV_NOMOVABLE: what it allocates may be pinned long-term where it is.
  ///
  /// The scope is that of the faulting process, which need not own the space. Seed 004 looks at the area's flag a second
  /// time before it leaves the scope, though the area may be gone once its fault has dropped the lock. Here the lock
  /// is held throughout.
  private func serveInPinScope(_ fault: Fault) -> FaultResult {
    let outer = fault.process.savePinScope()
    defer { fault.process.restorePinScope(outer) }
    return serve(fault)
  }

  /// The frame that a page is mapped to, or nil.
  ///
  /// - Locks: the caller holds the page-table lock.
  package func mappedFrame(_ space: AddressSpace, _ page: UInt64) -> FrameNumber? {
    guard let slot = pageTables.leafSlot(space, page) else { return nil }
    let entry = slot.entry
    guard entry.mapsFrame else { return nil }
    return slot.level == 1 ? entry.frame + Int(page & (spaces.hugePages &- 1)) : entry.frame
  }

  /// Serves a fault outside hugetlb areas.
  ///
  /// - Kernel: mm/memory.c:__handle_mm_fault (6.1); without huge PUD entries, device memory.
  /// - Kernel: mm/memory.c:handle_pte_fault (6.1); without swap, NUMA hint faults.
  private func pageFault(_ fault: Fault) -> FaultResult {
    let space = fault.space
    if let failure = pageTables.ensureTable(space, fault.page, level: 1, for: fault.process) {
      return failure
    }
    if let result = hugeFault(fault) { return result }
    // Beyond the end of an object nothing is ever mapped, and no table is made.
    if !fault.area.isAnonymous,
      fault.area.offset(of: fault.page) >= pageCache.object(fault.area.object).pages
    {
      return objectFault(fault)
    }
    if let failure = pageTables.ensureTable(space, fault.page, level: 0, for: fault.process) {
      return failure
    }

    space.pageTableLock.lock()
    guard let slot = pageTables.leafSlot(space, fault.page), slot.level == 0 else {
      // A huge page was mapped meanwhile.
      space.pageTableLock.unlock()
      return .success
    }
    let entry = slot.entry
    if entry.isNone {
      space.pageTableLock.unlock()
      return fault.area.isAnonymous ? anonymousFault(fault) : objectFault(fault)
    }
    if entry.isMigration {
      space.pageTableLock.unlock()
      migration.waitForMigration(of: entry.frame, on: fault.processor)
      return .success
    }
    if entry.isExclusive {
      space.pageTableLock.unlock()
      return removeExclusive(fault, entry)
    }
    if fault.wantsOwnPage, !entry.isWritable { return writeProtectFault(fault, slot, entry) }
    touch(slot, entry, write: fault.flags.contains(.write))
    space.pageTableLock.unlock()
    return .success
  }

  /// Marks an entry accessed, and dirty for a write.
  ///
  /// - Locks: the caller holds the page-table lock.
  package func touch(_ slot: EntrySlot, _ entry: PageTableEntry, write: Bool) {
    let bits = PageTableEntry.accessed | (write ? PageTableEntry.dirty : 0)
    if !entry.has(bits) { pageTables.setEntry(slot, PageTableEntry(rawValue: entry.rawValue | bits)) }
  }
}

/// What the handlers of one fault pass on to each other (struct vm_fault).
struct Fault {
  let process: Process
  let space: AddressSpace
  let area: VirtualMemoryArea
  let page: UInt64
  let flags: FaultFlags

  /// Whether a read-only mapping is not sufficient.
  var wantsOwnPage: Bool { !flags.isDisjoint(with: [.write, .unshare]) }
  var processor: Int { process.processor }
}
