import Interleaving
import SystemPackage

/// Whom an IO address space charges pins to, besides the address space that is pinned (pinned_vm).
public enum IOAccounting: UInt32, Hashable, Sendable {
  /// The user's one count, against the limit of the process that maps: the default of iommufd.
  case user
  /// locked_vm of the address space, as VFIO does it (IOMMU_OPTION_RLIMIT_MODE).
  case process
}

/// An IO address space of iommufd: the devices that are attached to it have one set of mappings.
public struct IOAddressSpace: Hashable, Sendable {
  package let id: RowID

  /// The same as a container, for looking at what devices reach.
  public var container: DeviceContainer { DeviceContainer(id: id) }
}

/// The arguments of IOMMU_IOAS_MAP, and those of IOMMU_IOAS_COPY beside its source.
public struct IOMap: Hashable, Sendable {
  /// The bytes of the structure that the caller has filled.
  public var size: UInt32 = leastSize
  /// FIXED_IOVA 1, WRITEABLE 2, READABLE 4.
  public var flags: UInt32
  /// Where the devices see it, with FIXED_IOVA.
  public var iova: UInt64
  /// How much.
  public var length: UInt64

  /// The bytes of the whole structure.
  public static let leastSize: UInt32 = 40
  /// The caller chooses the address.
  public static let fixed: UInt32 = 1
  /// Devices may write.
  public static let writeable: UInt32 = 2
  /// Devices may read.
  public static let readable: UInt32 = 4

  /// A mapping that devices may read and write: at an address of theirs, or where there is room.
  public init(at iova: UInt64? = nil, length: UInt64, flags: UInt32 = writeable | readable) {
    self.iova = iova ?? 0
    self.length = length
    self.flags = flags | (iova == nil ? 0 : Self.fixed)
  }
}

/// IO address spaces: iommufd as its users meet it.
///
/// Memory that is mapped is a thing of its own, which several mappings share, in one IO address space or in several
/// (`IOMMU_IOAS_COPY`): it is pinned once, as long as one of them is in a domain.
extension Machine {
  /// Makes an IO address space.
  ///
  /// - Throws: ENOMEM if the table of containers is full.
  /// - Kernel: drivers/iommu/iommufd/ioas.c:iommufd_ioas_alloc_ioctl (6.12); without the file and its other objects.
  /// - Kernel: drivers/iommu/iommufd/ioas.c:iommufd_option_rlimit_mode (6.12); without CAP_SYS_RESOURCE, which every
  ///   process counts as having, EBUSY for a file with objects: the accounting is chosen with the address space.
  public func openIOAddressSpace(_ accounting: IOAccounting = .user) throws(DeviceError) -> IOAddressSpace {
    tick()
    guard let id = pools.allocate(.containers) else {
      throw DeviceError(.open, .tableFull("containers"), .noMemory)
    }
    let container = devices.container(id).unshared
    container.accounting = accounting
    container.available = Int(UInt32.max)
    return IOAddressSpace(id: id)
  }

  /// Ends an IO address space: its devices leave it, and everything in it is unmapped and unpinned.
  public func closeIOAddressSpace(_ handle: IOAddressSpace, on processor: Int = 0) {
    tick()
    let container = devices.container(handle.id)
    while let group = container.lock.withLock({ devices.firstGroup(of: container) }) {
      devices.detach(group, on: processor)
    }
    container.lock.withLock {
      for area in devices.mappings(of: container) { devices.removeArea(area, from: container, on: processor) }
    }
    pools.free(.containers, handle.id)
  }

  /// Attaches a group of devices to an IO address space; what is mapped there is pinned with the first one.
  ///
  /// - Throws: EPERM if the device's interrupts are not remapped, EADDRINUSE if addresses that are mapped do not fit the
  ///   device, EINVAL if its IOMMU has no pages of 4 KiB, EBUSY if the group is elsewhere; what a map throws. Nothing has changed then.
  /// - Kernel: drivers/iommu/iommufd/device.c:iommufd_device_auto_get_domain (6.12); without process address spaces,
  ///   page tables that the caller makes.
  /// - Kernel: drivers/iommu/iommufd/io_pagetable.c:iopt_table_add_domain (6.12); without pages smaller than 4 KiB.
  @discardableResult
  public func attach(
    _ device: DeviceDescription, to handle: IOAddressSpace, by process: Process
  ) throws(DeviceError) -> DeviceGroup {
    try attach(device, to: DeviceContainer(id: handle.id), by: process)
  }

  /// Maps memory of the caller for the devices of an IO address space (IOMMU_IOAS_MAP).
  ///
  /// Without a device nothing is pinned yet.
  ///
  /// - Returns: where the devices see it.
  /// - Throws: EOPNOTSUPP for unknown flags; EOVERFLOW for numbers that wrap around; EINVAL for a structure that is too
  ///   short, no access, lengths and addresses that are no whole pages, or a reserved window; EEXIST for an overlap;
  ///   ENOSPC where no address is left; what a pin or a charge throws. Nothing has changed then.
  /// - Kernel: drivers/iommu/iommufd/ioas.c:iommufd_ioas_map (6.12)
  /// - Kernel: drivers/iommu/iommufd/io_pagetable.c:iopt_map_user_pages (6.12); without parts of pages.
  @discardableResult
  public func map(
    _ handle: IOAddressSpace, _ address: VirtualAddress, _ map: IOMap, by process: Process
  ) throws(DeviceError) -> UInt64 {
    tick()
    let container = devices.container(handle.id)
    try devices.checkFlags(map)
    let (end, wraps) = address.rawValue.addingReportingOverflow(map.length)
    guard map.length != 0, map.length <= UInt64.max - UInt64(pageSize) else {
      throw DeviceError(.map, .emptyRange, .invalidArgument, at: map.iova)
    }
    guard !wraps else { throw DeviceError(.map, .wraps, .overflow, at: map.iova) }
    let first = address.rawValue >> 12
    let pages = Int((end + UInt64(pageSize) - 1) >> 12 - first)
    let source = try devices.makeSource(
      VirtualAddress(page: first), pages: pages, writable: map.flags & IOMap.writeable != 0,
      container.accounting ?? .user, by: process)
    defer { devices.dropSource(source, on: process.processor) }
    let isAligned = address.rawValue & UInt64(pageSize - 1) == 0
    return try devices.map(
      [SourcePart(source: source, first: 0, length: map.length, isAligned: isAligned)],
      map, container, hint: address.rawValue, by: process)
  }

  /// Maps a part of a memory file for the devices of an IO address space (IOMMU_IOAS_MAP_FILE).
  ///
  /// No address space is involved: the pages are those of the file, even if it is mapped nowhere or they are
  /// taken out of it later.
  ///
  /// - Returns: where the devices see it.
  /// - Throws: as `map`; EINVAL for a range beyond the file.
  /// - Kernel: drivers/iommu/iommufd/ioas.c:iommufd_ioas_map_file (6.13)
  @discardableResult
  public func mapFile(
    _ handle: IOAddressSpace, _ object: ObjectHandle, from start: UInt64, _ map: IOMap, by process: Process
  ) throws(DeviceError) -> UInt64 {
    tick()
    let container = devices.container(handle.id)
    try devices.checkFlags(map)
    let (end, wraps) = start.addingReportingOverflow(map.length)
    guard map.length != 0 else { throw DeviceError(.map, .emptyRange, .invalidArgument, at: map.iova) }
    guard !wraps else { throw DeviceError(.map, .wraps, .overflow, at: map.iova) }
    let first = start >> 12
    let source = try devices.makeFileSource(
      object.id, from: first, pages: Int((end + UInt64(pageSize) - 1) >> 12 - first),
      writable: map.flags & IOMap.writeable != 0, container.accounting ?? .user, by: process)
    defer { devices.dropSource(source, on: process.processor) }
    let isAligned = start & UInt64(pageSize - 1) == 0
    return try devices.map(
      [SourcePart(source: source, first: 0, length: map.length, isAligned: isAligned)],
      map, container, hint: start, by: process)
  }

  /// Maps what is mapped in one IO address space in another one, or again in the same (IOMMU_IOAS_COPY).
  ///
  /// The memory is that of the source: pages that are pinned already are not pinned or charged again.
  ///
  /// - Returns: where the devices see it.
  /// - Throws: as `map`; ENOENT if not all of the source is mapped; EPERM for write access to memory that was mapped
  ///   without.
  /// - Kernel: drivers/iommu/iommufd/ioas.c:iommufd_ioas_copy (6.12)
  /// - Kernel: drivers/iommu/iommufd/io_pagetable.c:iopt_get_pages (6.12)
  @discardableResult
  public func copy(
    from source: IOAddressSpace, at start: UInt64, to target: IOAddressSpace, _ map: IOMap,
    by process: Process
  ) throws(DeviceError) -> UInt64 {
    tick()
    try devices.checkFlags(map, source: start)
    let parts = try devices.parts(of: devices.container(source.id), at: start, length: map.length)
    defer { for part in parts { devices.dropSource(part.source, on: process.processor) } }
    let hint = parts.first.map { devices.source($0.source).address.rawValue + UInt64($0.first) << 12 } ?? 0
    return try devices.map(parts, map, devices.container(target.id), hint: hint, by: process)
  }

  /// Unmaps a range of an IO address space (IOMMU_IOAS_UNMAP); all of it from 0 with the largest length.
  ///
  /// - Returns: the bytes that were unmapped.
  /// - Throws: EOVERFLOW for numbers that wrap around; ENOENT if a mapping would be cut, or nothing is there. Mappings
  ///   below the one that would be cut are gone then.
  /// - Kernel: drivers/iommu/iommufd/ioas.c:iommufd_ioas_unmap (6.12)
  /// - Kernel: drivers/iommu/iommufd/io_pagetable.c:iopt_unmap_iova_range (6.12); without accesses of drivers.
  @discardableResult
  public func unmap(
    _ handle: IOAddressSpace, at iova: UInt64, length: UInt64, by process: Process
  ) throws(DeviceError) -> UInt64 {
    tick()
    let container = devices.container(handle.id)
    let all = iova == 0 && length == UInt64.max
    func refuse(_ cause: DeviceError.Cause, _ errno: Errno) -> DeviceError {
      DeviceError(.unmap, cause, errno, at: iova)
    }
    guard all || iova < UInt64.max && length < UInt64.max else { throw refuse(.wraps, .overflow) }
    guard length > 0 else { throw refuse(.emptyRange, .invalidArgument) }
    let (last, wraps) = all ? (UInt64.max, false) : iova.addingReportingOverflow(length - 1)
    guard !wraps else { throw refuse(.wraps, .overflow) }
    container.lock.lock()
    defer { container.lock.unlock() }
    var unmapped: UInt64 = 0
    while let area = devices.first(container, from: iova), area.iova <= last {
      guard area.iova >= iova, area.iova + (area.size - 1) <= last else {
        throw refuse(.cuts(iova: area.iova, size: area.size), .noSuchFileOrDirectory)
      }
      unmapped += area.size
      devices.removeArea(area, from: container, on: process.processor)
    }
    guard unmapped > 0 || all else { throw refuse(.notMapped, .noSuchFileOrDirectory) }
    return unmapped
  }
}

/// A part of memory that is to be mapped.
struct SourcePart {
  /// The memory, of which the value has a use.
  let source: RowID
  /// The number of the first page in it.
  let first: Int
  /// Bytes.
  let length: UInt64
  /// Whether it begins at a page.
  let isAligned: Bool
}

extension Devices {
  /// Checks what does not need the IO address space.
  fileprivate func checkFlags(_ map: IOMap, source: UInt64 = 0) throws(DeviceError) {
    func refuse(_ cause: DeviceError.Cause, _ errno: Errno) -> DeviceError {
      DeviceError(.map, cause, errno, at: map.iova)
    }
    guard map.size >= IOMap.leastSize else {
      throw refuse(.tooSmall(given: map.size, needed: IOMap.leastSize), .invalidArgument)
    }
    let unknown = map.flags & ~(IOMap.fixed | IOMap.writeable | IOMap.readable)
    guard unknown == 0 else { throw refuse(.unknownFlags(unknown), .notSupported) }
    guard max(map.iova, map.length, source) < UInt64.max else { throw refuse(.wraps, .overflow) }
    guard map.flags & (IOMap.writeable | IOMap.readable) != 0 else {
      throw refuse(.flags("neither READABLE nor WRITEABLE is given"), .invalidArgument)
    }
  }

  /// Maps parts of memory one behind the other; all or nothing.
  ///
  /// - Kernel: drivers/iommu/iommufd/io_pagetable.c:iopt_map_pages (6.12)
  /// - Kernel: drivers/iommu/iommufd/io_pagetable.c:iopt_alloc_area_pages (6.12); without parts of pages.
  fileprivate func map(
    _ parts: [SourcePart], _ map: IOMap, _ container: Container, hint: UInt64, by process: Process
  ) throws(DeviceError) -> UInt64 {
    func refuse(_ cause: DeviceError.Cause, _ errno: Errno = .invalidArgument) -> DeviceError {
      DeviceError(.map, cause, errno, at: map.iova)
    }
    container.lock.lock()
    defer { container.lock.unlock() }
    let mask = UInt64(pageSize - 1)
    guard map.length & mask == 0, map.length != 0 else { throw refuse(.unaligned(bytes: mask + 1)) }
    var iova = map.iova
    if map.flags & IOMap.fixed == 0 {
      guard map.length < UInt64.max / 2 else { throw refuse(.wraps, .overflow) }
      guard let free = findRoom(container, map.length, hint: hint) else {
        throw refuse(.outsideWindow, .noSpace)
      }
      iova = free
    } else {
      guard iova & mask == 0 else { throw refuse(.unaligned(bytes: mask + 1)) }
      let (last, wraps) = iova.addingReportingOverflow(map.length - 1)
      guard !wraps else { throw refuse(.wraps, .overflow) }
      guard canUse(iova...last, in: container) else { throw refuse(.outsideWindow) }
      if let present = find(container, at: iova, length: map.length) {
        throw refuse(.overlaps(iova: present.iova, size: present.size), .fileExists)
      }
    }
    var access: DeviceAccess = []
    if map.flags & IOMap.readable != 0 { access.insert(.read) }
    if map.flags & IOMap.writeable != 0 { access.insert(.write) }
    var areas: [Mapping] = []
    do throws(DeviceError) {
      var at = iova
      for part in parts {
        guard !access.contains(.write) || source(part.source).isWritable else {
          throw refuse(.notPermitted(write: true), .notPermitted)
        }
        guard part.isAligned else { throw refuse(.unaligned(bytes: mask + 1)) }
        areas.append(try addArea(part, at: at, access, container))
        at += part.length
      }
      let domains = domains(of: container)
      if !domains.isEmpty {
        for area in areas { try fill(area, in: domains, by: process) }
      }
    } catch {
      for area in areas.reversed() { removeArea(area, from: container, on: process.processor) }
      throw error
    }
    return iova
  }

  private func addArea(
    _ part: SourcePart, at iova: UInt64, _ access: DeviceAccess, _ container: Container
  ) throws(DeviceError) -> Mapping {
    guard let id = pools.allocate(.mappings) else {
      throw DeviceError(.map, .tableFull("mappings"), .noMemory, at: iova)
    }
    let area = mapping(id).unshared
    let source = source(part.source)
    area.iova = iova
    area.access = access
    area.source = part.source
    area.firstPage = part.first
    area.size = part.length
    area.space = source.space
    area.address = source.address + UInt64(part.first) << 12
    useSource(part.source)
    link(area, to: container)
    source.lock.withLock {
      area.nextOfSource = source.firstArea
      source.firstArea = id
    }
    return mapping(id)
  }

  /// Takes an area out of its IO address space, and frees it.
  ///
  /// - Locks: the caller holds the container's lock.
  func removeArea(_ old: Mapping, from container: Container, on processor: Int) {
    let source = source(old.source)
    if old.isMapped { unfill(old, from: domains(of: container), on: processor) }
    source.lock.withLock {
      if source.firstArea == old.id {
        source.firstArea = old.nextOfSource
      } else {
        for area in areas(of: source) where area.nextOfSource == old.id {
          area.nextOfSource = old.nextOfSource
        }
      }
    }
    unlink(old, from: container)
    let id = old.source
    pools.free(.mappings, old.id)
    dropSource(id, on: processor)
  }

  /// The memory behind a range of an IO address space, each with a use.
  fileprivate func parts(
    of container: Container, at start: UInt64, length: UInt64
  ) throws(DeviceError) -> [SourcePart] {
    guard length > 0 else { throw DeviceError(.map, .emptyRange, .invalidArgument, at: start) }
    let (last, wraps) = start.addingReportingOverflow(length - 1)
    guard !wraps, start < UInt64.max else { throw DeviceError(.map, .wraps, .overflow, at: start) }
    container.lock.lock()
    defer { container.lock.unlock() }
    var parts: [SourcePart] = []
    var at = start
    while at <= last {
      guard let area = find(container, at: at, length: 1) else {
        for part in parts { dropSource(part.source, on: 0) }
        throw DeviceError(.map, .notMapped, .noSuchFileOrDirectory, at: at)
      }
      let inside = at - area.iova
      let count = min(area.size - inside, last - at + 1)
      useSource(area.source)
      parts.append(
        SourcePart(
          source: area.source, first: area.firstPage + Int(inside >> 12), length: count,
          isAligned: inside & UInt64(pageSize - 1) == 0))
      let (next, isLast) = at.addingReportingOverflow(count)
      if isLast { break }
      at = next
    }
    return parts
  }

  /// The lowest free range of addresses that all devices can use; never the first page.
  ///
  /// It is aligned as the memory is, so that large pages can be used.
  ///
  /// - Kernel: drivers/iommu/iommufd/io_pagetable.c:iopt_alloc_iova (6.12); without ranges that the user allows.
  private func findRoom(_ container: Container, _ length: UInt64, hint: UInt64) -> UInt64? {
    var rounded: UInt64 = 1
    while rounded < length { rounded <<= 1 }
    let large = UInt64(pageSize << geometry.tableBits)
    var align = hint == 0 ? rounded : min(rounded, 1 << UInt64(hint.trailingZeroBitCount))
    align = max(min(align, large), UInt64(pageSize))
    var taken = mappings(of: container).map { $0.iova...($0.iova + ($0.size - 1)) }
    for device in groups(of: container).map(\.description) where !device.isEmulated {
      taken += device.reserved
    }
    let last =
      groups(of: container).map { clamped($0.description.aperture).upperBound }.min()
      ?? clamped(0...UInt64.max).upperBound
    let first = groups(of: container).map { $0.description.aperture.lowerBound }.max() ?? 0
    taken.sort { $0.lowerBound < $1.lowerBound }
    var at = max(first, UInt64(pageSize))
    func up(_ value: UInt64) -> UInt64 { (value + align - 1) & ~(align - 1) }
    at = up(at)
    for range in taken {
      if at + (length - 1) < range.lowerBound { break }
      if range.upperBound >= at { at = up(range.upperBound + 1) }
    }
    return at + (length - 1) <= last ? at : nil
  }
}
