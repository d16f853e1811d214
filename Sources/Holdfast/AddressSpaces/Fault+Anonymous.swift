import Interleaving

/// Faults on private anonymous memory that has no page yet.
extension Faults {
  /// Maps the zero page for a read, a new page of zeros for a write.
  ///
  /// - Kernel: mm/memory.c:do_anonymous_page (6.1); without userfaultfd, memory control groups.
  func anonymousFault(_ fault: Fault) -> FaultResult {
    guard fault.flags.contains(.write) else {
      install(fault) { slot in
        pageTables.setEntry(
          slot, .leaf(global.zeroPage, pageTables.leafBits(fault.area) | PageTableEntry.special))
      }
      return .success
    }
    let frame: FrameNumber
    switch newAnonymousPage(fault, [.highUserMovable, .zero]) {
    case .success(let new): frame = new
    case .failure(let result): return result
    }
    let isInstalled = install(fault) { slot in
      // A forced write, of a debugger, to memory that the process may only read leaves the entry clean.
      let isWritable = fault.area.flags.contains(.write)
      mapNewAnonymous(fault, slot, frame, isWritable ? pageTables.writtenBits(fault.area) : 0)
    }
    if !isInstalled { folios.put(frame, on: fault.processor) }
    return .success
  }

  package enum NewPage {
    case success(FrameNumber)
    case failure(FaultResult)
  }

  /// Allocates a page for anonymous memory and gives its area a group if it has none.
  func newAnonymousPage(_ fault: Fault, _ gfp: GFPFlags, order: Int = 0) -> NewPage {
    guard reverseMap.prepareGroup(fault.space, fault.area) else { return .failure(.outOfMemory(nil)) }
    do {
      let frame = try allocator.allocateFolio(order: order, gfp: gfp, for: fault.process)
      memmap.page(frame).set(.uptodate)
      return .success(frame)
    } catch {
      return .failure(.outOfMemory(error))
    }
  }

  /// Calls `body` with the fault's PTE if that is none, under the page-table lock.
  @discardableResult
  func install(_ fault: Fault, _ body: (EntrySlot) -> Void) -> Bool {
    fault.space.pageTableLock.withLock {
      guard let slot = pageTables.leafSlot(fault.space, fault.page), slot.level == 0, slot.entry.isNone
      else {
        return false
      }
      body(slot)
      return true
    }
  }

  /// Maps a new page that only this process has; the reference of its allocation becomes the entry's.
  ///
  /// First the mapping is counted, then the page is put into the LRU batch, then the entry is written: a walk
  /// that finds the page by the entry finds it complete.
  ///
  /// - Locks: the caller holds the page-table lock.
  /// - Kernel: mm/rmap.c:page_add_new_anon_rmap (6.1); without compound pages, which `newHugeFault` maps.
  func mapNewAnonymous(_ fault: Fault, _ slot: EntrySlot, _ frame: FrameNumber, _ extraBits: UInt64) {
    reverseMap.setAnonymous(frame, fault.area, page: fault.page)
    reverseMap.add(
      frame, fault.area, page: fault.page, huge: false, exclusive: true, on: fault.processor)
    lru.add(frame, on: fault.processor)
    pageTables.countResident(fault.space, frame, by: 1)
    pageTables.setEntry(slot, .leaf(frame, pageTables.leafBits(fault.area) | extraBits))
  }
}
