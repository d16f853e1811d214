import Interleaving

/// Faults on mappings of shared anonymous memory and memfds that have no entry yet.
extension Faults {
  /// Maps a page of the object, or for a write to a private mapping a copy of it.
  ///
  /// - Kernel: mm/memory.c:do_fault (6.1); without making the table last: where memory for the page is short, ours stays.
  /// - Kernel: mm/memory.c:do_read_fault (6.1); without do_fault_around: one page is mapped, in the kernel up
  ///   to 16.
  /// - Kernel: mm/memory.c:do_shared_fault (6.1); without page_mkwrite.
  /// - Kernel: mm/memory.c:finish_fault (6.1); without huge pages of shared memory.
  func objectFault(_ fault: Fault) -> FaultResult {
    let isWrite = fault.flags.contains(.write)
    if isWrite, !fault.area.flags.contains(.shared) { return copyOnWriteFault(fault) }
    let head: FrameNumber
    switch objectPage(fault) {
    case .success(let folio): head = folio
    case .failure(let result): return result
    }
    let folio = memmap.page(head)
    let frame = head + Int(fault.area.offset(of: fault.page) - folio.index)
    let isInstalled = install(fault) { slot in
      reverseMap.add(
        frame, fault.area, page: fault.page, huge: false, exclusive: false, on: fault.processor)
      pageTables.countResident(fault.space, frame, by: 1)
      pageTables.setEntry(
        slot,
        .leaf(frame, pageTables.leafBits(fault.area) | (isWrite ? pageTables.writtenBits(fault.area) : 0)))
    }
    if isWrite { folio.set(.dirty) }
    folio.lock.unlock()
    if !isInstalled { folios.put(head, on: fault.processor) }
    return .success
  }

  /// Maps a private copy of a page of the object.
  ///
  /// - Kernel: mm/memory.c:do_cow_fault (6.1); without memory control groups.
  private func copyOnWriteFault(_ fault: Fault) -> FaultResult {
    let new: FrameNumber
    switch newAnonymousPage(fault, .highUserMovable) {
    case .success(let frame): new = frame
    case .failure(let result): return result
    }
    let head: FrameNumber
    switch objectPage(fault) {
    case .success(let folio): head = folio
    case .failure(let result):
      folios.put(new, on: fault.processor)
      return result
    }
    let offset = Int(fault.area.offset(of: fault.page) - memmap.page(head).index)
    folios.copy(from: head + offset, to: new)
    let isInstalled = install(fault) { slot in
      mapNewAnonymous(fault, slot, new, pageTables.writtenBits(fault.area))
    }
    memmap.page(head).lock.unlock()
    folios.put(head, on: fault.processor)
    if !isInstalled { folios.put(new, on: fault.processor) }
    return .success
  }

  /// The object's folio for the page of a fault, locked and with a reference.
  ///
  /// If the object has no page there, a new one of zeros is added.
  ///
  /// - Kernel: mm/shmem.c:shmem_fault (6.1); without waiting for a hole to be punched.
  /// - Kernel: mm/shmem.c:shmem_get_folio_gfp (6.1); without swap, huge pages, userfaultfd, the size limit of
  ///   the file system.
  private func objectPage(_ fault: Fault) -> NewPage {
    page(
      of: fault.area.object, fault.area.offset(of: fault.page),
      wait: !fault.flags.contains(.retryNoWait), for: fault.process)
  }

  /// An object's folio for one of its pages, locked and with a reference.
  ///
  /// - Parameter wait: whether to wait for the page's lock; else the answer may be `retry`.
  package func page(of id: RowID, _ index: UInt64, wait: Bool, for process: Process) -> NewPage {
    guard index < pageCache.object(id).pages else { return .failure(.busError) }
    let processor = process.processor
    while true {
      switch pageCache.lockFolio(id, index, wait: wait, on: processor) {
      case .locked(let head): return .success(head)
      case .busy: return .failure(.retry)
      case .missing: break
      }
      let new: FrameNumber
      do {
        new = try allocator.allocateFolio(order: 0, gfp: [.highUserMovable, .zero], for: process)
      } catch {
        return .failure(.outOfMemory(error))
      }
      let folio = memmap.page(new)
      // No other thread knows the page yet, so its lock is free.
      guard folio.lock.tryLock() else { fatalError("\(new) was allocated locked") }
      folio.set([.swapBacked, .uptodate])
      switch pageCache.insert(id, index, new, for: process) {
      case .inserted:
        lru.add(new, on: processor)
        return .success(new)
      case .occupied:
        folio.lock.unlock()
        folios.put(new, on: processor)
      case .failure(let result):
        folio.lock.unlock()
        folios.put(new, on: processor)
        return .failure(result)
      }
    }
  }
}
