import Interleaving

/// References to folios: taking, trying and dropping them, and freeing a folio with the last one.
extension Machine {
  /// Takes references on a folio on which the caller holds one already.
  ///
  /// - Kernel: include/linux/mm.h:folio_get (6.1)
  @inline(__always)
  package func getFolio(_ head: FrameNumber, refs: Int32 = 1) {
    page(head).refcount.fetchAdd(refs)
  }

  /// Takes references on the folio of a frame that may be free, frozen, or about to be split.
  ///
  /// Fails if the count is zero or has overflowed. The head is read again afterwards, because a split may
  /// have come in between.
  ///
  /// - Kernel: mm/gup.c:try_get_folio (6.1)
  @inline(__always)
  package func tryGetFolio(_ frame: FrameNumber, refs: Int32 = 1, processor: Int) -> FrameNumber? {
    while true {
      let head = head(of: frame)
      guard addReferences(page(head), refs) else { return nil }
      if !isEnabled(.folioRecheck) || self.head(of: frame) == head { return head }
      putFolio(head, refs: refs, on: processor)
    }
  }

  /// Adds references to a count, unless that is zero or has overflowed.
  ///
  /// - Kernel: include/linux/page_ref.h:folio_ref_try_add_rcu (6.1)
  @inline(__always)
  func addReferences(_ descriptor: Page, _ refs: Int32) -> Bool {
    if isEnabled(.freePageRefusal), isEnabled(.overflowRefusal) { return descriptor.refcount.addIfPositive(refs) }
    while true {
      let references = descriptor.refcount.load()
      if references == 0, isEnabled(.freePageRefusal) { return false }
      if references < 0, isEnabled(.overflowRefusal) { return false }
      if descriptor.refcount.compareExchange(references, references &+ refs).exchanged { return true }
    }
  }

  /// Drops references; with the last one the folio is freed.
  ///
  /// - Kernel: include/linux/mm.h:folio_put_refs (6.1)
  /// - Kernel: include/linux/mm.h:folio_put (6.1)
  @inline(__always)
  package func putFolio(_ head: FrameNumber, refs: Int32 = 1, on processor: Int) {
    let before = page(head).refcount.fetchAdd(0 &- refs)
    if before == refs { destroyFolio(head, on: processor) }
    assert(before >= refs || before < 0, "refcount of \(head) fell from \(before) by \(refs)")
  }

  /// Frees a folio whose count reached zero.
  ///
  /// - Kernel: mm/swap.c:__folio_put (6.1); without device memory, memory control groups.
  @inline(never)
  func destroyFolio(_ head: FrameNumber, on processor: Int) {
    let descriptor = page(head)
    if descriptor.has(.lru) { unlinkDying(head, on: processor) }
    let order = descriptor.isLarge ? descriptor.order : 0
    if descriptor.pincount.load(.relaxed) != 0 || descriptor.entireMapcount.load(.relaxed) != 0 {
      fatalError("\(head) is freed while pinned or mapped")
    }
    // A huge page of a pool stays one folio in the pool.
    let isPooled = descriptor.isHugetlb
    let cleared = isPooled ? PageFlags.clearedAtFree.subtracting(.head) : .clearedAtFree
    for i in 0..<(1 << order) {
      let part = page(head + i)
      if part.mapcount.load(.relaxed) != 0 { fatalError("\(head + i) is freed while mapped") }
      part.clear(cleared)
      if !isPooled { part.headOffset.store(0) }
    }
    descriptor.mapping = .none
    if isPooled {
      returnHugePage(head, on: processor)
    } else {
      freeBlock(head, order: order, on: processor)
    }
  }
}
