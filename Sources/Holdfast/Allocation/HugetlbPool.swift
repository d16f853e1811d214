import Interleaving
import SystemPackage

/// One node's pool of huge pages.
package struct HugetlbPool {
  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// Huge pages that are not in use; their reference count is 0.
  package var freeList: FrameList { FrameList(row.row(HugetlbPoolRow.freeList)) }
  /// Huge pages that belong to the pool, in use or not.
  package var total: Int {
    get { Int(row[HugetlbPoolRow.total]) }
    nonmutating set { row[HugetlbPoolRow.total] = UInt64(newValue) }
  }
  /// Huge pages beyond what was asked for; they leave the pool when they are freed.
  package var surplus: Int {
    get { Int(row[HugetlbPoolRow.surplus]) }
    nonmutating set { row[HugetlbPoolRow.surplus] = UInt64(newValue) }
  }
}

/// The numbers of a node's pool of huge pages, as in /sys/devices/system/node/nodeN/hugepages.
public struct HugetlbCounts: Hashable, Sendable {
  /// nr_hugepages: all of them.
  public var total: Int
  /// free_hugepages: those that are free, reserved ones included.
  public var free: Int
  /// surplus_hugepages: those beyond the number asked for.
  public var surplus: Int
}

/// The pools of huge pages, one of each node.
package struct Hugetlb: Room {
  package let machine: Machine

  /// The pool of huge pages of a node.
  func pool(_ node: Int) -> HugetlbPool { HugetlbPool(machine.row(machine.layout.hugetlbPools, node)) }
}

extension Room {
  /// The pools of huge pages.
  @inline(__always)
  package var hugetlb: Hugetlb { Hugetlb(machine: machine) }
}

extension Machine {
  /// The numbers of a node's pool.
  public func hugetlbCounts(node: Int) -> HugetlbCounts {
    global.hugetlbLock.withLock {
      let pool = hugetlb.pool(node)
      return HugetlbCounts(total: pool.total, free: pool.freeList.count, surplus: pool.surplus)
    }
  }

  /// resv_hugepages: free huge pages that are reserved for mappings.
  public var reservedHugePages: Int { global.hugetlbLock.withLock { global.hugetlbReserved } }

  /// Resizes a node's pool of huge pages to `count` (nr_hugepages).
  ///
  /// If more pages than that are in use or reserved, the pool keeps them as surplus.
  ///
  /// - Returns: the size of the pool without surplus; less than `count` if memory is short.
  /// - Throws: ENODEV for a node that does not exist, EINVAL for a negative count, ESRCH for an ended
  ///   process.
  /// - Kernel: mm/hugetlb.c:set_max_huge_pages (6.1); without gigantic pages, signals, page sizes other than
  ///   a PMD's.
  @discardableResult
  public func reserveHugePages(
    node: Int, count: Int, for process: Process
  ) throws(AddressSpaceError) -> Int {
    guard process.live != 0 else {
      throw AddressSpaceError(.reserveHugePages, .noSuchProcess, errno: .noSuchProcess)
    }
    tick()
    guard configuration.nodes.indices.contains(node) else {
      throw AddressSpaceError(.reserveHugePages, .noSuchNode(node), errno: .operationNotSupportedByDevice)
    }
    guard count >= 0 else {
      throw AddressSpaceError(.reserveHugePages, .emptyRange, errno: .invalidArgument)
    }
    let pool = hugetlb.pool(node)
    global.hugetlbLock.withLock {
      let regained = min(pool.surplus, max(0, count - (pool.total - pool.surplus)))
      pool.surplus -= regained
    }
    while hugetlb.persistentHugePages(pool) < count,
      let head = hugetlb.allocateFresh(node: node, for: process)
    {
      global.hugetlbLock.withLock {
        memmap.page(head).refcount.store(0)
        hugetlb.enlist(head, in: pool)
      }
    }
    while hugetlb.persistentHugePages(pool) > count, let head = hugetlb.dequeueUnreserved(pool) {
      hugetlb.dissolve(head, on: process.processor)
    }
    return global.hugetlbLock.withLock {
      pool.surplus += max(0, pool.total - pool.surplus - count)
      return pool.total - pool.surplus
    }
  }
}

extension Hugetlb {
  fileprivate func persistentHugePages(_ pool: HugetlbPool) -> Int {
    global.hugetlbLock.withLock { pool.total - pool.surplus }
  }

  /// A new huge page of a node that belongs to its pool, with a reference; nil if memory is short.
  ///
  /// - Kernel: mm/hugetlb.c:alloc_fresh_huge_page (6.1); without gigantic pages, the optimisation of vmemmap.
  fileprivate func allocateFresh(node: Int, for process: Process) -> FrameNumber? {
    guard geometry.hugeOrder <= geometry.maxOrder else { return nil }
    let gfp: GFPFlags = [.highUserMovable, .compound, .noWarn, .retryMayFail, .thisNode]
    do {
      let head = try allocator.allocateFolio(order: geometry.hugeOrder, gfp: gfp, node: node, for: process)
      counters.bump(.htlbAllocSuccess, on: process)
      global.hugetlbLock.withLock {
        memmap.page(head).isHugetlb = true
        pool(node).total += 1
      }
      return head
    } catch {
      counters.bump(.htlbAllocFail, on: process)
      return nil
    }
  }

  /// Puts a huge page without references on the list of its pool's free ones.
  ///
  /// - Locks: the caller holds the hugetlb lock.
  fileprivate func enlist(_ head: FrameNumber, in pool: HugetlbPool) {
    var list = pool.freeList
    list.pushLast(head, in: memmap)
    memmap.page(head).isHugetlbFree = true
  }

  /// Takes a free huge page off its pool's list.
  ///
  /// - Locks: the caller holds the hugetlb lock.
  func unlist(_ head: FrameNumber, from pool: HugetlbPool) {
    var list = pool.freeList
    list.remove(head, in: memmap)
    memmap.page(head).isHugetlbFree = false
  }

  /// Free huge pages of all nodes that are not reserved.
  ///
  /// - Locks: the caller holds the hugetlb lock.
  /// - Kernel: mm/hugetlb.c:available_huge_pages (6.1)
  var unreservedHugePages: Int {
    configuration.nodes.indices.reduce(-global.hugetlbReserved) { $0 + pool($1).freeList.count }
  }

  /// Removes a free huge page that is not reserved from its pool.
  ///
  /// - Kernel: mm/hugetlb.c:remove_pool_huge_page (6.1); without node masks, acct_surplus; it tests the
  ///   reservations, which set_max_huge_pages does in the kernel.
  fileprivate func dequeueUnreserved(_ pool: HugetlbPool) -> FrameNumber? {
    global.hugetlbLock.withLock {
      let head = pool.freeList.first
      guard unreservedHugePages > 0, head != .none else { return nil }
      unlist(head, from: pool)
      pool.total -= 1
      return head
    }
  }

  // MARK: - Taking and giving back

  /// Takes a huge page out of the pools, the process's node first; it has one reference.
  ///
  /// In a pin scope, pages on which a long-term pin may not stay are passed over.
  ///
  /// - Parameter reserved: uses one reservation; otherwise only pages that are not reserved are taken.
  /// - Kernel: mm/hugetlb.c:dequeue_huge_page_node_exact (6.1)
  /// - Kernel: mm/hugetlb.c:dequeue_huge_page_nodemask (6.1); without cpusets, node masks, __GFP_THISNODE
  ///   (other nodes' pools are searched), the order of the zonelist: the other nodes follow in the order of
  ///   their numbers.
  /// - Kernel: mm/hugetlb.c:dequeue_huge_page_vma (6.1); without memory policies.
  package func dequeue(
    reserved: Bool, node: Int? = nil, for process: Process
  ) -> FrameNumber? {
    let first = node ?? machine.processor(process.processor).node
    let isPinning = process.scope.contains(.pin) && isEnabled(.poolScope)
    return global.hugetlbLock.withLock { () -> FrameNumber? in
      guard reserved || unreservedHugePages > 0 else { return nil }
      let nodes = configuration.nodes.count
      for step in 0..<nodes {
        let pool = pool((first + step) % nodes)
        var head = pool.freeList.first
        while head != .none,
          memmap.page(head).has(.hwpoison) || (isPinning && !folios.isLongtermPinnable(head))
        {
          head = memmap.page(head).next
        }
        guard head != .none else { continue }
        unlist(head, from: pool)
        memmap.page(head).refcount.store(1)
        if reserved { global.hugetlbReserved -= 1 }
        return head
      }
      return nil
    }
  }

  /// Takes a huge page as the target of a migration: from the pool, else a new temporary one.
  ///
  /// A temporary page leaves the pool when it is freed.
  ///
  /// - Kernel: mm/hugetlb.c:alloc_huge_page_nodemask (6.1); without node masks, __GFP_THISNODE: other nodes'
  ///   pools are searched.
  /// - Kernel: mm/hugetlb.c:alloc_migrate_huge_page (6.1); without gigantic pages, the fallback to other
  ///   nodes.
  package func allocateForMigration(node: Int, for process: Process) -> FrameNumber? {
    if let head = dequeue(reserved: false, node: node, for: process) { return head }
    guard let head = allocateFresh(node: node, for: process) else { return nil }
    global.hugetlbLock.withLock { memmap.page(head).isHugetlbTemporary = true }
    return head
  }

  /// After a migration, makes the old page the temporary one if the new page was.
  ///
  /// - Kernel: mm/hugetlb.c:move_hugetlb_state (6.1); without control groups, page owners; it is called
  ///   before the migration entries are removed, in the kernel after.
  package func moveState(from old: FrameNumber, to new: FrameNumber) {
    global.hugetlbLock.withLock {
      if isEnabled(.poolMigratable) { memmap.page(new).isHugetlbMigratable = true }
      guard memmap.page(new).isHugetlbTemporary else { return }
      memmap.page(new).isHugetlbTemporary = false
      memmap.page(old).isHugetlbTemporary = true
      let (source, target) = (memmap.page(old).zone.node, memmap.page(new).zone.node)
      if source != target, pool(source).surplus > 0 {
        pool(source).surplus -= 1
        pool(target).surplus += 1
      }
    }
  }

  /// Returns a huge page whose last reference was dropped to its pool.
  ///
  /// - Kernel: mm/hugetlb.c:free_huge_page (6.1); without subpools, restored reservations, control groups;
  ///   the page goes to the end of the list, in the kernel to its head.
  package func free(_ head: FrameNumber, on processor: Int) {
    let folio = memmap.page(head)
    let isKept = global.hugetlbLock.withLock { () -> Bool in
      let pool = pool(folio.zone.node)
      folio.isHugetlbMigratable = false
      if folio.isHugetlbTemporary || pool.surplus > 0 {
        if !folio.isHugetlbTemporary { pool.surplus -= 1 }
        pool.total -= 1
        return false
      }
      enlist(head, in: pool)
      return true
    }
    if !isKept { dissolve(head, on: processor) }
  }

  // MARK: - Isolation

  /// Isolates a huge page in use for migration; it gets a reference.
  ///
  /// - Returns: false if it is free, or isolated already.
  /// - Kernel: mm/hugetlb.c:folio_isolate_hugetlb (6.1)
  package func isolate(_ head: FrameNumber, on processor: Int) -> Bool {
    global.hugetlbLock.withLock {
      let folio = memmap.page(head)
      guard folio.isHugetlb, folio.isHugetlbMigratable, folios.tryGet(head, processor: processor) != nil
      else {
        return false
      }
      folio.isHugetlbMigratable = false
      return true
    }
  }

  /// Undoes `isolate`.
  ///
  /// - Kernel: mm/hugetlb.c:folio_putback_hugetlb (6.1)
  package func putBack(_ head: FrameNumber, on processor: Int) {
    global.hugetlbLock.withLock { memmap.page(head).isHugetlbMigratable = true }
    folios.put(head, on: processor)
  }

  /// Counts a huge page that is in use as reserved again; its reference is to be dropped afterwards.
  package func reserveAgain() { global.hugetlbLock.withLock { global.hugetlbReserved += 1 } }

  /// Reserves one free huge page.
  ///
  /// - Kernel: mm/hugetlb.c:hugetlb_acct_memory (6.1); without surplus pages, cpusets.
  package func reserve() -> Bool {
    global.hugetlbLock.withLock {
      let free = configuration.nodes.indices.reduce(0) { $0 + pool($1).freeList.count }
      guard free > global.hugetlbReserved else { return false }
      global.hugetlbReserved += 1
      return true
    }
  }
}
