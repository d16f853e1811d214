import Interleaving

/// Counting pins on folios: taking them, releasing them, and asking for them.
///
/// What a pin adds to which count depends on the policy (`PinRules`).
extension Pins {
  // MARK: - Grab

  /// Takes references or pins on the page of an entry: one for itself and each page of its folio behind it.
  ///
  /// - Returns: false if the count has overflowed, which the caller reports as ENOMEM.
  /// - Locks: the caller holds the page-table lock, which keeps the page allocated, or a reference.
  /// - Kernel: mm/gup.c:try_grab_page (6.1)
  /// - Kernel: mm/gup.c:try_grab_folio (6.12); without pages of PCI peers.
  func tryGrabPage(
    _ frame: FrameNumber, refs: Int32 = 1, _ flags: PinFlags, on processor: Int
  ) -> Bool {
    if flags.isDisjoint(with: [.get, .pin]) { return true }
    let head = memmap.head(of: frame)
    let folio = memmap.page(head)
    let references = folio.refcount.load()
    guard references > 0 || (!isEnabled(.overflowRefusal) && references != 0) else { return false }
    if flags.contains(.get) {
      folio.refcount.fetchAdd(refs)
      return true
    }
    if frame == pinRules.uncountedZeroPage { return true }
    let exact = pinRules.countsExactly(folio)
    folio.refcount.fetchAdd(pinRules.references(refs, exact: exact))
    if exact { folio.pincount.fetchAdd(refs) }
    countAcquired(Int(refs), node: folio.zone.node, on: processor)
    return true
  }

  /// Takes references or pins without any lock.
  ///
  /// Where the kernel takes references first and then the rest of the bias, this takes both at once: if the
  /// folio was split meanwhile, the grab fails and the slow path takes the page.
  ///
  /// - Returns: the head, or `.none` if the folio is free, frozen, overflowed, split meanwhile, or may not be
  ///   pinned where it is.
  /// - Kernel: mm/gup.c:try_grab_folio (6.1); without trying again after a split of a pinned folio, the count
  ///   nr_foll_pin_acquired, which the walk adds up for all its pages.
  func tryGrabFolio(
    _ frame: FrameNumber, _ refs: Int32, _ flags: PinFlags, on processor: Int
  ) -> FrameNumber {
    if flags.contains(.get) { return folios.tryGet(frame, refs: refs, processor: processor) ?? .none }
    if frame == pinRules.uncountedZeroPage { return frame }
    let head = memmap.head(of: frame)
    let folio = memmap.page(head)
    let word = folio.flagWord.load(.acquire)
    if flags.contains(.longterm),
      !pinRules.mayStay(frame, inBlockOf: buddy.pageblockTypeNumber(of: head), flagWord: word)
    {
      return .none
    }
    let exact = pinRules.countsExactly(folio, flagWord: word)
    let added = pinRules.references(refs, exact: exact)
    guard folios.addReferences(folio, added) else { return .none }
    if isEnabled(.folioRecheck), memmap.head(of: frame) != head || pinRules.countsExactly(folio) != exact {
      folios.put(head, refs: added, on: processor)
      return .none
    }
    if exact { folio.pincount.fetchAdd(refs, .sequential) }
    return head
  }

  /// Releases what a lockless grab has taken on a page whose entry changed; the pin was not counted yet.
  ///
  /// - Kernel: mm/gup.c:gup_put_folio (6.1); without the count nr_foll_pin_released, since nothing was
  ///   counted.
  @inline(never)
  func putGrabbed(_ head: FrameNumber, _ refs: Int32, _ flags: PinFlags, on processor: Int) {
    if flags.contains(.get) {
      folios.put(head, refs: refs, on: processor)
      return
    }
    if head == pinRules.uncountedZeroPage { return }
    let exact = pinRules.countsExactly(memmap.page(head))
    if exact { memmap.page(head).pincount.fetchAdd(-refs) }
    folios.put(head, refs: pinRules.references(refs, exact: exact), on: processor)
  }

  /// Adds to nr_foll_pin_acquired, which a kernel without pin tracking does not have.
  @inline(__always)
  func countAcquired(_ pins: Int, node: Int, on processor: Int) {
    if !pinRules.isTracked { return }
    machine.processor(processor).count(.follPinAcquired, node: node).addAsOwner(UInt64(pins))
  }

  // MARK: - Release

  /// Releases an array of pages; slots without a frame are passed over.
  ///
  /// Consecutive entries of one folio are released together.
  ///
  /// - Parameter markDirty: whether each clean folio is locked and marked dirty first.
  /// - Kernel: mm/gup.c:unpin_user_pages (6.1)
  /// - Kernel: mm/gup.c:unpin_user_page (6.1)
  /// - Kernel: mm/gup.c:unpin_user_pages_dirty_lock (6.1)
  /// - Kernel: mm/gup.c:unpin_user_pages_lockless (6.1)
  /// - Kernel: mm/gup.c:gup_put_folio (6.1); without device pages.
  func unpinAll(
    _ frames: UnsafeMutableBufferPointer<FrameNumber>, pins: Bool, markDirty: Bool, on processor: Int
  ) {
    let cpu = machine.processor(processor)
    // Without pin tracking a pin is a reference, and the bias is 1.
    let tracked = pins && pinRules.isTracked
    let bias = pins ? pinRules.bias : 1
    let uncounted = pins ? pinRules.uncountedZeroPage : .none
    var i = 0
    while i < frames.count {
      let frame = frames[i]
      i &+= 1
      if frame == .none { continue }
      let head = memmap.head(of: frame)
      let folio = memmap.page(head)
      let word = folio.flagWord.load(.acquire)
      if markDirty, word & PageFlags.dirty.rawValue == 0 {
        folio.lock.lock()
        folio.set(.dirty)
        folio.lock.unlock()
      }
      if head == uncounted { continue }
      let released = cpu.count(.follPinReleased, node: PageFlags.node(of: word))
      if word & PageFlags.head.rawValue == 0 {
        if tracked { released.addAsOwner(1) }
        folios.put(head, refs: bias, on: processor)
        continue
      }
      // Its order does not change while it is held.
      let last = UInt32(truncatingIfNeeded: (1 &<< folio.order) &- 1)
      let rest = UnsafeMutableBufferPointer(rebasing: frames.dropFirst(i))
      let more = Self.prefix(of: rest, from: head.rawValue, to: last)
      i &+= more
      let refs = Int32(truncatingIfNeeded: more &+ 1)
      if tracked { released.addAsOwner(UInt64(truncatingIfNeeded: refs)) }
      let exact = tracked && pinRules.countsExactly(folio, flagWord: word)
      if exact { folio.pincount.fetchAdd(0 &- refs) }
      folios.put(head, refs: exact ? refs : refs &* bias, on: processor)
    }
  }

  /// The length of the longest prefix of `frames` whose frames are all at most `distance` after `first`.
  ///
  /// - Parameter distance: one less than a power of two, so that eight differences are compared with it at
  ///   once: one of them is greater exactly if their bitwise OR is.
  /// - Kernel: mm/gup.c:gup_folio_next (6.1)
  @inline(never)
  private static func prefix(
    of frames: UnsafeMutableBufferPointer<FrameNumber>, from first: UInt32, to distance: UInt32
  ) -> Int {
    var i = 0
    let count = frames.count
    let bytes = UnsafeRawBufferPointer(frames)
    let start = SIMD8(repeating: first)
    while i &+ 8 <= count {
      let block = bytes.loadUnaligned(
        fromByteOffset: i &* MemoryLayout<FrameNumber>.stride, as: SIMD8<UInt32>.self)
      let differences = block &- start
      let four = differences.lowHalf | differences.highHalf
      let two = four.lowHalf | four.highHalf
      if two.x | two.y > distance { break }
      i &+= 8
    }
    while i < count, frames[i].rawValue &- first <= distance { i &+= 1 }
    return i
  }
}
