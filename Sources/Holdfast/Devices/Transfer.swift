import Interleaving
import SystemPackage

/// What a device does with memory: it reads and writes bytes at its own addresses.
///
/// The caller makes sure that the device is not detached meanwhile.
extension Machine {
  /// The frame that a device reaches at an address, if the mapping allows the access.
  ///
  /// - Throws: EFAULT where the IOMMU blocks the transfer.
  /// - Locks: takes the domain's lock; the caller holds none above it.
  public func reach(
    _ handle: DeviceGroup, iova: UInt64, write: Bool
  ) throws(DeviceError) -> FrameNumber {
    var reached = FrameNumber.none
    try devices.transfer(devices.group(handle.id), iova, write: write) { reached = $0 }
    return reached
  }

  /// Whether an IOMMU translates for a device, which an emulated one does not have.
  public func translates(for handle: DeviceGroup) -> Bool { devices.group(handle.id).domain != .none }

  /// What the devices of a container reach at consecutive pages of their addresses; nil where that is nothing.
  public func reachedFrames(of handle: DeviceContainer, iova: UInt64, pages: Int) -> [FrameNumber?] {
    let container = devices.container(handle.id)
    container.lock.lock()
    defer { container.lock.unlock() }
    guard container.firstDomain != .none else { return Array(repeating: nil, count: pages) }
    let domain = devices.domain(container.firstDomain)
    return (0..<pages).map { devices.translate(domain, iova >> 12 + UInt64($0))?.frame }
  }

  /// Lets a device read memory: its bytes at an address are copied to a buffer.
  ///
  /// - Throws: EFAULT where the IOMMU blocks the transfer, which has come to there; EOPNOTSUPP if frames have no
  ///   bytes.
  /// - Locks: as `reach`.
  public func deviceRead(
    _ handle: DeviceGroup, iova: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DeviceError) {
    try devices.transfer(devices.group(handle.id), iova, buffer.count, write: false) { bytes, range in
      UnsafeMutableRawBufferPointer(rebasing: buffer[range]).copyMemory(from: UnsafeRawBufferPointer(bytes))
    }
  }

  /// Lets a device write memory: the bytes of a buffer are copied to an address.
  ///
  /// - Throws: as `deviceRead`.
  /// - Locks: as `reach`.
  public func deviceWrite(
    _ handle: DeviceGroup, iova: UInt64, from buffer: UnsafeRawBufferPointer
  ) throws(DeviceError) {
    try devices.transfer(devices.group(handle.id), iova, buffer.count, write: true) { bytes, range in
      bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[range]))
    }
  }

  /// The pages of a container's mappings that a device and the address space see in different frames: those that
  /// were discarded, or exchanged, under the pins.
  ///
  /// - Parameters:
  ///   - handle: the container.
  ///   - range: the device's addresses that are looked at.
  public func incoherentPages(
    of handle: DeviceContainer, in range: ClosedRange<UInt64> = 0...UInt64.max
  ) -> [IncoherentPage] {
    let container = devices.container(handle.id)
    container.lock.lock()
    defer { container.lock.unlock() }
    guard container.firstDomain != .none else { return [] }
    let domain = devices.domain(container.firstDomain)
    var found: [IncoherentPage] = []
    for mapping in devices.mappings(of: container) where mapping.isMapped && !mapping.isInvalid {
      devices.compare(mapping, domain, in: range, &found)
    }
    return found
  }
}

extension Devices {
  /// Runs `body` on the frame behind a device's address.
  ///
  /// The domain's lock is held during `body`, so that the translation is not removed in between; on hardware the
  /// flush of the IOTLB has that effect. `body` takes no locks.
  fileprivate func transfer(
    _ group: AttachedGroup, _ iova: UInt64, write: Bool, _ body: (FrameNumber) -> Void
  ) throws(DeviceError) {
    let id = group.domain
    let domain = domain(id)
    guard id != .none else { throw DeviceError(.transfer, .emulatedDevice, .notSupported, at: iova) }
    domain.lock.lock()
    defer { domain.lock.unlock() }
    guard let translated = translated(domain, iova >> 12) else {
      throw DeviceError(.transfer, .noTranslation, .badAddress, at: iova)
    }
    guard translated.access.contains(write ? .write : .read) else {
      throw DeviceError(.transfer, .notPermitted(write: write), .badAddress, at: iova)
    }
    body(translated.frame)
  }

  /// Runs `body` on the bytes behind a range of a device's addresses, page by page, with their place in the range.
  fileprivate func transfer(
    _ group: AttachedGroup, _ iova: UInt64, _ count: Int, write: Bool,
    _ body: (UnsafeMutableRawBufferPointer, Range<Int>) -> Void
  ) throws(DeviceError) {
    guard machine.store != nil else {
      throw DeviceError(.transfer, .noBytes, .notSupported, at: iova)
    }
    var done = 0
    while done < count {
      let at = iova &+ UInt64(done)
      let inside = Int(at & UInt64(pageSize - 1))
      let part = min(count - done, pageSize - inside)
      try transfer(group, at, write: write) { frame in
        guard let bytes = machine.bytes(of: frame) else { return }
        body(UnsafeMutableRawBufferPointer(rebasing: bytes[inside..<inside + part]), done..<done + part)
      }
      done += part
    }
  }

  /// Compares what a domain and a space say of the pages of a mapping.
  ///
  /// - Locks: the caller holds the container's lock and no other.
  fileprivate func compare(
    _ mapping: Mapping, _ domain: Domain, in range: ClosedRange<UInt64>, _ found: inout [IncoherentPage]
  ) {
    let space = spaces.space(mapping.space)
    let isLive = spaces.isLive(mapping.space)
    let file = mapping.source == .none ? RowID.none : source(mapping.source).object
    for index in 0..<UInt64(mapping.pages) {
      let iova = mapping.iova + index << 12
      guard range.contains(iova), let reached = translate(domain, iova >> 12)?.frame else { continue }
      let address = mapping.address + index << 12
      let mapped: FrameNumber?
      if file != .none {
        mapped = pageCache.frame(of: file, address.page)
      } else {
        mapped =
          isLive ? space.pageTableLock.withLock { faults.mappedFrame(space, address.page) } : nil
      }
      if mapped != reached {
        found.append(IncoherentPage(iova: iova, reached: reached, address: address, mapped: mapped))
      }
    }
  }
}
