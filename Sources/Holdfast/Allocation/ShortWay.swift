import Interleaving

/// The short way in and out: a block that waits on the processor's list, and one that goes back there.
///
/// What most calls are. Nothing rare is done here, not even waiting for a lock, so that nothing has to be kept
/// for it: whoever calls takes the long way when the short one says no, which it does before it changes anything.
extension Machine {
  /// `allocate` for plain flags, if a block waits; `.none`, having changed nothing, if it takes more than that.
  ///
  /// The caller is in no allocation scope, and `gfp` asks neither for zeros nor for a folio.
  @inline(__always)
  func allocateQuickly(_ order: Int, _ gfp: GFPFlags, _ cpu: Processor, on processor: Int) -> FrameNumber {
    let frame = takeQuickly(order, gfp, node: cpu.node, on: processor)
    if frame == .none { return frame }
    let page = page(frame)
    page.state = PageState(order: order, type: .none, listType: .unmovable)
    cpu.allocations(fromKind: PageFlags.zoneKind(of: page.flagWord.load(.relaxed)))
      .addAsOwner(1 &<< UInt64(truncatingIfNeeded: order))
    page.refcount.store(1)
    return frame
  }

  /// Takes a block from the processor's list in the first zone that a request may use, as `take` would.
  ///
  /// Whether types may be mixed in a pageblock makes no difference for a block that waits already. The caller is
  /// in no allocation scope, and the node exists.
  @inline(__always)
  func takeQuickly(_ order: Int, _ gfp: GFPFlags, node: Int, on processor: Int) -> FrameNumber {
    let highest = gfp.highestZoneNumber
    // The byte for 15, which stands for illegal flags, is the last one.
    let route = self.node(node).zoneRoute.load(.relaxed) &>> UInt64(truncatingIfNeeded: highest &* 8) & 0xff
    // The bits that say how movable memory is are the numbers of the first three types.
    let type = UInt8(truncatingIfNeeded: gfp.rawValue &>> 3) & 3
    let index = perCPUIndex(order, number: type)
    if route == Node.noZone || type > MigrateType.reclaimable.rawValue || index < 0
      || global.failures(.allocation).load(.relaxed) != 0
    {
      return .none
    }
    let id = ZoneID(rawValue: node &* 5 &+ Int(truncatingIfNeeded: route))
    let zone = zone(id)
    let flags: AllocationFlags = type == MigrateType.movable.rawValue ? [.low, .cma] : .low
    guard enoughStaysFree(zone, order, protectionFrom: highest, flags) else { return .none }
    // As `hasBlock`, where the answer is plain.
    if order > 0, zone.freeList(order: geometry.maxOrder, .movable).first == .none { return .none }
    let lists = perCPULists(processor, id)
    guard lists.lock.tryLock() else { return .none }
    let frame = popFirst(of: lists.list(index), in: lists, order)
    lists.lock.unlock()
    return frame
  }

  /// Drops the one reference on a block that `allocate` gave and puts it on its processor's list, as `free` would.
  ///
  /// False, having changed nothing, if it is not as plain as that. True with a block that the lists would not take
  /// stands in `refused`: nobody references it any more, and its flags are clear.
  @inline(__always)
  func giveQuickly(
    _ frame: FrameNumber, _ order: Int, _ cpu: Processor, on processor: Int, refused: inout Bool
  ) -> Bool {
    let page = page(frame)
    // Of that order and allocated, so there is no need to look whether there are such orders.
    let word = page.flagWord.load(.relaxed)
    guard page.state.isAllocated(order: order),
      word & (PageFlags.reserved.rawValue | PageFlags.slab.rawValue) == 0
    else { return false }
    let lists = perCPULists(processor, zoneOf: word)
    guard page.refcount.compareExchange(1, 0).exchanged else { return false }
    cpu.event(.pgfree).addAsOwner(1 &<< UInt64(truncatingIfNeeded: order))
    refused = !listQuickly(frame, page, order, lists)
    return true
  }

  /// A processor's lists in the zone of a page, given its flag word.
  @inline(__always)
  func perCPULists(_ processor: Int, zoneOf word: UInt64) -> PerCPULists {
    perCPULists(
      processor, ZoneID(rawValue: PageFlags.node(of: word) &* 5 &+ PageFlags.zoneKind(of: word)))
  }

  /// Puts a block that nobody references on its processor's list, false if the list does not take it as it is.
  @inline(__always)
  func listQuickly(_ frame: FrameNumber, _ page: Page, _ order: Int, _ lists: PerCPULists) -> Bool {
    let word = page.flagWord.load(.relaxed)
    if word & PageFlags.clearedAtFree.rawValue != 0 || order > 0 && self.page(frame + 1).isTail { return false }
    guard lists.lock.tryLock() else { return false }
    let type = pageblockTypeNumber(of: frame)
    let index = perCPUIndex(order, number: MigrateType.listed(type))
    let count = lists.count &+ 1 &<< order
    if type == MigrateType.isolate.rawValue || index < 0 || count >= lists.limit {
      lists.lock.unlock()
      return false
    }
    page.state = PageState(order: order, type: .perCPU, listTypeNumber: type)
    pushFirst(frame, on: lists.list(index))
    lists.count = count
    lists.lock.unlock()
    return true
  }
}

extension MigrateType {
  /// The number of the type among whose blocks those of a pageblock wait: the movable, if it has no list of its own.
  @inline(__always)
  static func listed(_ number: UInt8) -> UInt8 { number <= reclaimable.rawValue ? number : movable.rawValue }
}
