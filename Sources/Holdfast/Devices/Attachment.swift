import Interleaving
import SystemPackage

/// Devices that come into a container and leave it.
extension Machine {
  /// Attaches a group of devices to a container; the first one gives the container its IOMMU.
  ///
  /// A group whose IOMMU has a domain in the container shares it. Another one gets a domain of its own, in which
  /// all mappings are repeated; if only emulated devices were there before, their pages are pinned now.
  ///
  /// - Parameter process: the caller, whose memory is pinned and whose limit holds.
  /// - Throws: EBUSY while mappings have no address, or if the group is in another container; EINVAL if it is in
  ///   this one, or if its addresses do not fit; EPERM if its interrupts are not remapped; what `mapDMA` throws.
  ///   The container is as before.
  /// - Locks: the caller holds no lock.
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
    if container.invalid > 0 { throw DeviceError(.attach, .waitsForAddresses, .resourceBusy) }
    try devices.checkUnused(device, container)
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
    throw DeviceError(
      .attach, .duplicate(name), other == container.id ? .invalidArgument : .resourceBusy)
  }

  /// The domain for a new group: one that is there and fits, or a new one with all mappings.
  ///
  /// - Locks: the caller holds the container's lock.
  fileprivate func domain(
    for device: DeviceDescription, in container: Container, by process: Process
  ) throws(DeviceError) -> Domain {
    let isShared = container.accounting != nil
    try checkAperture(device, container, isShared ? .addressInUse : .invalidArgument)
    try checkReserved(device, container, isShared ? .addressInUse : .invalidArgument)
    guard device.remapsInterrupts else { throw DeviceError(.attach, .unsafeInterrupts, .notPermitted) }
    for domain in domains(of: container)
    where domain.iommu == device.iommu && domain.isCoherent == device.isCoherent { return domain }
    let new = try makeDomain(for: device, process)
    do {
      if isShared {
        try fillAll(of: container, in: new, by: process)
      } else {
        try replay(container, in: new, by: process)
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

  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_aper_conflict (6.1)
  private func checkAperture(
    _ device: DeviceDescription, _ container: Container, _ errno: Errno
  ) throws(DeviceError) {
    let aperture = clamped(device.aperture)
    let conflict = DeviceError(.attach, .apertureConflict, errno)
    for other in groups(of: container).map(\.description) where !other.isEmulated {
      guard clamped(other.aperture).overlaps(aperture) else { throw conflict }
    }
    for mapping in mappings(of: container) where mapping.size > 0 {
      let last = mapping.iova + mapping.size - 1
      guard aperture.contains(mapping.iova), aperture.contains(last) else { throw conflict }
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
  ///   attach refuses before.
  private func replay(
    _ container: Container, in new: Domain, by process: Process
  ) throws(DeviceError) {
    let all = mappings(of: container)
    for (index, mapping) in all.enumerated() {
      do {
        if mapping.isMapped {
          try copyTranslations(of: mapping, container, to: new, for: process)
        } else {
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
