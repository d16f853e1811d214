import Interleaving

/// How pins are counted on a folio, by policy (spec 1.6 to 1.10).
extension Machine {
  /// What one pin adds to the reference count of a page without an exact count (GUP_PIN_COUNTING_BIAS).
  package static let pinBias: Int32 = 1024

  /// Whether a folio counts its pins exactly.
  @inline(__always)
  package func countsExactly(_ descriptor: Page) -> Bool {
    guard descriptor.isLarge else { return false }
    switch policy.counting {
    case .reference, .bias: return false
    case .exactAboveOrderOne: return descriptor.order > 1
    case .exactForLarge: return true
    }
  }

  /// What `refs` pins add to the reference count.
  @inline(__always)
  func pinReferences(_ refs: Int32, exact: Bool) -> Int32 {
    exact || policy.counting == .reference ? refs : refs &* Self.pinBias
  }

  /// Whether a frame is the zero page and pins of it do not count (6.1.192, mainline).
  @inline(__always)
  package func isUncountedZeroPage(_ frame: FrameNumber) -> Bool {
    frame == global.zeroPage && !policy.zeroPageCounted
  }

  /// Whether a folio may be pinned for DMA: never false for a pinned one (page_maybe_dma_pinned).
  ///
  /// Exact for folios that count exactly. For others true from 1024 references on, so that as many ordinary
  /// references are mistaken for a pin. The test is unsigned: an overflowed count stays recognisable.
  package func isMaybePinned(_ head: FrameNumber) -> Bool {
    let descriptor = page(head)
    if policy.counting == .reference { return false }
    if countsExactly(descriptor) { return descriptor.pincount.load() > 0 }
    return UInt32(bitPattern: descriptor.refcount.load(.sequential)) >= UInt32(Self.pinBias)
  }

  /// Whether a long-term pin may stay on a frame under the policy (is_longterm_pinnable_page, spec 6.1).
  package func isLongtermPinnable(_ frame: FrameNumber) -> Bool {
    let head = head(of: frame)
    let block = pageblockType(of: head)
    if block == .cma { return false }
    if block == .isolate, policy.forbidden == .cmaIsolateAndMovable { return false }
    if policy.forbidden == .cma { return true }
    if policy.zeroPageExempt, frame == global.zeroPage { return true }
    return page(head).zone.kind != .movable
  }

  // MARK: - Grab

  /// Takes one reference or pin under the page-table lock (try_grab_page, 6.1).
  ///
  /// - Returns: false if the count has overflowed, which the caller reports as ENOMEM.
  func grabStable(_ frame: FrameNumber, _ flags: PinFlags, on processor: Int) -> Bool {
    if flags.isDisjoint(with: [.get, .pin]) { return true }
    let head = head(of: frame)
    let descriptor = page(head)
    guard descriptor.refcount.load() > 0 else { return false }
    if flags.contains(.get) {
      descriptor.refcount.fetchAdd(1)
      return true
    }
    if isUncountedZeroPage(frame) { return true }
    let exact = countsExactly(descriptor)
    descriptor.refcount.fetchAdd(pinReferences(1, exact: exact))
    if exact { descriptor.pincount.fetchAdd(1) }
    countAcquired(1, node: descriptor.zone.node, on: processor)
    return true
  }

  /// Takes references or pins without any lock (try_grab_folio, 6.1).
  ///
  /// - Returns: the head, or nil if the folio is free, frozen, overflowed, split meanwhile, or may not be
  ///   pinned where it is; the caller then goes the slow way.
  @inline(__always)
  func grabLockless(
    _ frame: FrameNumber, _ refs: Int32, _ flags: PinFlags, on processor: Int
  ) -> FrameNumber? {
    if flags.contains(.get) { return tryGetFolio(frame, refs: refs, processor: processor) }
    if isUncountedZeroPage(frame) { return frame }
    if flags.contains(.longterm), !isLongtermPinnable(frame) { return nil }
    let head = head(of: frame)
    let descriptor = page(head)
    let exact = countsExactly(descriptor)
    let added = pinReferences(refs, exact: exact)
    guard descriptor.refcount.addIfPositive(added) else { return nil }
    if self.head(of: frame) != head || countsExactly(descriptor) != exact {
      putFolio(head, refs: added, on: processor)
      return nil
    }
    if exact { descriptor.pincount.fetchAdd(refs, .sequential) }
    return head
  }

  /// Undoes a lockless grab whose page turned out to be the wrong one; the pin was not counted yet.
  @inline(never)
  func undoLocklessGrab(_ head: FrameNumber, _ refs: Int32, _ flags: PinFlags, on processor: Int) {
    if flags.contains(.get) {
      putFolio(head, refs: refs, on: processor)
      return
    }
    if isUncountedZeroPage(head) { return }
    let exact = countsExactly(page(head))
    if exact { page(head).pincount.fetchAdd(-refs) }
    putFolio(head, refs: pinReferences(refs, exact: exact), on: processor)
  }

  /// Adds to nr_foll_pin_acquired; a kernel without pin tracking has no such counter.
  @inline(__always)
  func countAcquired(_ pins: Int, node: Int, on processor: Int) {
    if policy.counting == .reference { return }
    self.processor(processor).count(.follPinAcquired, node: node).addAsOwner(UInt64(pins))
  }

  // MARK: - Release

  /// Gives back `refs` pins or references of one folio (gup_put_folio, 6.1).
  @inline(__always)
  func release(_ head: FrameNumber, _ refs: Int32, pins: Bool, on processor: Int) {
    guard pins else {
      putFolio(head, refs: refs, on: processor)
      return
    }
    if isUncountedZeroPage(head) { return }
    let descriptor = page(head)
    if policy.counting != .reference {
      self.processor(processor).count(.follPinReleased, node: descriptor.zone.node)
        .addAsOwner(UInt64(truncatingIfNeeded: refs))
    }
    let exact = countsExactly(descriptor)
    if exact { descriptor.pincount.fetchAdd(-refs) }
    putFolio(head, refs: pinReferences(refs, exact: exact), on: processor)
  }

  /// Gives back an array of pages, a group of consecutive entries of one folio at a time.
  ///
  /// - Parameter markDirty: lock each clean folio and mark it dirty first (unpin_user_pages_dirty_lock).
  func releaseAll(
    _ frames: UnsafeMutablePointer<FrameNumber>, _ count: Int, pins: Bool, markDirty: Bool,
    on processor: Int
  ) {
    var i = 0
    while i < count {
      let frame = frames[i]
      if frame == .none {
        i &+= 1
        continue
      }
      let head = head(of: frame)
      var group = 1
      if page(head).isLarge {
        while i &+ group < count, frames[i &+ group] != .none, self.head(of: frames[i &+ group]) == head {
          group &+= 1
        }
      }
      if markDirty, !page(head).has(.dirty) {
        page(head).lock.lock()
        page(head).set(.dirty)
        page(head).lock.unlock()
      }
      release(head, Int32(truncatingIfNeeded: group), pins: pins, on: processor)
      i &+= group
    }
  }
}
