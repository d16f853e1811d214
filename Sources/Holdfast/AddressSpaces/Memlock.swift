import Interleaving
import SystemPackage

/// The two counts of a space that RLIMIT_MEMLOCK bounds.
public enum MemlockAccount: Hashable, Sendable {
  /// locked_vm (VmLck): mlock and VFIO.
  case locked
  /// pinned_vm (VmPin): io_uring and RDMA.
  case pinned
}

extension Machine {
  /// Charges locked pages to a space (account_locked_vm).
  ///
  /// The limit and the capability are those of `process`, which need not own the space. The limit is whole pages of
  /// RLIMIT_MEMLOCK; reaching it is allowed, exceeding it is not. With CAP_IPC_LOCK only a wrap-around fails.
  ///
  /// - Throws: ENOMEM, with nothing charged.
  package func chargeLocked(
    _ space: AddressSpace, pages: UInt64, as account: MemlockAccount, for process: Process
  ) throws(AddressSpaceError) {
    if shouldFail(.memlock) { throw AddressSpaceError(.lockMemory, .injected, errno: .noMemory) }
    let cell = account == .locked ? space.lockedPages : space.pinnedPages
    let limit =
      process.capabilities.contains(.ipcLock) ? UInt64.max : process.memlockLimit / UInt64(pageSize)
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

  /// Gives charged pages back; nothing if the space has ended, since its counts ended with it.
  ///
  /// The caller has kept the space from its charge on (`grabSpace`).
  package func unchargeLocked(_ space: AddressSpace, pages: UInt64, as account: MemlockAccount) {
    guard global.tablesLock.withLock({ space.live > 0 }) else { return }
    let cell = account == .locked ? space.lockedPages : space.pinnedPages
    let before = cell.fetchAdd(0 &- pages)
    guard before >= pages else { fatalError("\(pages) locked pages given back, only \(before) were charged") }
  }
}
