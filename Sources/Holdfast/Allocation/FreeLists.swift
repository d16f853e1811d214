package import Interleaving

/// Free chunks on lists, splitting and merging.
///
/// - Locks: the caller of everything here holds the zone lock.
extension Buddy {
  // MARK: - Free chunks

  /// Makes frames a free chunk on the list of a type, changing no count and without merging.
  ///
  /// - Kernel: mm/page_alloc.c:add_to_free_list (6.1)
  /// - Kernel: mm/page_alloc.c:add_to_free_list_tail (6.1)
  @inline(__always)
  func addToFreeList(
    _ frame: FrameNumber, order: Int, _ type: MigrateType, in zone: Zone, last: Bool = false
  ) {
    memmap.page(frame).state = PageState(order: order, type: .buddy, listType: type)
    var list = zone.freeList(order: order, type)
    if last { list.pushLast(frame, in: memmap) } else { list.pushFirst(frame, in: memmap) }
  }

  /// Takes a free chunk off its list, changing no count; its frames are then neither free nor allocated.
  ///
  /// - Kernel: mm/page_alloc.c:del_page_from_free_list (6.1)
  @inline(__always)
  func removeFromFreeList(_ frame: FrameNumber, order: Int, in zone: Zone) {
    let page = memmap.page(frame)
    let type = page.listType
    var list = zone.freeList(order: order, type)
    list.remove(frame, in: memmap)
    page.state = PageState(order: order, type: .none, listType: type)
  }

  /// Adds to a zone's count that is written under one lock, the zone's or that of hotplug, and read without it.
  @inline(__always)
  package func add(_ frames: Int, to cell: AtomicUInt64) {
    cell.store(cell.load(.relaxed) &+ UInt64(bitPattern: Int64(frames)), .relaxed)
  }

  /// Counts frames that became free on, or left, the lists of a type.
  ///
  /// Frames of ISOLATE pageblocks do not count as free.
  ///
  /// - Kernel: include/linux/vmstat.h:__mod_zone_freepage_state (6.1)
  @inline(__always)
  package func countFree(_ frames: Int, _ type: MigrateType, in zone: Zone) {
    if type == .isolate { return }
    add(frames, to: zone.free)
    if type == .cma { add(frames, to: zone.freeCMA) }
  }

  /// Whether a frame heads a free chunk of that order in the zone given by its bits of the flag word.
  ///
  /// - Kernel: mm/internal.h:find_buddy_page_pfn (6.1)
  @inline(__always)
  private func isFreeChunk(_ index: Int, order: Int, zoneBits: UInt64) -> Bool {
    let page = memmap.page(FrameNumber(index))
    return page.state.isFreeChunk(order: order)
      && page.flagWord.load(.relaxed) &>> PageFlags.zoneShift == zoneBits
  }

  /// Frees a chunk: merges it with its free buddies and puts it on the list of its type.
  ///
  /// From pageblock order on, chunks merge only if their pageblocks' types are the same or both may be stolen
  /// from. Changes no count.
  ///
  /// - Parameter last: puts the chunk at the end of its list (FPI_TO_TAIL).
  /// - Kernel: mm/page_alloc.c:__free_one_page (6.1); without capture by compaction, guard pages, shuffling,
  ///   page reporting.
  /// - Kernel: mm/page_alloc.c:buddy_merge_likely (6.1)
  @inline(__always)
  func insertFree(
    _ frame: FrameNumber, order: Int, _ type: MigrateType, in zone: Zone, last: Bool = false
  ) {
    let zoneBits = memmap.page(frame).flagWord.load(.relaxed) &>> PageFlags.zoneShift
    let largest = geometry.maxOrder
    var index = frame.index
    var order = order
    while order < largest {
      let buddy = index ^ (1 &<< order)
      guard isFreeChunk(buddy, order: order, zoneBits: zoneBits) else { break }
      if order >= geometry.pageblockOrder {
        let other = pageblockType(of: FrameNumber(buddy))
        if other != type && !(other.isMergeable && type.isMergeable) { break }
      }
      removeFromFreeList(FrameNumber(buddy), order: order, in: zone)
      index &= buddy
      order &+= 1
    }
    if index != frame.index { memmap.page(frame).type = .none }
    var last = last
    if !last && order < largest &- 1 {
      // If the chunk next to the merged pair is free, the pair may soon be complete: this chunk is taken
      // late.
      let pair = index & ~(1 &<< order)
      last = isFreeChunk(pair ^ (2 &<< order), order: order &+ 1, zoneBits: zoneBits)
    }
    addToFreeList(FrameNumber(index), order: order, type, in: zone, last: last)
  }

  /// Takes the first chunk of the smallest sufficient order from the lists of a type, or `.none`.
  ///
  /// The rest of a split chunk goes back on the same type's lists. Changes no count.
  ///
  /// - Kernel: mm/page_alloc.c:__rmqueue_smallest (6.1)
  /// - Kernel: mm/page_alloc.c:expand (6.1)
  @inline(__always)
  func allocateSmallest(_ order: Int, _ type: MigrateType, in zone: Zone) -> FrameNumber {
    var current = order
    while current <= geometry.maxOrder {
      var list = zone.freeList(order: current, type)
      if let frame = list.popFirst(in: memmap) {
        while current > order {
          current &-= 1
          addToFreeList(frame + (1 &<< current), order: current, type, in: zone)
        }
        memmap.page(frame).state = PageState(order: order, type: .none, listType: type)
        return frame
      }
      current &+= 1
    }
    return .none
  }

  // MARK: - Pageblocks

  /// The frames of the pageblock that holds a frame; a pageblock belongs to one zone.
  private func pageblock(of frame: FrameNumber) -> FrameRange {
    FrameRange(
      start: FrameNumber(frame.index & ~(geometry.pageblockFrames - 1)), count: geometry.pageblockFrames)
  }

  /// Moves the free chunks of a pageblock from the lists of one type to those of another.
  ///
  /// The pageblock has metadata, and the caller has set its type and the zone's count of ISOLATE pageblocks;
  /// this changes `free` and `freeCMA`. A free chunk larger than the pageblock is split, and each part goes
  /// to the list of its own pageblock's type. Whole pageblocks of one type that are neighbours afterwards
  /// merge.
  ///
  /// - Returns: number of frames moved.
  /// - Locks: the caller holds the zone lock.
  /// - Kernel: mm/page_alloc.c:move_freepages_block (6.1); without zone boundaries inside a pageblock, the
  ///   walk if the types are equal (0 is returned).
  @discardableResult
  func moveFreePages(
    inPageblockOf frame: FrameNumber, from: MigrateType, to: MigrateType
  ) -> Int {
    guard from != to else { return 0 }
    var movable = 0
    return moveFreePages(inPageblockOf: frame, to: to, movable: &movable)
  }

  /// `moveFreePages` that also counts allocated frames that look movable: those on an LRU list.
  ///
  /// - Kernel: mm/page_alloc.c:move_freepages (6.1); without movable pages off the LRU; chunks go to the head
  ///   of their list, in the kernel to its tail; a larger chunk is split first, and a whole free pageblock
  ///   merges with its buddy, neither of which the kernel does here.
  func moveFreePages(inPageblockOf frame: FrameNumber, to: MigrateType, movable: inout Int) -> Int {
    let zone = zone(memmap.page(frame).zone)
    let range = pageblock(of: frame)
    splitFreeChunk(over: range, in: zone)
    var moved = 0
    var next = range.start
    while next.index < range.endIndex {
      let state = memmap.page(next).state
      guard state.type == .buddy else {
        if memmap.page(memmap.head(of: next)).has(.lru) { movable += 1 }
        next = next + 1
        continue
      }
      let frames = 1 << state.order
      removeFromFreeList(next, order: state.order, in: zone)
      countFree(-frames, state.listType, in: zone)
      countFree(frames, to, in: zone)
      if state.order == geometry.pageblockOrder {
        insertFree(next, order: state.order, to, in: zone)
      } else {
        addToFreeList(next, order: state.order, to, in: zone)
      }
      moved += frames
      next = next + frames
    }
    return moved
  }

  /// Splits the free chunk that holds more than this pageblock, if there is one, into pageblocks.
  ///
  /// - Kernel: mm/page_alloc.c:split_free_page (6.1); without an offset inside a pageblock.
  private func splitFreeChunk(over range: FrameRange, in zone: Zone) {
    var order = geometry.pageblockOrder + 1
    while order <= geometry.maxOrder {
      let first = FrameNumber(range.start.index & ~((1 << order) - 1))
      if memmap.page(first).state.isFreeChunk(order: order),
        self.zone(memmap.page(first).zone).row.raw == zone.row.raw
      {
        let old = memmap.page(first).listType
        removeFromFreeList(first, order: order, in: zone)
        var part = first
        while part.index < first.index + 1 << order {
          // The type of this pageblock may be new already; its frames are still counted under the old one.
          let type = part == range.start ? old : pageblockType(of: part)
          countFree(-geometry.pageblockFrames, old, in: zone)
          countFree(geometry.pageblockFrames, type, in: zone)
          addToFreeList(part, order: geometry.pageblockOrder, type, in: zone)
          part = part + geometry.pageblockFrames
        }
        return
      }
      order += 1
    }
  }

  /// The free chunk that holds a frame, with its order.
  ///
  /// - Locks: the caller holds the zone lock.
  package func freeChunk(covering frame: FrameNumber) -> (head: FrameNumber, order: Int)? {
    for order in 0...geometry.maxOrder {
      let head = FrameNumber((frame.index >> order) << order)
      let folio = memmap.page(head)
      if folio.type == .buddy { return folio.order >= order ? (head, folio.order) : nil }
    }
    return nil
  }

  /// Takes a free chunk off its list; its frames are neither free nor allocated afterwards.
  ///
  /// - Locks: the caller holds the zone lock.
  package func removeFromFreeList(_ head: FrameNumber) {
    let folio = memmap.page(head)
    removeFromFreeList(head, order: folio.order, in: zone(folio.zone))
    folio.order = 0
  }
}

extension MigrateType {
  /// Whether chunks of the type may merge with those of another such type, and be stolen.
  ///
  /// - Kernel: include/linux/mmzone.h:migratetype_is_mergeable (6.1)
  @inline(__always)
  var isMergeable: Bool { number < 3 }
}
