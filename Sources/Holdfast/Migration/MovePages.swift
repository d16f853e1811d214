import Interleaving
public import SystemPackage

/// Why a page did not move to the node asked for: the per-page status of move_pages.
public enum MoveStatus: Hashable, Sendable, CustomStringConvertible {
  /// The process has ended.
  case noSuchProcess
  /// The machine has no such node, or the node has no memory.
  case noSuchNode
  /// Nothing is mapped there, or the zero page is.
  case notMapped
  /// The page is not there.
  case notPresent
  /// The page is mapped by more than one process.
  case shared
  /// The page could not be taken off its list.
  case notIsolated
  /// The page could not be moved.
  case notMoved(MigrationFailure?)

  /// The kernel's status.
  public var errno: Errno {
    switch self {
    case .noSuchProcess: .noSuchProcess
    case .noSuchNode: .operationNotSupportedByDevice
    case .notMapped: .badAddress
    case .notPresent: .noSuchFileOrDirectory
    case .shared: .permissionDenied
    case .notIsolated: .resourceBusy
    case .notMoved: .resourceBusy
    }
  }

  /// One clause.
  public var description: String {
    switch self {
    case .noSuchProcess: "the process has ended"
    case .noSuchNode: "there is no memory on such a node"
    case .notMapped: "nothing that can move is mapped there"
    case .notPresent: "the page is not there"
    case .shared: "other processes map the page too"
    case .notIsolated: "the page is on no LRU list: it is isolated already, or waits in a batch"
    case .notMoved(let failure): failure?.description ?? "the page could not be moved"
    }
  }
}

extension Machine {
  /// Moves a process's pages to a node: the system call move_pages with MPOL_MF_MOVE.
  ///
  /// - Returns: nil for a page that is on the node afterwards, else why not; in the order of the pages.
  /// - Locks: takes the address space's lock, shared; the caller holds no lock.
  /// - Kernel: mm/migrate.c:kernel_move_pages (6.1); without flags, the query of nodes (do_pages_stat).
  /// - Kernel: mm/migrate.c:find_mm_struct (6.1); without permissions, the nodes that a process may use.
  /// - Kernel: mm/migrate.c:do_pages_move (6.1); without a node of its own for each page, migrating what is
  ///   collected when a page cannot be isolated, ending the call when a migration failed; the per-CPU LRU
  ///   batches are drained once and not switched off.
  /// - Kernel: mm/migrate.c:do_move_pages_to_node (6.1)
  public func movePages(
    _ process: Process, of owner: Process, at address: VirtualAddress, pages: Int, to node: Int
  ) -> [MoveStatus?] {
    tick()
    func all(_ status: MoveStatus) -> [MoveStatus?] { [MoveStatus?](repeating: status, count: pages) }
    guard zones.contains(where: { $0.node == node }) else { return all(.noSuchNode) }
    guard process.live != 0, let held = spaces.getSpace(of: owner) else { return all(.noSuchProcess) }
    defer { spaces.putSpace(held, on: process.processor) }
    lru.drainAll(for: process)
    let space = spaces.space(held)
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    var statuses: [MoveStatus?] = []
    statuses.reserveCapacity(pages)
    var list = FolioList()
    var isolated: [Int] = []
    isolated.reserveCapacity(pages)
    for index in 0..<pages {
      let (status, head) = migration.isolateForMove(
        space, address.page + UInt64(index), node, on: process.processor)
      statuses.append(status)
      if let head {
        list.pushLast(head, in: memmap)
        isolated.append(index)
      }
    }
    let outcome = migration.migratePages(
      &list, reason: .systemCall, mode: .sync,
      target: .allocate(gfp: [.highUserMovable, .thisNode], node: node), for: process)
    if outcome.isComplete { return statuses }
    while let head = list.popFirst(in: memmap) { migration.putBack(head, on: process.processor) }
    for index in isolated {
      guard
        let frame = space.pageTableLock.withLock({ faults.mappedFrame(space, address.page + UInt64(index)) })
      else { continue }
      if memmap.page(frame).node != node {
        let head = memmap.head(of: frame)
        statuses[index] = .notMoved(outcome.failures.first { $0.frame == head })
      }
    }
    return statuses
  }
}

extension Migration {
  /// Isolates the folio at an address, unless it is on the node already.
  ///
  /// - Kernel: mm/migrate.c:add_page_for_migration (6.1); without MPOL_MF_MOVE_ALL, device memory, EACCES for
  ///   a tail page of the hugetlb pool, EFAULT for an empty entry of anonymous memory (ENOENT here),
  ///   vma_migratable. The page is found by its entry, not by follow_page, and the test for pages of several
  ///   processes counts the mappings of the whole folio.
  fileprivate func isolateForMove(
    _ space: AddressSpace, _ virtual: UInt64, _ node: Int, on processor: Int
  ) -> (MoveStatus?, FrameNumber?) {
    guard spaces.findArea(space, virtual) != nil else { return (.notMapped, nil) }
    let (frame, head) = space.pageTableLock.withLock { () -> (FrameNumber?, FrameNumber?) in
      guard let frame = faults.mappedFrame(space, virtual) else { return (nil, nil) }
      if frame == global.zeroPage { return (frame, nil) }
      return (frame, folios.tryGet(frame, processor: processor))
    }
    guard frame != nil else { return (.notPresent, nil) }
    guard let head else { return (.notMapped, nil) }
    defer { folios.put(head, on: processor) }
    if memmap.page(head).node == node { return (nil, nil) }
    if folios.mappingCount(head) > memmap.folioPages(head) { return (.shared, nil) }
    guard isolate(head, on: processor) else { return (.notIsolated, nil) }
    return (nil, head)
  }
}
