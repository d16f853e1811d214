import Interleaving
import SystemPackage

/// Huge pages that are reserved for places of an object before they are faulted in.
extension PageCache {
  /// Reserves a huge page for every index of an object's range that has none; all or nothing.
  ///
  /// - Returns: nil, or why it failed.
  /// - Kernel: mm/hugetlb.c:hugetlb_reserve_pages (6.1); without subpools, control groups, VM_NORESERVE.
  func reserveHugetlb(
    _ id: RowID, offset: UInt64, pages: UInt64, for process: Process
  ) -> AddressSpaceError? {
    let object = object(id)
    var reserved: [UInt64] = []
    var failure: AddressSpaceError?
    var index = offset
    while index < offset + pages, failure == nil {
      var isShort = false
      let result = withSlot(object, index, level: 1, for: process) { slot in
        guard slot.entry.isNone else { return .occupied }
        isShort = !hugetlb.reserve()
        guard !isShort else { return .occupied }
        pageTables.setEntry(slot, .reservedCachePage)
        return .inserted
      }
      switch result {
      case .inserted: reserved.append(index)
      case .occupied where isShort:
        failure = AddressSpaceError(
          .map, .noHugePages(Int(pages / spaces.hugePages)), errno: .noMemory)
      case .occupied: break
      case .failure(let cause): failure = faults.faultError(.map, cause, at: nil)
      }
      index += spaces.hugePages
    }
    if failure != nil {
      for index in reserved { releaseReservation(object, index) }
    }
    return failure
  }

  /// Whether a huge page is reserved for an index.
  func isReserved(_ object: BackingObject, _ index: UInt64) -> Bool {
    object.lock.withLock { slot(object, index)?.entry == .reservedCachePage }
  }

  /// Notes that the page that was reserved for an index is used, or, undoing that, that one is reserved for it again.
  ///
  /// The caller has changed the count of reserved pages, and holds the fault mutex of the index.
  func setReserved(_ object: BackingObject, _ index: UInt64, _ isReserved: Bool) {
    object.lock.withLock {
      guard let slot = slot(object, index) else { fatalError("\(index) has no place in its object") }
      pageTables.setEntry(slot, isReserved ? .reservedCachePage : .none)
    }
  }

  /// Ends the reservation of an index, if it still has one.
  func releaseReservation(_ object: BackingObject, _ index: UInt64) {
    object.lock.withLock {
      guard let slot = slot(object, index), slot.entry == .reservedCachePage else { return }
      pageTables.setEntry(slot, .none)
      global.hugetlbLock.withLock { global.hugetlbReserved -= 1 }
    }
  }
}
