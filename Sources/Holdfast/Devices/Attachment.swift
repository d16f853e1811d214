import Interleaving
import SystemPackage

/// Devices that come into a container and leave it.
extension Machine {
  /// Attaches a group of devices to a container; the first one gives the container its IOMMU.
  ///
  /// A group whose IOMMU has a domain in the container shares it. Another one gets a domain of its own, in which
  /// all mappings are repeated; if only emulated devices were there before, their pages are pinned now.
  ///
  /// - Parameters:
  ///   - device: the group.
  ///   - handle: the container.
  ///   - process: the caller, whose memory is pinned and whose limit holds.
  /// - Throws: EINVAL if the group is in a container; EBUSY while mappings have no address; EINVAL if its addresses do not
  ///   fit, EFAULT if only emulated devices were there before; EPERM if its interrupts are not remapped; what `mapDMA`
  ///   throws. The container is as before.
  /// - Locks: the caller holds no lock.
  /// - Kernel: drivers/vfio/vfio_main.c:vfio_group_ioctl_set_container (6.1); without the files of group and container.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_attach_group (6.1); without nesting, the cookie for
  ///   interrupts, the test of fine-grained large pages, dirty tracking.
  @discardableResult
  public func attach(
    _ device: DeviceDescription, to handle: DeviceContainer, by process: Process
  ) throws(DeviceError) -> DeviceGroup {
    tick()
    let container = devices.container(handle.id)
    container.lock.lock()
    defer { container.lock.unlock() }
    try devices.checkUnused(device, container)
    if container.invalid > 0 { throw DeviceError(.attach, .waitsForAddresses, .resourceBusy) }
    guard let id = pools.allocate(.deviceGroups) else {
      throw DeviceError(.attach, .tableFull("device groups"), .noMemory)
    }
    let group = devices.group(id).unshared
    group.container = handle.id
    group.description = device
    if !device.isEmulated {
      do {
        group.domain = try devices.domain(for: device, in: container, by: process).id
      } catch {
        pools.free(.deviceGroups, id)
        throw error
      }
      let domain = devices.domain(group.domain)
      domain.groups += 1
    }
    group.next = container.firstGroup
    container.firstGroup = id
    return DeviceGroup(id: id)
  }

  /// Detaches a group of devices.
  ///
  /// With the last group of a domain the domain goes, and with the last domain the pins of all mappings. With the
  /// last device the mappings go as well, so that a device that comes later finds none.
  ///
  /// - Locks: the caller holds no lock.
  public func detach(_ handle: DeviceGroup, on processor: Int = 0) {
    tick()
    devices.detach(devices.group(handle.id), on: processor)
  }
}

extension Devices {
  /// A group can be in one container at a time, and once.
  ///
  /// For VFIO that is EINVAL, whichever container the group is in.
  fileprivate func checkUnused(_ device: DeviceDescription, _ container: Container) throws(DeviceError) {
    let name = ProcessName(device.name).description
    // Two threads that attach one device to two containers at the same time are not told apart here.
    let used = UInt32(pools.usedRows(.deviceGroups))
    let other = global.tablesLock.withLock { () -> RowID? in
      for index in 1..<used + 1 {
        let group = group(RowID(rawValue: index))
        if group.live != 0, group.description.name == name { return group.container }
      }
      return nil
    }
    guard let other else { return }
    let isElsewhere = container.accounting != nil && other != container.id
    throw DeviceError(.attach, .duplicate(name), isElsewhere ? .resourceBusy : .invalidArgument)
  }

  /// The domain for a new group: one that is there and fits, or a new one with all mappings.
  ///
  /// - Locks: the caller holds the container's lock.
  fileprivate func domain(
    for device: DeviceDescription, in container: Container, by process: Process
  ) throws(DeviceError) -> Domain {
    let isShared = container.accounting != nil
    // Interrupts are asked about when a device is bound to an iommufd, before it is attached.
    if isShared { try checkInterrupts(device) }
    if isShared {
      try checkReserved(device, container, .addressInUse)
      try checkPageSize(device)
      try checkMapped(device, container, .addressInUse)
    } else if groups(of: container).contains(where: { !$0.description.isEmulated }) {
      try checkDisjoint(device, container)
      try checkMapped(device, container, .invalidArgument)
      try checkReserved(device, container, .invalidArgument)
    } else {
      try checkReserved(device, container, .invalidArgument)
    }
    if !isShared { try checkInterrupts(device) }
    for domain in domains(of: container)
    where domain.iommu == device.iommu && domain.isCoherent == device.isCoherent { return domain }
    let new = try makeDomain(for: device, process)
    do {
      if isShared {
        try fillAll(of: container, in: new, by: process)
      } else {
        try replay(container, in: new, of: device, by: process)
      }
    } catch {
      freeDomain(new, on: process.processor)
      throw error
    }
    new.next = container.firstDomain
    container.firstDomain = new.id
    return new
  }

  // MARK: - Which addresses can be used

  /// Whether all devices of a container can use a range of addresses.
  ///
  /// The kernel keeps a list of windows, which it changes when groups come and go.
  ///
  /// - Locks: the caller holds the container's lock.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_iova_dma_valid (6.1); without the windows that a group has
  ///   narrowed and left behind in a domain of others.
  func canUse(_ range: ClosedRange<UInt64>, in container: Container) -> Bool {
    groups(of: container).map(\.description).filter { !$0.isEmulated }.allSatisfy { device in
      let aperture = clamped(device.aperture)
      return aperture.lowerBound <= range.lowerBound && range.upperBound <= aperture.upperBound
        && !device.reserved.contains { $0.overlaps(range) }
    }
  }

  private func checkInterrupts(_ device: DeviceDescription) throws(DeviceError) {
    guard device.remapsInterrupts else { throw DeviceError(.attach, .unsafeInterrupts, .notPermitted) }
  }

  /// Fails if there are addresses that no two devices have in common; without another device there are none.
  ///
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_aper_conflict (6.1); without the mappings, which `checkMapped`
  ///   looks at.
  private func checkDisjoint(_ device: DeviceDescription, _ container: Container) throws(DeviceError) {
    let aperture = clamped(device.aperture)
    for other in groups(of: container).map(\.description) where !other.isEmulated {
      guard clamped(other.aperture).overlaps(aperture) else {
        throw DeviceError(.attach, .apertureConflict, .invalidArgument)
      }
    }
  }

  /// Fails if something is mapped outside the device's aperture.
  private func checkMapped(
    _ device: DeviceDescription, _ container: Container, _ errno: Errno
  ) throws(DeviceError) {
    for mapping in mappings(of: container) where !isReachable(mapping, by: device) {
      throw DeviceError(.attach, .apertureConflict, errno, at: mapping.iova)
    }
  }

  private func isReachable(_ mapping: Mapping, by device: DeviceDescription) -> Bool {
    let aperture = clamped(device.aperture)
    return mapping.size == 0
      || aperture.contains(mapping.iova) && aperture.contains(mapping.iova + (mapping.size - 1))
  }

  /// An IO address space is of pages of 4 KiB, which the IOMMU must have.
  private func checkPageSize(_ device: DeviceDescription) throws(DeviceError) {
    let least: UInt64 = 1 << UInt64(device.pageSizes.trailingZeroBitCount)
    guard least <= UInt64(pageSize) else {
      throw DeviceError(.attach, .unaligned(bytes: least), .invalidArgument)
    }
  }

  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_resv_conflict (6.1)
  private func checkReserved(
    _ device: DeviceDescription, _ container: Container, _ errno: Errno
  ) throws(DeviceError) {
    for window in device.reserved {
      if find(container, at: window.lowerBound, length: window.upperBound - window.lowerBound + 1) != nil {
        throw DeviceError(.attach, .reservedConflict, errno, at: window.lowerBound)
      }
    }
  }

  /// The smallest page that all domains of a container have, in bytes.
  ///
  /// - Locks: the caller holds the container's lock.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_update_pgsize_bitmap (6.1)
  func smallestPage(of container: Container) -> UInt64 {
    var sizes = UInt64.max
    for domain in domains(of: container) { sizes &= domain.pageSizes }
    let below = UInt64(pageSize) - 1
    if sizes & below != 0 { sizes = sizes & ~below | UInt64(pageSize) }
    return 1 << UInt64(sizes.trailingZeroBitCount)
  }

  // MARK: - A new domain

  /// Repeats all mappings of a container in a new domain; or none of them.
  ///
  /// Pages that are not pinned yet are taken from the caller's memory, within the caller's limit, and charged to whom the
  /// mapping belongs, within its limit.
  ///
  /// - Locks: the caller holds the container's lock.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_replay (6.1); without waiting for addresses, which an
  ///   attach refuses before, the pins of a mapping that the IOMMU then refuses.
  private func replay(
    _ container: Container, in new: Domain, of device: DeviceDescription, by process: Process
  ) throws(DeviceError) {
    let all = mappings(of: container)
    for (index, mapping) in all.enumerated() {
      do throws(DeviceError) {
        if mapping.isMapped {
          try copyTranslations(of: mapping, container, to: new, for: process)
        } else {
          // The kernel pins first, and Intel's IOMMU then refuses the address.
          guard isReachable(mapping, by: device) else {
            throw DeviceError(.attach, .apertureConflict, .badAddress, at: mapping.iova)
          }
          renewLimit(of: mapping)
          try pinAndMap(mapping, pages: mapping.pages, in: [new], by: process)
        }
      } catch {
        for done in all[...index].reversed() {
          unmap(new, done.span, on: process.processor)
          if !done.isMapped { unpin(done, on: process.processor) }
        }
        throw error
      }
    }
    for mapping in all { mapping.isMapped = true }
  }

  /// Puts all mappings of an IO address space into a new domain; or none of them.
  ///
  /// - Locks: the caller holds the container's lock.
  /// - Kernel: drivers/iommu/iommufd/io_pagetable.c:iopt_fill_domain (6.12)
  private func fillAll(
    of container: Container, in new: Domain, by process: Process
  ) throws(DeviceError) {
    var done: [(area: Mapping, wasMapped: Bool)] = []
    do throws(DeviceError) {
      for area in mappings(of: container) {
        let wasMapped = area.isMapped
        try fill(area, in: [new], by: process)
        done.append((area, wasMapped))
      }
    } catch {
      for (area, wasMapped) in done {
        if wasMapped {
          unmap(new, area.span, on: process.processor)
        } else {
          unfill(area, from: [new], on: process.processor)
        }
      }
      throw error
    }
  }

  private func copyTranslations(
    of mapping: Mapping, _ container: Container, to new: Domain, for process: Process
  ) throws(DeviceError) {
    let known = domain(container.firstDomain)
    var page = mapping.span.start
    while page < mapping.span.end {
      guard let first = translate(known, page) else {
        page += 1
        continue
      }
      var count = 1
      while page + UInt64(count) < mapping.span.end,
        translate(known, page + UInt64(count))?.frame == first.frame + count
      { count += 1 }
      try map(new, page, first.frame, count: count, mapping.access, for: process)
      page += UInt64(count)
    }
  }

  // MARK: - Leaving

  /// Takes a group out of its container.
  ///
  /// - Locks: takes the container's lock; the caller holds none.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_detach_group (6.1); without dirty tracking.
  func detach(_ old: AttachedGroup, on processor: Int) {
    let container = container(old.container)
    container.lock.withLock {
      remove(old, from: container)
      if old.domain != .none { leaveDomain(old, container, on: processor) }
      if container.firstGroup == .none, container.accounting == nil {
        for mapping in mappings(of: container) { remove(mapping, from: container, on: processor) }
      }
    }
    pools.free(.deviceGroups, old.id)
  }

  /// Takes a group out of its domain, which ends with the last one.
  ///
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_unmap_unpin_all (6.1)
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_unmap_unpin_reaccount (6.1); without pages that emulated
  ///   devices have pinned.
  private func leaveDomain(_ old: AttachedGroup, _ container: Container, on processor: Int) {
    let domain = domain(old.domain)
    old.domain = .none
    domain.groups -= 1
    guard domain.groups == 0 else { return }
    if container.firstDomain == domain.id, domain.next == .none {
      // The last one: only emulated devices are left, or none.
      for mapping in mappings(of: container) where mapping.isMapped {
        if mapping.source != .none {
          unfill(mapping, from: [domain], on: processor)
        } else {
          unmapAndUnpin(mapping, container, on: processor)
        }
      }
    } else {
      for mapping in mappings(of: container) { unmap(domain, mapping.span, on: processor) }
    }
    remove(domain, from: container)
    freeDomain(domain, on: processor)
  }

  private func remove(_ old: AttachedGroup, from container: Container) {
    if container.firstGroup == old.id {
      container.firstGroup = old.next
      return
    }
    for group in groups(of: container) where group.next == old.id { group.next = old.next }
  }

  private func remove(_ old: Domain, from container: Container) {
    if container.firstDomain == old.id {
      container.firstDomain = old.next
      return
    }
    for domain in domains(of: container) where domain.next == old.id { domain.next = old.next }
  }
}

extension Mapping {
  /// The pages of the device's addresses that it covers.
  var span: PageSpan { PageSpan(start: iova >> 12, end: (iova + size) >> 12) }
}
