import Interleaving
import SystemPackage

/// Memory accesses of programs: loads and stores that walk the tables, fault, and are tried again.
extension Machine {
  /// Reads or writes one byte, as far as faults and entries are concerned.
  ///
  /// - Returns: the frame that was accessed.
  /// - Throws: EFAULT where a program would get SIGSEGV or SIGBUS, ENOMEM without memory.
  @discardableResult
  public func touch(
    _ process: Process, _ address: VirtualAddress, write: Bool
  ) throws(AddressSpaceError) -> FrameNumber {
    var touched = FrameNumber.none
    try faults.access(process, address.page, write: write) { touched = $0 }
    return touched
  }

  /// Fills pages with a pattern: page `i` of the range gets `pattern + i`, or zeros if `pattern` is 0.
  ///
  /// - Throws: as `touch`; pages before the one at fault have been filled.
  public func fill(
    _ process: Process, _ address: VirtualAddress, pages: Int, pattern: UInt64
  ) throws(AddressSpaceError) {
    for i in 0..<UInt64(pages) {
      try faults.access(process, address.page &+ i, write: true) {
        folios.fill($0, pattern: Faults.pattern(pattern, page: i))
      }
    }
  }

  /// Whether pages hold what `fill` wrote there.
  ///
  /// - Returns: the address of the first page that does not, or nil.
  /// - Throws: as `touch`.
  public func check(
    _ process: Process, _ address: VirtualAddress, pages: Int, pattern: UInt64
  ) throws(AddressSpaceError) -> VirtualAddress? {
    for i in 0..<UInt64(pages) {
      var isRight = false
      try faults.access(process, address.page &+ i, write: false) {
        isRight = folios.contents($0, match: Faults.pattern(pattern, page: i))
      }
      if !isRight { return VirtualAddress(page: address.page &+ i) }
    }
    return nil
  }
}

extension Faults {
  /// The pattern of one page of a range that `fill` filled.
  fileprivate static func pattern(_ pattern: UInt64, page: UInt64) -> UInt64 {
    pattern == Folios.zeroPattern ? Folios.zeroPattern : pattern &+ page
  }

  /// Runs `body` on the frame behind a virtual page, after faults as a processor would take them.
  ///
  /// The page-table lock is held during `body`, so that no entry is removed in between; on hardware the flush
  /// of the TLB has that effect. `body` takes no locks.
  fileprivate func access(
    _ process: Process, _ page: UInt64, write: Bool, _ body: (FrameNumber) -> Void
  ) throws(AddressSpaceError) {
    let space = try spaces.liveSpace(of: process, .access)
    while true {
      space.pageTableLock.lock()
      if page < geometry.addressSpacePages, let slot = pageTables.leafSlot(space, page) {
        let entry = slot.entry
        if entry.isPresent, entry.has(PageTableEntry.user), !write || entry.isWritable {
          touch(slot, entry, write: write)
          body(slot.level == 1 ? entry.frame + Int(page & (spaces.hugePages &- 1)) : entry.frame)
          space.pageTableLock.unlock()
          return
        }
      }
      space.pageTableLock.unlock()
      try faultIn(process, space, page, write: write)
    }
  }

  /// Serves the fault of an access, as the kernel's page fault handler does.
  private func faultIn(
    _ process: Process, _ space: AddressSpace, _ page: UInt64, write: Bool
  ) throws(AddressSpaceError) {
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    let address = VirtualAddress(page: page)
    guard let area = spaces.findArea(space, page) else {
      throw AddressSpaceError(.access, .hole, at: address, errno: .badAddress)
    }
    // Hardware cannot forbid reading what may be written or executed.
    let needed: VirtualMemoryAreaFlags = write ? .write : [.read, .write, .execute]
    guard !area.flags.isDisjoint(with: needed) else {
      throw AddressSpaceError(.access, .accessDenied, at: address, errno: .badAddress)
    }
    let flags: FaultFlags = write ? [.user, .killable, .write] : [.user, .killable]
    switch handle(process, space, area, page: page, flags) {
    case .success, .retry: return
    case let failure: throw faultError(.access, failure, at: address)
    }
  }
}
