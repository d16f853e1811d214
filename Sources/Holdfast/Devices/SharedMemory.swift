public import Interleaving
import SystemPackage

/// The layout of the row of memory that mappings of IO address spaces share.
@usableFromInline
package enum SharedMemoryRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .guarded(by: .tables)) }
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> {
    live.next("lock", .lock(.sharedMemory))
  }
  @inlinable @_transparent package static var users: Field<UInt32> {
    lock.next("users", .guarded(by: .sharedMemory))
  }
  @inlinable @_transparent package static var firstArea: Field<RowID> {
    users.next("first mapping", .guarded(by: .sharedMemory))
  }
  @inlinable @_transparent package static var address: Field<UInt64> { firstArea.next("address", .immutable) }
  @inlinable @_transparent package static var pages: Field<UInt64> { address.next("pages", .immutable) }
  @inlinable @_transparent package static var space: Field<RowID> { pages.next("space", .immutable) }
  @inlinable @_transparent package static var object: Field<RowID> { space.next("object", .immutable) }
  @inlinable @_transparent package static var limit: Field<UInt64> {
    object.next("memlock limit", .immutable)
  }
  @inlinable @_transparent package static var owner: Field<ProcessID> { limit.next("owner", .immutable) }
  @inlinable @_transparent package static var traits: Field<UInt32> { owner.next("traits", .immutable) }
  @inlinable @_transparent package static var pinned: Field<RowID> {
    traits.next("pin record", .guarded(by: .sharedMemory))
  }
  @inlinable @_transparent package static var charged: Field<UInt64> {
    pinned.next("charged pages", .guarded(by: .sharedMemory))
  }

  @inlinable @_transparent package static var stride: Int { charged.stride(align: 32) }

  @usableFromInline package static var fields: [any RowField] {
    [live, lock, users, firstArea, address, pages, space, object, limit, owner, traits, pinned, charged]
  }
}

/// Memory that mappings of IO address spaces share (iopt_pages): a handle to its row.
package struct SharedMemory {
  let row: Row
  package let id: RowID

  /// The same while no other thread can reach the row.
  var unshared: SharedMemory { SharedMemory(row: row.unshared, id: id) }

  /// Whom its pins are charged to, beside the space.
  package enum Charge: UInt32 {
    /// To nothing else: the process that mapped it may lock memory.
    case none
    case user, space
  }

  /// 1 while the row is in use.
  package var live: UInt32 { row[SharedMemoryRow.live] }
  /// Serialises pins of its pages (iopt_pages.mutex).
  var lock: SpinLock { row.lock(SharedMemoryRow.lock) }
  /// Mappings and calls that have it.
  var users: Int {
    get { Int(row[SharedMemoryRow.users]) }
    nonmutating set { row[SharedMemoryRow.users] = UInt32(newValue) }
  }
  /// The list of its mappings.
  var firstArea: RowID {
    get { row[SharedMemoryRow.firstArea] }
    nonmutating set { row[SharedMemoryRow.firstArea] = newValue }
  }
  /// Its first page: in the space, or in the object.
  var address: VirtualAddress {
    get { VirtualAddress(rawValue: row[SharedMemoryRow.address]) }
    nonmutating set { row[SharedMemoryRow.address] = newValue.rawValue }
  }
  package var pages: Int {
    get { Int(row[SharedMemoryRow.pages]) }
    nonmutating set { row[SharedMemoryRow.pages] = UInt64(newValue) }
  }
  /// The space that is pinned and charged, whose row is kept.
  package var space: RowID {
    get { row[SharedMemoryRow.space] }
    nonmutating set { row[SharedMemoryRow.space] = newValue }
  }
  /// The memory file, if it is one's.
  package var object: RowID {
    get { row[SharedMemoryRow.object] }
    nonmutating set { row[SharedMemoryRow.object] = newValue }
  }
  /// The limit of the process that mapped it first, in pages, as it was then.
  var limit: UInt64 {
    get { row[SharedMemoryRow.limit] }
    nonmutating set { row[SharedMemoryRow.limit] = newValue }
  }
  /// That process, which may have ended.
  var owner: ProcessID {
    get { row[SharedMemoryRow.owner] }
    nonmutating set { row[SharedMemoryRow.owner] = newValue }
  }
  /// Whether it is pinned for writing.
  var isWritable: Bool { row[SharedMemoryRow.traits] & 1 != 0 }
  /// Whom its pins are charged to.
  package var charge: Charge { Charge(rawValue: row[SharedMemoryRow.traits] >> 1) ?? .none }
  func set(writable: Bool, _ charge: Charge) {
    row[SharedMemoryRow.traits] = charge.rawValue << 1 | (writable ? 1 : 0)
  }
  /// The ledger's record of its pins; none before the first.
  package var pinned: RowID {
    get { row[SharedMemoryRow.pinned] }
    nonmutating set { row[SharedMemoryRow.pinned] = newValue }
  }
  /// Pages that are pinned and charged (npinned).
  package var charged: Int {
    get { Int(row[SharedMemoryRow.charged]) }
    nonmutating set { row[SharedMemoryRow.charged] = UInt64(newValue) }
  }
}

extension Devices {
  package func source(_ id: RowID) -> SharedMemory {
    SharedMemory(row: machine.row(machine.layout.sharedMemory, id.index), id: id)
  }

  // MARK: - Making and dropping

  /// Memory of a process; the caller has its one use.
  ///
  /// - Kernel: drivers/iommu/iommufd/pages.c:iopt_alloc_pages (6.12)
  func makeSource(
    _ address: VirtualAddress, pages: Int, writable: Bool, _ accounting: IOAccounting, by process: Process
  ) throws(DeviceError) -> RowID {
    guard let id = pools.allocate(.sharedMemory) else {
      throw DeviceError(.map, .tableFull("shared memory"), .noMemory)
    }
    let source = source(id).unshared
    source.address = address
    source.pages = pages
    source.space = process.space
    spaces.getSpaceRow(process.space)
    source.owner = spaces.number(of: process)
    source.limit = process.memlockLimit / UInt64(pageSize)
    let charge: SharedMemory.Charge =
      process.capabilities.contains(.ipcLock) ? .none : accounting == .user ? .user : .space
    source.set(writable: writable, charge)
    source.users = 1
    return id
  }

  /// Memory of a file; the caller has its one use.
  ///
  /// - Throws: EINVAL for a range beyond the file, ENFILE if the file is gone.
  /// - Kernel: drivers/iommu/iommufd/pages.c:iopt_alloc_file_pages (6.13)
  func makeFileSource(
    _ object: RowID, from first: UInt64, pages: Int, writable: Bool, _ accounting: IOAccounting,
    by process: Process
  ) throws(DeviceError) -> RowID {
    guard pageCache.getObject(object) else {
      throw DeviceError(.map, .notMapped, .badFileDescriptor)
    }
    do {
      let id = try makeSource(
        VirtualAddress(page: first), pages: pages, writable: writable, accounting, by: process)
      source(id).unshared.object = object
      return id
    } catch {
      pageCache.putObject(object, on: process.processor)
      throw error
    }
  }

  func useSource(_ id: RowID) {
    let source = source(id)
    source.lock.withLock { source.users += 1 }
  }

  /// Drops a use; the last one frees the memory, of which nothing is pinned then.
  ///
  /// - Kernel: drivers/iommu/iommufd/pages.c:iopt_release_pages (6.12)
  func dropSource(_ id: RowID, on processor: Int) {
    let source = source(id)
    let left = source.lock.withLock { () -> RowID? in
      source.users -= 1
      return source.users == 0 ? source.pinned : nil
    }
    guard let pinned = left else { return }
    if pinned != .none { pins.endBatches(pinned, markDirty: false, on: processor) }
    if source.object != .none { pageCache.putObject(source.object, on: processor) }
    spaces.putSpaceRow(source.space)
    pools.free(.sharedMemory, id)
  }

  /// The mappings of memory, in all IO address spaces.
  ///
  /// - Locks: the caller holds the memory's lock.
  func areas(of source: SharedMemory) -> [Mapping] {
    var found: [Mapping] = []
    var next = source.firstArea
    while next != .none {
      found.append(mapping(next))
      next = mapping(next).nextOfSource
    }
    return found
  }

  // MARK: - In and out of domains

  /// Pins what of an area's memory is not pinned yet, maps it in domains, and charges; or nothing.
  ///
  /// - Throws: the error of the pin, of the tables or of the charge.
  /// - Locks: the caller holds the container's lock, and takes the memory's here.
  /// - Kernel: drivers/iommu/iommufd/pages.c:iopt_area_fill_domains (6.12); without mapping the first pages before the
  ///   last are pinned.
  /// - Kernel: drivers/iommu/iommufd/pages.c:iopt_area_fill_domain (6.12); the same.
  func fill(_ area: Mapping, in domains: [Domain], by process: Process) throws(DeviceError) {
    let source = source(area.source)
    source.lock.lock()
    defer { source.lock.unlock() }
    if source.pinned == .none {
      do throws(PinError) {
        source.pinned = try pins.openSparse(
          process, source.space, at: source.address, pages: source.pages, write: source.isWritable,
          purpose: PinLabel("iommufd"))
      } catch { throw DeviceError(.map, .pin(error), error.errno, at: area.iova) }
    }
    var new: [Range<Int>] = []
    var mapped = 0
    let start = area.iova >> 12
    do throws(DeviceError) {
      for hole in pins.holes(of: source.pinned, in: area.sourcePages) {
        try pin(hole, of: source, area, by: process)
        new.append(hole)
      }
      while mapped < area.pages {
        let run = pins.run(of: source.pinned, from: area.firstPage + mapped, to: area.sourcePages.upperBound)
        for domain in domains {
          try map(domain, start + UInt64(mapped), run.start, count: run.count, area.access, for: process)
        }
        mapped += run.count
      }
      try charge(new.reduce(0) { $0 + $1.count }, source, at: area.iova)
    } catch {
      // The run at which it failed may be in some of the domains.
      let span = PageSpan(start: start, end: start + UInt64(area.pages))
      for domain in domains { unmap(domain, span, on: process.processor) }
      for range in new {
        pins.endPart(source.pinned, range, markDirty: source.isWritable, on: process.processor)
      }
      throw error
    }
    area.isMapped = true
  }

  /// Takes an area out of domains, and unpins what of its memory no other area has in a domain.
  ///
  /// - Locks: the caller holds the container's lock.
  /// - Kernel: drivers/iommu/iommufd/pages.c:iopt_area_unfill_domains (6.12)
  func unfill(_ area: Mapping, from domains: [Domain], on processor: Int) {
    let source = source(area.source)
    source.lock.lock()
    defer { source.lock.unlock() }
    for domain in domains { unmap(domain, area.span, on: processor) }
    area.isMapped = false
    var kept = areas(of: source).filter(\.isMapped).map(\.sourcePages)
    kept.sort { $0.lowerBound < $1.lowerBound }
    var at = area.firstPage
    let end = area.sourcePages.upperBound
    var unpinned = 0
    func give(_ range: Range<Int>) {
      if range.isEmpty { return }
      pins.endPart(source.pinned, range, markDirty: source.isWritable, on: processor)
      unpinned += range.count
    }
    for range in kept where range.upperBound > at && range.lowerBound < end {
      if range.lowerBound > at { give(at..<range.lowerBound) }
      at = max(at, range.upperBound)
    }
    if at < end { give(at..<end) }
    uncharge(unpinned, source)
  }

  /// Pins pages of memory that are not pinned.
  ///
  /// - Kernel: drivers/iommu/iommufd/pages.c:pfn_reader_user_pin (6.12)
  private func pin(
    _ hole: Range<Int>, of source: SharedMemory, _ area: Mapping, by process: Process
  ) throws(DeviceError) {
    do throws(PinError) {
      var batches: PinBatches
      let isRemote = source.object == .none && source.space != process.space
      if source.object != .none {
        batches = try pins.beginFile(
          source.object, from: source.address.page + UInt64(hole.lowerBound), pages: hole.count,
          by: process, purpose: PinLabel("iommufd"))
      } else {
        guard !isRemote || spaces.getSpace(source.space) else {
          throw PinError(.arguments, .noSuchProcess(spaces.space(source.space).owner), .badAddress)
        }
        do throws(PinError) {
          batches = try pins.beginBatches(
            process, source.space, at: source.address + UInt64(hole.lowerBound) << 12, pages: hole.count,
            write: source.isWritable, purpose: PinLabel("iommufd"), entry: isRemote ? .remote : .fast)
        } catch {
          if isRemote { spaces.putSpace(source.space, on: process.processor) }
          throw error
        }
      }
      defer { if isRemote { spaces.putSpace(source.space, on: process.processor) } }
      do throws(PinError) {
        while batches.pinned < hole.count { try batches.refill(atMost: 8192) }
      } catch {
        batches.giveBack(markDirty: false)
        throw error
      }
      batches.move(to: source.pinned, at: hole.lowerBound)
    } catch { throw DeviceError(.map, .pin(error), error.errno, at: area.iova) }
  }

  // MARK: - Charging

  /// Charges pages that were pinned: to the user or the space against the limit, and always as pinned.
  ///
  /// The limit is the one that the process has now. Of one that has ended it is the one that it had when it mapped.
  ///
  /// - Kernel: drivers/iommu/iommufd/pages.c:do_update_pinned (6.12)
  /// - Kernel: drivers/iommu/iommufd/pages.c:incr_user_locked_vm (6.12); without a limit that was changed between the
  ///   map and the end of the process.
  /// - Kernel: drivers/iommu/iommufd/pages.c:update_mm_locked_vm (6.12); without EINVAL for a space that has ended,
  ///   whose pages cannot be pinned.
  private func charge(_ pages: Int, _ source: SharedMemory, at iova: UInt64) throws(DeviceError) {
    if pages == 0 { return }
    let space = spaces.space(source.space)
    let limit = spaces.memlockLimit(of: source.owner, with: source.space) ?? source.limit
    do throws(AddressSpaceError) {
      switch source.charge {
      case .none: break
      case .user: try spaces.chargeUser(pages: UInt64(pages), limit: limit)
      case .space: try spaces.chargeLocked(space, pages: UInt64(pages), as: .locked, limit: limit)
      }
    } catch {
      throw DeviceError(.map, .memlock(error.cause.description), error.errno, at: iova)
    }
    space.pinnedPages.fetchAdd(UInt64(pages))
    source.charged += pages
  }

  private func uncharge(_ pages: Int, _ source: SharedMemory) {
    if pages == 0 { return }
    let space = spaces.space(source.space)
    switch source.charge {
    case .none: break
    case .user: spaces.unchargeUser(pages: UInt64(pages))
    case .space: spaces.unchargeLocked(space, pages: UInt64(pages), as: .locked)
    }
    spaces.unchargeLocked(space, pages: UInt64(pages), as: .pinned)
    source.charged -= pages
  }
}

extension Mapping {
  /// Which pages of the shared memory it is.
  package var sourcePages: Range<Int> { firstPage..<firstPage + pages }
}
