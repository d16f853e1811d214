import Interleaving
import SystemPackage

/// Allocation from CMA areas, and release to them.
extension Machine {
  /// The numbers of the CMA areas, in the order of the configuration.
  public var cmaAreas: Range<Int> { configuration.cmaAreas.indices }

  /// Allocates `count` consecutive pages from an area and moves what is in them.
  ///
  /// Tries one window after the other, ascending, with the alignment of the request; a page that does not
  /// move costs its window only. Each page comes with one reference.
  ///
  /// - Parameters:
  ///   - index: the area's number.
  ///   - count: pages wanted.
  ///   - alignOrder: the range begins at a multiple of 2^alignOrder frames.
  ///   - process: the process that allocates; a fatal signal to it ends the attempt.
  /// - Throws: ENOMEM if drivers leave no window or there is no memory for the pages to be moved, EBUSY if
  ///   every window stayed busy, EINTR after a fatal signal, EINVAL for an invalid count or alignment. The
  ///   bitmap is then as before.
  /// - Locks: takes the lock of contiguous allocations and what `allocateContiguous` takes; the caller holds
  ///   no lock.
  /// - Kernel: mm/cma.c:cma_alloc (6.1)
  public func cmaAllocate(
    area index: Int, count: Int, alignOrder: Int = 0, by process: Process
  ) throws(CMAError) -> FrameRange {
    tick()
    guard configuration.cmaAreas.indices.contains(index) else {
      counters.bump(.cmaAllocFail, on: process)
      throw CMAError(area: "", count: count, cause: .noSuchArea)
    }
    let area = cma.area(index)
    let name = configuration.cmaAreas[index].name
    do {
      let range = try cma.allocate(area, name, count, alignOrder, by: process)
      counters.bump(.cmaAllocSuccess, on: process)
      area.pagesSucceeded.fetchAdd(UInt64(count))
      return range
    } catch {
      counters.bump(.cmaAllocFail, on: process)
      area.pagesFailed.fetchAdd(UInt64(max(0, count)))
      throw error
    }
  }

  /// Releases pages of an area.
  ///
  /// Every page loses the reference of its owner. Pages with other references are freed when those end,
  /// although the bitmap shows them as free at once; a later allocation finds them busy.
  ///
  /// - Returns: pages that are still in use, and their holders.
  /// - Throws: EINVAL for a range outside the area; nothing has changed then.
  /// - Kernel: mm/cma.c:cma_release (6.1)
  /// - Kernel: mm/cma.c:cma_pages_valid (6.1)
  /// - Kernel: mm/page_alloc.c:free_contig_range (6.1)
  @discardableResult
  public func cmaRelease(area index: Int, _ range: FrameRange, by process: Process) throws(CMAError)
    -> CMARelease
  {
    tick()
    guard configuration.cmaAreas.indices.contains(index) else {
      throw CMAError(area: "", count: range.count, cause: .noSuchArea)
    }
    let area = cma.area(index)
    guard range.count > 0, range.start >= area.base, range.endIndex <= area.base.index + area.count else {
      throw CMAError(
        area: configuration.cmaAreas[index].name, count: range.count, cause: .outsideArea(range))
    }
    var stillInUse = 0
    var frames: [StuckFrame] = []
    for frame in range.frames where memmap.page(frame).refcount.load() > 1 {
      stillInUse += 1
      if frames.count < Migration.describedFrames { frames.append(migration.describeStuck(frame, pages: 1)) }
    }
    let holders = stillInUse > 0 ? ledger.holders(of: range) : []
    for frame in range.frames { folios.put(frame, on: process.processor) }
    let shift = area.orderPerBit
    let first = (range.start.index - area.base.index) >> shift
    area.lock.withLock {
      cma.setBits(of: area, first..<(first + (range.count + (1 << shift) - 1) >> shift), false)
    }
    return CMARelease(stillInUse: stillInUse, frames: frames, holders: holders)
  }

  /// What the files of /sys/kernel/mm/cma and debugfs show of an area, or nil for a number without an area.
  ///
  /// - Kernel: mm/cma_debug.c:cma_used_get (6.1)
  /// - Kernel: mm/cma_debug.c:cma_maxchunk_get (6.1)
  public func cmaStatus(area index: Int) -> CMAStatus? {
    guard configuration.cmaAreas.indices.contains(index) else { return nil }
    let area = cma.area(index)
    let longest = area.lock.withLock {
      var longest = 0
      var run = 0
      for bit in 0..<(area.count >> area.orderPerBit) {
        run = cma.isSet(bit, of: area) ? 0 : run + 1
        longest = max(longest, run)
      }
      return longest
    }
    return CMAStatus(
      name: configuration.cmaAreas[index].name, frames: FrameRange(start: area.base, count: area.count),
      orderPerBit: area.orderPerBit, usedPages: cma.usedPages(of: area),
      longestRun: longest << area.orderPerBit, pagesSucceeded: area.pagesSucceeded.load(.relaxed),
      pagesFailed: area.pagesFailed.load(.relaxed))
  }
}

extension CMA {
  /// Tries the windows of an area.
  ///
  /// - Kernel: mm/cma.c:cma_bitmap_aligned_mask (6.1)
  /// - Kernel: mm/cma.c:cma_bitmap_aligned_offset (6.1)
  /// - Kernel: mm/cma.c:cma_bitmap_pages_to_bits (6.1)
  fileprivate func allocate(
    _ area: CMAArea, _ name: String, _ count: Int, _ alignOrder: Int, by process: Process
  ) throws(CMAError) -> FrameRange {
    let shift = area.orderPerBit
    guard count > 0, count <= area.count, alignOrder >= 0, alignOrder < 32 else {
      throw CMAError(area: name, count: count, cause: .badCount(pages: count, area: area.count))
    }
    let bits = (count + (1 << shift) - 1) >> shift
    let mask = alignOrder <= shift ? 0 : (1 << (alignOrder - shift)) - 1
    let offset = (area.base.index & ((1 << alignOrder) - 1)) >> shift
    var start = 0
    var windows: [ContiguousError] = []
    var total = 0
    while let bit = claimWindow(of: area, from: start, bits: bits, mask: mask, offset: offset) {
      let range = FrameRange(start: area.base + bit << shift, count: count)
      let failure = tryWindow(range, by: process)
      trace?(.cma(area: name, start: range.start, count: count, succeeded: failure == nil))
      guard let failure else { return range }
      area.lock.withLock { setBits(of: area, bit..<(bit + bits), false) }
      total += 1
      if windows.count < CMAError.windowLimit { windows.append(failure) }
      guard failure.errno == .resourceBusy else {
        let cause: CMAError.Cause = failure.errno == .interrupted ? .interrupted : .noTarget
        throw CMAError(area: name, count: count, cause: cause, windows: [failure], windowTotal: total)
      }
      start = bit + mask + 1
    }
    let cause: CMAError.Cause = total > 0 ? .busy : .noWindow(usedPages: usedPages(of: area))
    throw CMAError(area: name, count: count, cause: cause, windows: windows, windowTotal: total)
  }

  /// Tries to empty one window; returns why that failed, or nil.
  private func tryWindow(_ range: FrameRange, by process: Process) -> ContiguousError? {
    global.contiguousLock.lock()
    defer { global.contiguousLock.unlock() }
    do {
      try allocator.allocateContiguous(range, type: .cma, by: process)
      return nil
    } catch {
      return error
    }
  }

  /// The frames of an area that are allocated, as its bitmap says.
  package func allocatedRanges(area index: Int) -> [FrameRange] {
    let area = area(index)
    return area.lock.withLock {
      (0..<(area.count >> area.orderPerBit)).filter { isSet($0, of: area) }.map {
        FrameRange(start: area.base + $0 << area.orderPerBit, count: 1 << area.orderPerBit)
      }
    }
  }

  // MARK: - Bitmap

  /// Finds the next aligned run of free bits from `start` on and sets it; nil if there is none.
  private func claimWindow(of area: CMAArea, from start: Int, bits: Int, mask: Int, offset: Int) -> Int? {
    area.lock.withLock {
      let limit = area.count >> area.orderPerBit
      var candidate = start
      while true {
        candidate = ((candidate + offset + mask) & ~mask) - offset
        guard candidate + bits <= limit else { return nil }
        guard let taken = (candidate..<(candidate + bits)).last(where: { isSet($0, of: area) }) else {
          setBits(of: area, candidate..<(candidate + bits), true)
          return candidate
        }
        candidate = taken + 1
      }
    }
  }

  /// Whether a bit of an area's bitmap is set.
  ///
  /// - Locks: the caller holds the area's lock.
  fileprivate func isSet(_ bit: Int, of area: CMAArea) -> Bool {
    bitmapWord(area.bitmap + bit >> 6)[CMABitmapRow.word].rawValue >> UInt64(bit & 63) & 1 != 0
  }

  /// Sets or clears bits of an area's bitmap.
  ///
  /// - Locks: the caller holds the area's lock.
  fileprivate func setBits(of area: CMAArea, _ bits: Range<Int>, _ value: Bool) {
    for bit in bits {
      let row = bitmapWord(area.bitmap + bit >> 6)
      let mask: UInt64 = 1 << UInt64(bit & 63)
      let word = row[CMABitmapRow.word].rawValue
      row[CMABitmapRow.word] = BitWord(rawValue: value ? word | mask : word & ~mask)
    }
  }

  fileprivate func usedPages(of area: CMAArea) -> Int {
    area.lock.withLock {
      (0..<(area.count >> area.orderPerBit)).count { isSet($0, of: area) } << area.orderPerBit
    }
  }
}
