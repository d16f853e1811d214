import Interleaving

/// References to folios: taking, trying, dropping, and the end of the last one (spec 1.4, 1.7).
extension Machine {
  /// Takes references on a folio that the caller already holds one on.
  @inline(__always)
  package func getFolio(_ head: FrameNumber, refs: Int32 = 1) {
    page(head).refcount.fetchAdd(refs)
  }

  /// Takes references on the folio of a frame that may be free, frozen, or about to be split.
  ///
  /// Fails if the count is zero or has overflowed. The head is read again afterwards, since a split may have
  /// come between (mm/gup.c:try_get_folio, 6.1).
  @inline(__always)
  package func tryGetFolio(_ frame: FrameNumber, refs: Int32 = 1, processor: Int) -> FrameNumber? {
    while true {
      let head = head(of: frame)
      guard addReferences(page(head), refs) else { return nil }
      if !has(.folioRecheck) || self.head(of: frame) == head { return head }
      putFolio(head, refs: refs, on: processor)
    }
  }

  /// Adds references to a count that may be zero or have overflowed, and then does not (folio_ref_try_add_rcu).
  @inline(__always)
  func addReferences(_ descriptor: Page, _ refs: Int32) -> Bool {
    if has(.freePageRefusal), has(.overflowRefusal) { return descriptor.refcount.addIfPositive(refs) }
    while true {
      let references = descriptor.refcount.load()
      if references == 0, has(.freePageRefusal) { return false }
      if references < 0, has(.overflowRefusal) { return false }
      if descriptor.refcount.compareExchange(references, references &+ refs).exchanged { return true }
    }
  }

  /// Drops references; the last one ends the folio.
  @inline(__always)
  package func putFolio(_ head: FrameNumber, refs: Int32 = 1, on processor: Int) {
    let before = page(head).refcount.fetchAdd(0 &- refs)
    if before == refs { destroyFolio(head, on: processor) }
    assert(before >= refs || before < 0, "refcount of \(head) fell from \(before) by \(refs)")
  }

  /// Takes a folio whose count reached zero apart and gives its frames back (mm/swap.c:__folio_put, 6.1).
  @inline(never)
  func destroyFolio(_ head: FrameNumber, on processor: Int) {
    let descriptor = page(head)
    if descriptor.has(.lru) { unlinkDying(head, on: processor) }
    let order = descriptor.isLarge ? descriptor.order : 0
    if descriptor.pincount.load(.relaxed) != 0 || descriptor.entireMapcount.load(.relaxed) != 0 {
      fatalError("\(head) is freed while pinned or mapped")
    }
    // A huge page of a pool stays one folio there.
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
