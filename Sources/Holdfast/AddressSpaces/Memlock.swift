import Interleaving
import SystemPackage

/// The two counts of a space that pinned pages are charged to.
public enum MemlockAccount: Hashable, Sendable {
  /// locked_vm (VmLck): mlock and VFIO.
  case locked
  /// pinned_vm (VmPin): io_uring and RDMA.
  case pinned
}

extension Spaces {
  /// Charges locked pages to a space.
  ///
  /// The limit and the capability are those of `process`, which need not own the space. The limit is whole
  /// pages of RLIMIT_MEMLOCK; reaching it is allowed, exceeding it is not. With CAP_IPC_LOCK only a
  /// wrap-around fails.
  ///
  /// - Throws: ENOMEM, with nothing charged.
  /// - Kernel: mm/util.c:__account_locked_vm (6.1); without the mmap lock: the count is atomic here.
  package func chargeLocked(
    _ space: AddressSpace, pages: UInt64, as account: MemlockAccount, for process: Process
  ) throws(AddressSpaceError) {
    let isFree = process.capabilities.contains(.ipcLock)
    try chargeLocked(
      space, pages: pages, as: account, limit: isFree ? .max : process.memlockLimit / UInt64(pageSize))
  }

  /// The same against a limit in pages; the largest number is none.
  package func chargeLocked(
    _ space: AddressSpace, pages: UInt64, as account: MemlockAccount, limit: UInt64
  ) throws(AddressSpaceError) {
    if failures.shouldFail(.memlock) { throw AddressSpaceError(.lockMemory, .injected, errno: .noMemory) }
    try add(pages, to: account == .locked ? space.lockedPages : space.pinnedPages, limit: limit)
  }

  /// Charges pages of registered buffers to the user and to a space; a user's processes share the count.
  ///
  /// The limit is that of `process` and bounds the user's count alone.
  ///
  /// - Parameter chargesUser: whether the user is charged: not if the ring was made with CAP_IPC_LOCK.
  /// - Returns: the pages charged to the user, for `unchargeUser`.
  /// - Throws: ENOMEM, with nothing charged.
  /// - Kernel: io_uring/rsrc.c:io_account_mem (6.1)
  package func chargeRegistered(
    _ space: AddressSpace, pages: UInt64, for process: Process, chargesUser: Bool
  ) throws(AddressSpaceError) -> UInt64 {
    if failures.shouldFail(.memlock) { throw AddressSpaceError(.lockMemory, .injected, errno: .noMemory) }
    if chargesUser {
      try add(pages, to: global.userLockedPages, limit: process.memlockLimit / UInt64(pageSize))
    }
    space.pinnedPages.fetchAdd(pages)
    return chargesUser ? pages : 0
  }

  /// Charges pages to the user alone, against a limit in pages.
  ///
  /// - Throws: ENOMEM, with nothing charged.
  package func chargeUser(pages: UInt64, limit: UInt64) throws(AddressSpaceError) {
    if failures.shouldFail(.memlock) { throw AddressSpaceError(.lockMemory, .injected, errno: .noMemory) }
    try add(pages, to: global.userLockedPages, limit: limit)
  }

  /// RLIMIT_MEMLOCK, in pages, of the process that had a number and a space; nil if it has ended.
  ///
  /// The caller keeps the row of the space, which no other process can get so.
  ///
  /// - Kernel: include/linux/sched/signal.h:task_rlimit (6.1); without the limit of a process that has ended.
  package func memlockLimit(of number: ProcessID, with space: RowID) -> UInt64? {
    global.tablesLock.withLock {
      let process = process(number)
      guard process.live != 0, process.space == space else { return nil }
      return process.memlockLimit / UInt64(pageSize)
    }
  }

  /// Adds to a count that may not exceed a limit.
  private func add(_ pages: UInt64, to cell: AtomicUInt64, limit: UInt64) throws(AddressSpaceError) {
    while true {
      let before = cell.load(.relaxed)
      let (after, wraps) = before.addingReportingOverflow(pages)
      guard !wraps, after <= limit else {
        throw AddressSpaceError(
          .lockMemory, .memlockLimit(locked: before, requested: pages, limit: limit), errno: .noMemory)
      }
      if cell.compareExchange(before, after).exchanged { return }
    }
  }

  /// Uncharges pages of a space; nothing if the space has ended, because its counts ended with it.
  ///
  /// The caller has kept the space since the charge (`getSpaceRow`).
  package func unchargeLocked(_ space: AddressSpace, pages: UInt64, as account: MemlockAccount) {
    let cell = account == .locked ? space.lockedPages : space.pinnedPages
    // Under the lock, so that the space cannot end, and its counts cannot be cleared, in between.
    let before = global.tablesLock.withLock { space.live > 0 ? cell.fetchAdd(0 &- pages) : pages }
    expect(before, atLeast: pages)
  }

  /// Uncharges what `chargeRegistered` charged to the user, whose count outlives the processes.
  ///
  /// - Kernel: io_uring/rsrc.c:io_unaccount_mem (6.1)
  package func unchargeUser(pages: UInt64) {
    expect(global.userLockedPages.fetchAdd(0 &- pages), atLeast: pages)
  }

  private func expect(_ before: UInt64, atLeast pages: UInt64) {
    if before < pages { fatalError("\(pages) locked pages given back, only \(before) were charged") }
  }
}
