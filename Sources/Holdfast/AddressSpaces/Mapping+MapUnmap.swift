import Interleaving
import SystemPackage

/// mmap and munmap.
extension Machine {
  /// Maps pages into a process's address space: the system call mmap.
  ///
  /// - Parameters:
  ///   - process: the process that maps.
  ///   - pages: the length; a hugetlb mapping is rounded up to huge pages.
  ///   - kind: what is mapped.
  ///   - protection: what user space may do; none is PROT_NONE.
  ///   - placement: where. In gaps, mappings of a huge page or more begin at a multiple of one.
  ///   - populate: MAP_POPULATE: fault the pages in; a failure to do that does not make the call fail.
  /// - Throws: EINVAL for an empty or unaligned mapping, ENOMEM if it does not fit, EPERM for the first page,
  ///   EBADF for a closed object, ENOMEM if too few huge pages are free or a table is full.
  /// - Locks: takes the space's lock exclusively.
  /// - Kernel: mm/mmap.c:do_mmap (6.1); without files on disk, MAP_LOCKED, MAP_NORESERVE, limits of a
  ///   process.
  /// - Kernel: mm/mmap.c:mmap_region (6.1); without merging neighbouring areas, the accounting of committed
  ///   memory.
  @discardableResult
  public func map(
    _ process: Process, pages: Int, kind: MappingKind = .privateAnonymous,
    protection: Protection = .readWrite, at placement: Placement = .anywhere, populate: Bool = false
  ) throws(AddressSpaceError) -> VirtualAddress {
    let space = try spaces.liveSpace(of: process, .map)
    guard pages > 0 else { throw AddressSpaceError(.map, .emptyRange, errno: .invalidArgument) }
    guard UInt64(pages) <= geometry.addressSpacePages else {
      throw AddressSpaceError(.map, .beyondSpace, errno: .noMemory)
    }
    let isHugetlb = try spaces.isHugetlbMapping(kind)
    var length = UInt64(pages)
    if case .hugetlb = kind { length = (length + spaces.hugePages - 1) & ~(spaces.hugePages - 1) }
    if isHugetlb { try spaces.checkHugetlb(kind, length: length) }

    space.lock.lockExclusive()
    let span: PageSpan
    do {
      defer { space.lock.unlockExclusive() }
      span = try spaces.place(space, placement, length: length, isHugetlb: isHugetlb)
      if case .fixed = placement { try spaces.remove(space, span, .map, on: process.processor) }
      try spaces.insertMapping(space, span, kind, protection, for: process)
    }
    if populate { faults.populateQuietly(space, span, for: process) }
    return VirtualAddress(page: span.start)
  }

  /// Unmaps a range, which may have holes: the system call munmap.
  ///
  /// - Throws: EINVAL for an empty, unaligned or impossible range, or one that cuts a huge page of a hugetlb
  ///   area; ENOMEM if an area cannot be split because the table of areas is full.
  /// - Locks: takes the space's lock exclusively.
  /// - Kernel: mm/mmap.c:do_mas_munmap (6.1)
  public func unmap(_ process: Process, _ range: AddressRange) throws(AddressSpaceError) {
    let space = try spaces.liveSpace(of: process, .unmap)
    let span = try spaces.span(of: range, .unmap, overflowErrno: .invalidArgument)
    guard !span.isEmpty else { throw AddressSpaceError(.unmap, .emptyRange, errno: .invalidArgument) }
    guard span.end <= geometry.addressSpacePages else {
      throw AddressSpaceError(.unmap, .beyondSpace, at: range.start, errno: .invalidArgument)
    }
    space.lock.lockExclusive()
    defer { space.lock.unlockExclusive() }
    try spaces.remove(space, span, .unmap, on: process.processor)
  }
}

extension Spaces {
  /// Removes all areas of a span and their pages.
  ///
  /// - Locks: the caller holds the space's lock exclusively.
  /// - Kernel: mm/mmap.c:do_mas_align_munmap (6.1); without userfaultfd, downgrading the lock.
  /// - Kernel: mm/mmap.c:unmap_region (6.1); without lru_add_drain.
  fileprivate func remove(
    _ space: AddressSpace, _ span: PageSpan, _ operation: AddressSpaceError.Operation, on processor: Int
  ) throws(AddressSpaceError) {
    try splitAreas(space, at: span.start, operation, fullErrno: .noMemory, on: processor)
    try splitAreas(space, at: span.end, operation, fullErrno: .noMemory, on: processor)
    pageTables.zap(space, span, on: processor)
    while let area = firstArea(space, from: span.start), area.start < span.end {
      destroyArea(space, area, on: processor)
    }
    pageTables.freeEmptyTables(space, span, on: processor)
  }

  /// Makes sure that no area extends across a page.
  ///
  /// - Locks: the caller holds the space's lock exclusively.
  func splitAreas(
    _ space: AddressSpace, at page: UInt64, _ operation: AddressSpaceError.Operation, fullErrno: Errno,
    on processor: Int
  ) throws(AddressSpaceError) {
    guard let area = findArea(space, page), area.start < page else { return }
    if area.flags.contains(.hugetlb), page & (hugePages - 1) != 0 {
      throw AddressSpaceError(
        operation, .unaligned(bytes: hugePages << 12), at: VirtualAddress(page: page),
        errno: .invalidArgument)
    }
    guard splitArea(space, area, at: page, on: processor) != nil else {
      throw AddressSpaceError(
        operation, .tableFull("areas"), at: VirtualAddress(page: page), errno: fullErrno)
    }
  }

  // MARK: - Parts of map

  fileprivate func isHugetlbMapping(_ kind: MappingKind) throws(AddressSpaceError) -> Bool {
    switch kind {
    case .privateAnonymous, .sharedAnonymous: return false
    case .hugetlb: return true
    case .object(let handle, _, _):
      guard global.tablesLock.withLock({ pageCache.object(handle.id).users > 0 }) else {
        throw AddressSpaceError(.map, .noSuchObject, errno: .badFileDescriptor)
      }
      return pageCache.object(handle.id).kind == .hugetlb
    }
  }

  fileprivate func checkHugetlb(_ kind: MappingKind, length: UInt64) throws(AddressSpaceError) {
    var offset: UInt64 = 0
    if case .object(_, let first, _) = kind { offset = first }
    guard (length | offset) & (hugePages - 1) == 0 else {
      throw AddressSpaceError(.map, .unaligned(bytes: hugePages << 12), errno: .invalidArgument)
    }
  }

  /// Chooses where a mapping goes.
  ///
  /// - Locks: the caller holds the space's lock exclusively.
  /// - Kernel: mm/mmap.c:generic_get_unmapped_area_topdown (6.1); without the stack's gap, randomisation, the
  ///   bottom-up search if the first one fails. The alignment to huge pages is a rule of this engine.
  fileprivate func place(
    _ space: AddressSpace, _ placement: Placement, length: UInt64, isHugetlb: Bool
  ) throws(AddressSpaceError) -> PageSpan {
    let unit = isHugetlb ? hugePages : 1
    let top = geometry.addressSpacePages
    switch placement {
    case .fixed(let address):
      guard address.rawValue & ((unit << 12) - 1) == 0 else {
        throw AddressSpaceError(.map, .unaligned(bytes: unit << 12), at: address, errno: .invalidArgument)
      }
      guard address.page <= top - length else {
        throw AddressSpaceError(.map, .beyondSpace, at: address, errno: .noMemory)
      }
      guard address.page > 0 else {
        throw AddressSpaceError(.map, .belowMinimum, at: address, errno: .notPermitted)
      }
      return PageSpan(start: address.page, end: address.page + length)
    case .near(let address):
      let start = address.page & ~(unit - 1)
      if start > 0, start <= top - length,
        firstArea(space, from: start).map({ $0.start >= start + length }) ?? true
      {
        return PageSpan(start: start, end: start + length)
      }
    case .anywhere: break
    }
    let alignment = max(unit, length >= hugePages ? hugePages : 1)
    var ceiling = top
    while ceiling > length {
      let start = (ceiling - length) & ~(alignment - 1)
      guard start > 0 else { break }
      guard let below = lastArea(space, startingBelow: ceiling), below.end > start else {
        return PageSpan(start: start, end: start + length)
      }
      ceiling = below.start
    }
    throw AddressSpaceError(.map, .noGap, errno: .noMemory)
  }

  /// Makes the area of a new mapping, with its object and its reserved huge pages.
  fileprivate func insertMapping(
    _ space: AddressSpace, _ span: PageSpan, _ kind: MappingKind, _ protection: Protection,
    for process: Process
  ) throws(AddressSpaceError) {
    var flags: VirtualMemoryAreaFlags = protection.areaFlags.union([.mayRead, .mayWrite])
    var id = RowID.none
    var offset = span.start
    let length = span.end - span.start
    switch kind {
    case .privateAnonymous: break
    case .sharedAnonymous:
      flags.insert(.shared)
      id = try mappedObject(.sharedAnonymous, pages: length)
      offset = 0
    case .hugetlb:
      flags.insert(.hugetlb)
      id = try mappedObject(.hugetlb, pages: length)
      offset = 0
    case .object(let handle, let first, let shared):
      if shared { flags.insert(.shared) }
      guard first <= UInt64.max - length else {
        throw AddressSpaceError(.map, .overflow, errno: .overflow)
      }
      guard pageCache.getObject(handle.id) else {
        throw AddressSpaceError(.map, .noSuchObject, errno: .badFileDescriptor)
      }
      id = handle.id
      offset = first
      if pageCache.object(id).kind == .hugetlb { flags.insert(.hugetlb) }
    }
    let reservations: RowID
    do {
      reservations = try reserve(flags, id, kind, offset: offset, pages: length, for: process)
    } catch {
      if id != .none { pageCache.putObject(id, on: process.processor) }
      throw error
    }
    let new = createArea(
      process.space, span, flags: flags, object: id, offset: offset, reservations: reservations)
    guard new != nil else {
      if reservations != .none { pageCache.putObject(reservations, on: process.processor) }
      if id != .none { pageCache.putObject(id, on: process.processor) }
      throw AddressSpaceError(
        .map, .tableFull("areas"), at: VirtualAddress(page: span.start), errno: .noMemory)
    }
  }

  /// Reserves the huge pages of a new hugetlb mapping.
  ///
  /// What a shared mapping reserves is its object's. A private one reserves all that it maps, whatever the file has.
  ///
  /// - Returns: the object that holds the marks of a private mapping, with a use for the area, or none.
  private func reserve(
    _ flags: VirtualMemoryAreaFlags, _ id: RowID, _ kind: MappingKind, offset: UInt64, pages: UInt64,
    for process: Process
  ) throws(AddressSpaceError) -> RowID {
    guard flags.contains(.hugetlb) else { return .none }
    var marks = id
    if !flags.contains(.shared) {
      if case .hugetlb = kind {
        // No cache of pages is in the way in the object behind anonymous memory.
        _ = pageCache.getObject(id)
      } else {
        marks = try mappedObject(.hugetlb, pages: offset + pages)
      }
    }
    if let failure = pageCache.reserveHugetlb(marks, offset: offset, pages: pages, for: process) {
      if !flags.contains(.shared) { pageCache.putObject(marks, on: process.processor) }
      throw failure
    }
    return flags.contains(.shared) ? .none : marks
  }

  /// The new object behind a mapping that is not of an open object, or of the reservations of one that is.
  private func mappedObject(
    _ kind: ObjectKind, pages: UInt64
  ) throws(AddressSpaceError) -> RowID {
    guard let id = pageCache.createObject(kind, pages: pages) else {
      throw AddressSpaceError(.map, .tableFull("objects"), errno: .tooManyOpenFilesInSystem)
    }
    return id
  }
}
