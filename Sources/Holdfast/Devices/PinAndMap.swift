import Interleaving
import SystemPackage

/// Pinning the pages of a mapping and telling the IOMMU of them, and both undone.
extension Devices {
  /// The most pages that are pinned with one call: as many as a page has room for pointers
  /// (VFIO_BATCH_MAX_CAPACITY).
  private static let batch = 512

  /// The limit of locked memory that holds for a process, in pages.
  static func limit(of process: Process) -> UInt64 {
    process.capabilities.contains(.ipcLock) ? .max : process.memlockLimit / UInt64(pageSize)
  }

  /// Makes a process the one that a mapping is charged to, and keeps the row of its space.
  func setOwner(of mapping: Mapping, to process: Process) {
    spaces.getSpaceRow(process.space)
    mapping.space = process.space
    mapping.owner = spaces.number(of: process)
    mapping.limit = Self.limit(of: process)
  }

  /// Notes the limit that the owner of a mapping has now; the last one, if it has ended.
  ///
  /// - Locks: the caller holds the container's lock.
  func renewLimit(of mapping: Mapping) {
    guard mapping.limit != .max, let limit = spaces.memlockLimit(of: mapping.owner, with: mapping.space)
    else { return }
    mapping.limit = limit
  }

  /// Pins the pages of a mapping, charges them and maps them, run by run of consecutive frames; or nothing.
  ///
  /// - Parameters:
  ///   - domains: where they are mapped.
  ///   - process: whose memory is pinned, at the mapping's address.
  /// - Throws: the error of the pin, of the charge or of the tables.
  /// - Locks: the caller holds the container's lock and no other.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_pin_map_dma (6.1)
  func pinAndMap(
    _ mapping: Mapping, pages: Int, in domains: [Domain], by process: Process
  ) throws(DeviceError) {
    var batches: PinBatches
    do throws(PinError) {
      batches = try pins.beginBatches(
        process, process.space, at: mapping.address, pages: pages,
        write: mapping.access.contains(.write), purpose: PinLabel("vfio"))
    } catch { throw failed(error, mapping) }
    let start = mapping.iova >> 12
    var done = 0
    do throws(DeviceError) {
      while done < pages {
        let count = try pinRun(&batches, from: done, of: pages, mapping, by: process)
        for (place, domain) in domains.enumerated() {
          do throws(DeviceError) {
            try map(
              domain, start + UInt64(done), batches.frame(done), count: count, mapping.access, for: process)
          } catch {
            let span = PageSpan(start: start + UInt64(done), end: start + UInt64(done + count))
            for other in domains[..<place] { unmap(other, span, on: process.processor) }
            throw error
          }
        }
        done += count
      }
    } catch {
      let span = PageSpan(start: start, end: start + UInt64(done))
      for domain in domains { unmap(domain, span, on: process.processor) }
      batches.giveBack(markDirty: mapping.access.contains(.write))
      uncharge(mapping)
      throw error
    }
    batches.keep()
    mapping.pinned = batches.id
  }

  /// Pins as many pages as have consecutive frames, and charges them.
  ///
  /// - Returns: how many there are; one, if it is the zero page.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_pin_pages_remote (6.1); without areas of frames without
  ///   descriptors, pages that emulated devices have pinned.
  private func pinRun(
    _ batches: inout PinBatches, from first: Int, of pages: Int, _ mapping: Mapping, by process: Process
  ) throws(DeviceError) -> Int {
    if first == batches.pinned { try refill(&batches, mapping) }
    var run = batches.run(from: first, to: batches.pinned)
    if run.isReserved { return run.count }
    try checkLimit(run.count, mapping, process)
    // The run may go on in the next batch, which is pinned to see.
    while first + run.count == batches.pinned, batches.pinned < pages {
      try refill(&batches, mapping)
      let longer = batches.run(from: first, known: run.count, to: batches.pinned)
      if longer.count == run.count { break }
      run = longer
      try checkLimit(run.count, mapping, process)
    }
    try charge(run.count, to: mapping.space, limit: mapping.limit, at: mapping.iova)
    mapping.locked += run.count
    return run.count
  }

  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vaddr_get_pfns (6.1); without areas of frames without descriptors.
  private func refill(_ batches: inout PinBatches, _ mapping: Mapping) throws(DeviceError) {
    let first = batches.pinned
    do throws(PinError) { try batches.refill(atMost: Self.batch) } catch { throw failed(error, mapping) }
    batches.releaseZeroPages(from: first)
  }

  private func failed(_ error: PinError, _ mapping: Mapping) -> DeviceError {
    DeviceError(.map, .pin(error), error.errno, at: mapping.iova)
  }

  // MARK: - Charging

  /// Fails if that many more pages are beyond the caller's limit, unless the one who mapped could lock memory.
  private func checkLimit(
    _ pages: Int, _ mapping: Mapping, _ process: Process
  ) throws(DeviceError) {
    let locked = spaces.space(process.space).lockedPages.load(.relaxed)
    let limit = process.memlockLimit / UInt64(pageSize)
    guard mapping.limit != .max, locked + UInt64(pages) > limit else { return }
    let cause = AddressSpaceError.Cause.memlockLimit(
      locked: locked, requested: UInt64(pages), limit: limit)
    throw DeviceError(.map, .memlock(cause.description), .noMemory, at: mapping.iova)
  }

  /// Charges pages to a space.
  ///
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_lock_acct (6.1)
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:mm_lock_acct (6.1); without fatal signals: the count is atomic here.
  func charge(_ pages: Int, to space: RowID, limit: UInt64, at iova: UInt64) throws(DeviceError) {
    if pages == 0 { return }
    do throws(AddressSpaceError) {
      try spaces.chargeLocked(spaces.space(space), pages: UInt64(pages), as: .locked, limit: limit)
    } catch {
      throw DeviceError(.map, .memlock(error.cause.description), error.errno, at: iova)
    }
  }

  func uncharge(_ pages: Int, from space: RowID) {
    if pages > 0 { spaces.unchargeLocked(spaces.space(space), pages: UInt64(pages), as: .locked) }
  }

  private func uncharge(_ mapping: Mapping) {
    uncharge(mapping.locked, from: mapping.space)
    mapping.locked = 0
  }

  // MARK: - Undoing

  /// Takes a mapping out of all domains of its container, unpins its pages and uncharges them.
  ///
  /// - Locks: the caller holds the container's lock and no other.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_unmap_unpin (6.1); without unpinning the first regions before the
  ///   last are unmapped.
  func unmapAndUnpin(_ mapping: Mapping, _ container: Container, on processor: Int) {
    guard mapping.isMapped else { return }
    for domain in domains(of: container) { unmap(domain, mapping.span, on: processor) }
    unpin(mapping, on: processor)
    mapping.isMapped = false
  }

  /// Unpins the pages of a mapping that no domain translates any more, and uncharges them.
  ///
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_unpin_pages_remote (6.1)
  func unpin(_ mapping: Mapping, on processor: Int) {
    guard mapping.pinned != .none else { return }
    pins.endBatches(mapping.pinned, markDirty: mapping.access.contains(.write), on: processor)
    mapping.pinned = .none
    uncharge(mapping)
  }
}
