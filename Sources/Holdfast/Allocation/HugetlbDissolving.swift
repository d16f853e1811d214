import Interleaving

/// Huge pages that become ordinary memory again.
extension Hugetlb {
  /// Returns the free huge pages in a range to the buddy allocator, as an offline must.
  ///
  /// - Returns: false if one of them is reserved for a mapping (EBUSY).
  /// - Kernel: mm/hugetlb.c:dissolve_free_huge_pages (6.1); without EBUSY for a huge page in use, which is
  ///   passed over here.
  package func dissolveFree(in range: FrameRange, on processor: Int) -> Bool {
    let step = 1 << geometry.hugeOrder
    for at in stride(from: range.start.index & ~(step - 1), to: range.endIndex, by: step) {
      let head = FrameNumber(at)
      if memmap.hasMetadata(head), !dissolveFree(head, on: processor) { return false }
    }
    return true
  }

  /// What `takeFree` finds of a huge page.
  private enum FreeHugePage { case taken, inUse, reserved, onItsWay }

  /// Returns one huge page to the buddy allocator, if it is free.
  ///
  /// Waits for one that has lost its last reference and is not on its pool's list yet, or no longer.
  ///
  /// - Returns: false if it is reserved for a mapping (EBUSY).
  /// - Kernel: mm/hugetlb.c:dissolve_free_huge_page (6.1); without EBUSY for a huge page in use, the
  ///   optimisation of vmemmap, h->max_huge_pages.
  private func dissolveFree(_ head: FrameNumber, on processor: Int) -> Bool {
    var attempt = 0
    while memmap.page(head).isHugetlb {
      switch takeFree(head) {
      case .taken:
        dissolve(head, on: processor)
        return true
      case .inUse: return true
      case .reserved: return false
      case .onItsWay:
        giveWay(.retry, attempt: attempt)
        attempt += 1
      }
    }
    return true
  }

  /// Takes a huge page out of its pool if it is on the list of free ones.
  private func takeFree(_ head: FrameNumber) -> FreeHugePage {
    global.hugetlbLock.withLock {
      let folio = memmap.page(head)
      guard folio.isHugetlb, folio.refcount.load() == 0 else { return .inUse }
      guard unreservedHugePages > 0 else { return .reserved }
      guard folio.isHugetlbFree else { return .onItsWay }
      let pool = pool(folio.zone.node)
      unlist(head, from: pool)
      pool.total -= 1
      return .taken
    }
  }

  /// Frees a huge page that is in no list as ordinary memory.
  ///
  /// - Kernel: mm/hugetlb.c:update_and_free_page (6.1); without the optimisation of vmemmap and the deferral
  ///   for it, gigantic pages, poisoned pages.
  func dissolve(_ head: FrameNumber, on processor: Int) {
    memmap.page(head).isHugetlb = false
    memmap.page(head).isHugetlbTemporary = false
    memmap.page(head).refcount.store(1)
    folios.put(head, on: processor)
  }
}
