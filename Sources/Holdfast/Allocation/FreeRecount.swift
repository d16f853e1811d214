import Interleaving

/// Free memory of a zone, counted by walking every descriptor instead of trusting counters and lists.
package struct FreeRecount: Equatable {
  /// Frames in buddy chunks that count as free, those without metadata included.
  package var free = 0
  /// Of these, frames in CMA pageblocks.
  package var freeCMA = 0
  /// Frames in buddy chunks on ISOLATE lists.
  package var isolated = 0
  /// Frames on per-CPU lists.
  package var perCPU = 0
  /// Frames in buddy chunks by the type of their list, in the order of `MigrateType`.
  package var perType = [0, 0, 0, 0, 0, 0]
  /// Pageblocks of type ISOLATE that begin in the zone.
  package var isolatedPageblocks = 0
  /// Contradictions, in words; empty if there are none.
  package var problems: [String] = []
}

extension Buddy {
  /// Counts the free memory of a zone again and compares it with the zone's lists and counts.
  ///
  /// Checks invariants 3 and 5 to 7. No allocation or freeing may happen meanwhile.
  package func recountFree(zone id: ZoneID) -> FreeRecount {
    LockOrder.atRest("the caller knows that no thread allocates or frees meanwhile") { countedFree(zone: id) }
  }

  private func countedFree(zone id: ZoneID) -> FreeRecount {
    var recount = FreeRecount()
    let zone = zone(id)
    var blocks: [PageState: Int] = [:]
    var next = zone.spanned == 0 ? 0 : zone.start.index
    let end = zone.spanned == 0 ? 0 : next + zone.spanned
    while next < end {
      if next & (geometry.sectionFrames - 1) == 0, sectionState(next >> geometry.sectionOrder) == .deferred {
        next += geometry.sectionFrames
        continue
      }
      let frame = FrameNumber(next)
      next += 1
      guard memmap.hasMetadata(frame), memmap.page(frame).zone == id else { continue }
      let state = memmap.page(frame).state
      if state.type == .perCPU { recount.perCPU += 1 << state.order }
      guard state.type == .buddy else { continue }
      blocks[state, default: 0] += 1
      check(frame, state, &recount)
      next = frame.index + 1 << state.order
    }
    let deferred = Int(zone.deferred.load())
    recount.free += deferred
    recount.freeCMA += deferredCMA(id)
    recount.isolatedPageblocks = isolatedPageblocks(of: id)
    compare(id, blocks, &recount)
    return recount
  }

  /// Counts one buddy chunk and checks its state.
  private func check(_ frame: FrameNumber, _ state: PageState, _ recount: inout FreeRecount) {
    let frames = 1 << state.order
    recount.perType[Int(state.listType.number)] += frames
    switch state.listType {
    case .isolate: recount.isolated += frames
    case .cma:
      recount.free += frames
      recount.freeCMA += frames
    default: recount.free += frames
    }
    if frame.index & (frames - 1) != 0 { recount.problems.append("\(frame) is not aligned to its order") }
    for part in 0..<frames {
      let page = memmap.page(frame + part)
      if page.refcount.load() != 0 || page.mapcount.load() != 0 {
        recount.problems.append("\(frame + part) is free and in use")
      }
      if part > 0 && page.type != .none { recount.problems.append("\(frame + part) is in two free chunks") }
    }
    // Among mergeable types a single chunk may be on the list of another type than its pageblock's.
    let type = pageblockType(of: frame)
    if type != state.listType && !(type.isMergeable && state.listType.isMergeable) && type != .highAtomic {
      recount.problems.append("\(frame) of a pageblock \(type) is on list \(state.listType)")
    }
    let buddy = FrameNumber(frame.index ^ frames)
    if state.order < geometry.pageblockOrder, memmap.hasMetadata(buddy),
      memmap.page(buddy).zone == memmap.page(frame).zone,
      memmap.page(buddy).state.isFreeChunk(order: state.order)
    {
      recount.problems.append("\(frame) and its buddy are both free and did not merge")
    }
  }

  /// Pageblocks of type ISOLATE that begin in the zone.
  private func isolatedPageblocks(of id: ZoneID) -> Int {
    let zone = zone(id)
    guard zone.spanned > 0 else { return 0 }
    let first = zone.start.index & ~(geometry.pageblockFrames - 1)
    return stride(from: first, to: zone.start.index + zone.spanned, by: geometry.pageblockFrames).count {
      let frame = FrameNumber($0)
      return pageblockType(of: frame) == .isolate && memmap.hasMetadata(frame)
        && memmap.page(frame).zone == id
    }
  }

  /// Free CMA frames of sections without metadata.
  private func deferredCMA(_ id: ZoneID) -> Int {
    var frames = 0
    for index in configuration.cmaAreas.indices {
      let area = cma.area(index)
      let range = FrameRange(start: area.base, count: area.count)
      guard machine.extent(of: area.base)?.zone == id else { continue }
      let last = (range.endIndex - 1) >> geometry.sectionOrder
      for section in range.start.index >> geometry.sectionOrder...last
      where sectionState(section) == .deferred {
        frames += self.frames(ofSection: section).intersection(range)?.count ?? 0
      }
    }
    return frames
  }

  /// Compares lists and counts of a zone with the chunks that were found.
  private func compare(_ id: ZoneID, _ blocks: [PageState: Int], _ recount: inout FreeRecount) {
    let zone = zone(id)
    for order in 0...geometry.maxOrder {
      for type in MigrateType.allCases {
        let list = zone.freeList(order: order, type)
        let found = blocks[PageState(order: order, type: .buddy, listType: type)] ?? 0
        let walked = length(list) { $0 == PageState(order: order, type: .buddy, listType: type) }
        if walked != found || list.count != found {
          recount.problems.append(
            "\(id) order \(order) \(type): \(found) blocks, \(walked.map(String.init) ?? "a broken chain") on "
              + "the list, \(list.count) counted")
        }
      }
    }
    var held = 0
    for processor in 0..<configuration.processors { held += allocator.perCPULists(processor, id).count }
    let counts = [
      ("free", Int(zone.free.load()), recount.free),
      ("free CMA", Int(zone.freeCMA.load()), recount.freeCMA),
      ("isolated pageblocks", Int(zone.isolatedPageblocks.load()), recount.isolatedPageblocks),
      ("per-CPU", held, recount.perCPU),
    ]
    for (name, counted, found) in counts where counted != found {
      recount.problems.append("\(id) \(name): \(found) frames, \(counted) counted")
    }
  }

  /// The length of a list if all its entries are of the right state and linked both ways, else nil.
  private func length(_ list: FrameList, _ isRight: (PageState) -> Bool) -> Int? {
    var count = 0
    var previous = FrameNumber.none
    var next = list.first
    while next != .none {
      guard next.index < machine.frameCount, isRight(memmap.page(next).state),
        memmap.page(next).previous == previous
      else {
        return nil
      }
      count += 1
      if count > machine.frameCount { return nil }
      (previous, next) = (next, memmap.page(next).next)
    }
    return list.last == previous ? count : nil
  }

  /// Free chunks of an order in a zone, of all types, as /proc/buddyinfo counts them.
  ///
  /// Memory without metadata counts as chunks of the largest order.
  func freeChunks(_ id: ZoneID, order: Int) -> Int {
    let zone = zone(id)
    let listed = zone.lock.withLock {
      MigrateType.allCases.reduce(0) { $0 + zone.freeList(order: order, $1).count }
    }
    return order == geometry.maxOrder ? listed + Int(zone.deferred.load(.relaxed)) >> order : listed
  }
}
