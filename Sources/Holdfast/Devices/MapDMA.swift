import Interleaving
import SystemPackage

/// Mapping memory for the devices of a container, and unmapping it.
extension Machine {
  /// Pins memory of the caller and lets the devices of a container reach it (VFIO_IOMMU_MAP_DMA).
  ///
  /// All of it or nothing. If only emulated devices are in the container, nothing is pinned.
  ///
  /// - Throws: EINVAL for a wrong structure, flags, sizes, addresses, or a container without a device; EEXIST for an
  ///   overlap; ENOSPC beyond the limit of mappings; ENOENT where an address is to be given back and nothing is
  ///   mapped; ENOMEM beyond RLIMIT_MEMLOCK, without memory, or where pages cannot stay; EFAULT for memory that is
  ///   not mapped. Nothing has changed then.
  /// - Locks: the caller holds no lock.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_map_dma (6.1)
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_map (6.1); without dirty tracking.
  public func mapDMA(
    _ handle: DeviceContainer, _ map: DMAMap, by process: Process
  ) throws(DeviceError) {
    tick()
    let container = devices.container(handle.id)
    func refuse(_ cause: DeviceError.Cause, _ errno: Errno = .invalidArgument) -> DeviceError {
      DeviceError(.map, cause, errno, at: map.iova)
    }
    container.lock.lock()
    defer { container.lock.unlock() }
    guard container.firstGroup != .none, container.accounting == nil else { throw refuse(.noDevice) }
    guard map.size >= DMAMap.leastSize else {
      throw refuse(.tooSmall(given: map.size, needed: DMAMap.leastSize))
    }
    let unknown = map.flags & ~(DMAMap.read | DMAMap.write | DMAMap.setAddress)
    guard unknown == 0 else { throw refuse(.unknownFlags(unknown)) }
    let access = DeviceAccess(rawValue: map.flags & (DMAMap.read | DMAMap.write))
    let setsAddress = map.flags & DMAMap.setAddress != 0
    guard access.isEmpty == setsAddress else {
      throw refuse(
        .flags(setsAddress ? "VADDR excludes READ and WRITE" : "none of READ, WRITE and VADDR is given"))
    }
    guard map.length != 0 else { throw refuse(.emptyRange) }
    let page = devices.smallestPage(of: container)
    guard (map.length | map.iova | map.address.rawValue) & (page - 1) == 0 else {
      throw refuse(.unaligned(bytes: page))
    }
    guard map.iova &+ map.length &- 1 >= map.iova,
      map.address.rawValue &+ map.length &- 1 >= map.address.rawValue
    else { throw refuse(.wraps) }
    let present = devices.find(container, at: map.iova, length: map.length)
    if setsAddress { return try devices.update(present, map, container, by: process) }
    if let present { throw refuse(.overlaps(iova: present.iova, size: present.size), .fileExists) }
    guard container.available > 0 else { throw refuse(.noMappingLeft, .noSpace) }
    guard devices.canUse(map.iova...(map.iova &+ map.length &- 1), in: container) else {
      throw refuse(.outsideWindow)
    }
    guard let id = pools.allocate(.mappings) else { throw refuse(.tableFull("mappings"), .noMemory) }
    container.available -= 1
    let fresh = devices.mapping(id).unshared
    fresh.iova = map.iova
    fresh.address = map.address
    fresh.access = access
    let mapping = devices.mapping(id)
    devices.setOwner(of: mapping, to: process)
    devices.link(mapping, to: container)
    let domains = devices.domains(of: container)
    guard !domains.isEmpty else {
      mapping.size = map.length
      return
    }
    do {
      try devices.pinAndMap(mapping, pages: Int(map.length >> 12), in: domains, by: process)
    } catch {
      devices.remove(mapping, from: container, on: process.processor)
      throw error
    }
    mapping.size = map.length
    mapping.isMapped = true
  }

  /// Unmaps and unpins what is mapped in a range (VFIO_IOMMU_UNMAP_DMA).
  ///
  /// - Returns: the bytes that were unmapped.
  /// - Throws: EINVAL for a wrong structure, flags, sizes, addresses, a mapping that would be cut in two, or a
  ///   container without a device; EBUSY for taking addresses away where an emulated device is.
  /// - Locks: the caller holds no lock.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_unmap_dma (6.1); without the dirty bitmap.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_unmap (6.1); without the dirty bitmap, pages that emulated
  ///   devices have pinned.
  @discardableResult
  public func unmapDMA(
    _ handle: DeviceContainer, _ unmap: DMAUnmap, by process: Process
  ) throws(DeviceError) -> UInt64 {
    tick()
    let container = devices.container(handle.id)
    container.lock.lock()
    defer { container.lock.unlock() }
    try devices.check(unmap, container)
    let all = unmap.flags & DMAUnmap.all != 0
    // The kernel compares with the end, which is 0 for a range up to the last address: it finds nothing there.
    if !all, unmap.iova &+ unmap.length == 0 { return 0 }
    let end = all ? UInt64.max : unmap.iova &+ unmap.length &- 1
    var unmapped: UInt64 = 0
    var taken: [Mapping] = []
    var next = devices.first(container, from: unmap.iova)
    while let mapping = next, mapping.iova <= end {
      if container.kind == .type1, unmap.iova > mapping.iova { break }
      let (behind, isLast) = mapping.iova.addingReportingOverflow(mapping.size)
      if unmap.flags & DMAUnmap.takeAddress != 0 {
        if mapping.isInvalid {
          for other in taken { other.isInvalid = false }
          container.invalid -= taken.count
          throw DeviceError(.unmap, .waitsForAddresses, .invalidArgument, at: mapping.iova)
        }
        mapping.isInvalid = true
        container.invalid += 1
        taken.append(mapping)
        unmapped += mapping.size
      } else {
        unmapped += mapping.size
        devices.remove(mapping, from: container, on: process.processor)
      }
      next = isLast ? nil : devices.first(container, from: behind)
    }
    return unmapped
  }

  /// The mappings of a container, ascending: the device's address and the bytes of each.
  public func mappings(of handle: DeviceContainer) -> [(iova: UInt64, length: UInt64)] {
    let container = devices.container(handle.id)
    return container.lock.withLock { devices.mappings(of: container).map { ($0.iova, $0.size) } }
  }
}

extension Devices {
  /// Checks the arguments of an unmap.
  ///
  /// - Locks: the caller holds the container's lock.
  fileprivate func check(_ unmap: DMAUnmap, _ container: Container) throws(DeviceError) {
    func refuse(_ cause: DeviceError.Cause, _ errno: Errno = .invalidArgument) -> DeviceError {
      DeviceError(.unmap, cause, errno, at: unmap.iova)
    }
    guard container.firstGroup != .none, container.accounting == nil else { throw refuse(.noDevice) }
    guard unmap.size >= DMAUnmap.leastSize else {
      throw refuse(.tooSmall(given: unmap.size, needed: DMAUnmap.leastSize))
    }
    let unknown = unmap.flags & ~(DMAUnmap.all | DMAUnmap.takeAddress)
    guard unknown == 0 else { throw refuse(.unknownFlags(unknown)) }
    if unmap.flags & DMAUnmap.takeAddress != 0,
      groups(of: container).contains(where: { $0.description.isEmulated })
    {
      throw refuse(.emulatedDevice, .resourceBusy)
    }
    let page = smallestPage(of: container)
    guard unmap.iova & (page - 1) == 0 else { throw refuse(.unaligned(bytes: page)) }
    if unmap.flags & DMAUnmap.all != 0 {
      guard unmap.iova == 0, unmap.length == 0 else {
        throw refuse(.flags("ALL wants a range of zeros"))
      }
      return
    }
    guard unmap.length != 0 else { throw refuse(.emptyRange) }
    guard unmap.length & (page - 1) == 0 else { throw refuse(.unaligned(bytes: page)) }
    let last = unmap.iova &+ unmap.length &- 1
    guard last >= unmap.iova else { throw refuse(.wraps) }
    guard container.kind == .type1v2 else { return }
    if let cut = find(container, at: unmap.iova, length: 1), cut.iova != unmap.iova {
      throw refuse(.cuts(iova: cut.iova, size: cut.size))
    }
    if let cut = find(container, at: last, length: 0), cut.iova &+ cut.size != last &+ 1 {
      throw refuse(.cuts(iova: cut.iova, size: cut.size))
    }
  }

  /// Gives a mapping an address in the caller's space, to whom its charge moves.
  ///
  /// - Locks: the caller holds the container's lock.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_change_dma_owner (6.1)
  fileprivate func update(
    _ present: Mapping?, _ map: DMAMap, _ container: Container, by process: Process
  ) throws(DeviceError) {
    guard let mapping = present else {
      throw DeviceError(.map, .notMapped, .noSuchFileOrDirectory, at: map.iova)
    }
    guard mapping.isInvalid, mapping.iova == map.iova, mapping.size == map.length else {
      throw DeviceError(.map, .notUpdatable, .invalidArgument, at: map.iova)
    }
    if mapping.space != process.space {
      let pages = mapping.locked
      try charge(pages, to: process.space, limit: Self.limit(of: process), at: map.iova)
      uncharge(pages, from: mapping.space)
      spaces.putSpaceRow(mapping.space)
      setOwner(of: mapping, to: process)
    }
    mapping.address = map.address
    mapping.isInvalid = false
    container.invalid -= 1
  }

  /// Takes a mapping out of its container, and frees it.
  ///
  /// - Locks: the caller holds the container's lock.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_remove_dma (6.1)
  func remove(_ old: Mapping, from container: Container, on processor: Int) {
    unmapAndUnpin(old, container, on: processor)
    unlink(old, from: container)
    spaces.putSpaceRow(old.space)
    if old.isInvalid { container.invalid -= 1 }
    pools.free(.mappings, old.id)
    container.available += 1
  }
}
